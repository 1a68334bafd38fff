"""Which backend a name stands for, and what follows from it."""

import jax
import pytest

from jaxae import networks, ops
from jaxae.errors import UserError
from jaxae.ops import lanes


def test_an_unknown_backend_is_an_error_that_names_all():
    known = r"no convolution backend 'fast' \(there are: xla, lanes, unfold, xla_in_parts\)"
    with pytest.raises(UserError, match=known):
        ops.resolve_backend("fast")
    with pytest.raises(UserError, match="did you mean lanes"):
        networks.build("mnist", "lane")


@pytest.mark.usefixtures("users_backends")
@pytest.mark.parametrize(
    ("platform", "alone", "ensemble"),
    [
        ("cpu", "lanes", "lanes"),
        ("gpu", "xla", "unfold"),
        ("tpu", "xla_in_parts", "xla_in_parts"),
        ("metal", "xla", "xla"),
        (None, "lanes", "lanes"),  # JAX's own platform: the tests run on a CPU
    ],
)
def test_auto_depends_on_the_platform(platform, alone, ensemble):
    assert ops.resolve_backend("auto", platform) == alone
    assert ops.resolve_backend("auto", platform, ensemble=True) == ensemble


def test_a_name_stands_for_itself_on_every_platform():
    for name in ops.BACKENDS:
        assert ops.resolve_backend(name, "tpu", ensemble=True) == name


@pytest.mark.usefixtures("users_backends")
def test_the_backend_decides_the_compiler_options():
    assert ops.compiler_options("auto") == lanes.COMPILER_OPTIONS
    assert ops.compiler_options("xla") == {}


def test_a_program_is_compiled_with_the_options_of_its_backend(monkeypatch):
    jit, given = jax.jit, []
    monkeypatch.setattr(jax, "jit", lambda function, **options: given.append(options) or jit(function))
    wrap = ops.jit.__wrapped__
    wrap(abs, "lanes", static_argnums=0)
    wrap(abs, "lanes", compile_soon=True)
    wrap(abs)
    assert given == [
        {"compiler_options": lanes.COMPILER_OPTIONS, "static_argnums": 0},
        {"compiler_options": lanes.COMPILER_OPTIONS | ops.COMPILE_SOON},
        {"compiler_options": None},
    ]


@pytest.mark.usefixtures("users_backends")
def test_the_backend_decides_the_size_of_microbatches():
    assert networks.build("cifar", "lanes").microbatch_size == 16
    assert networks.build("cifar", "auto").microbatch_size == 16
    assert networks.build("cifar", "xla_in_parts").microbatch_size == 128
    assert networks.build("cifar", "xla").microbatch_size is None
    assert networks.build("mnist", "lanes").microbatch_size == 128
    assert networks.build("photo", "auto").backend == "xla"
    assert networks.build("photo", "auto").microbatch_size == 4


def test_the_same_arguments_compile_one_program():
    def function(x):
        return x

    assert ops.jit(function, "lanes") is ops.jit(function, "lanes")
    assert ops.jit(function, "lanes") is not ops.jit(function, "xla")
