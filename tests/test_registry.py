import importlib
import sys

import optax
import pytest

from jaxae import metrics, noise
from jaxae.errors import UserError
from jaxae.registry import Registry
from jaxae.training import RECIPES, Settings, recipe


@pytest.fixture
def shapes():
    made = Registry("shape")
    made["circle"], made["square"] = 1, 2
    return made


def test_it_is_a_dictionary_in_the_order_of_registration(shapes):
    @shapes.register("arc")
    def draw():
        pass

    assert list(shapes) == ["circle", "square", "arc"]
    assert shapes["arc"] is draw
    assert shapes["circle"] == 1


def test_an_unknown_name_suggests_the_nearest_and_lists_all(shapes):
    with pytest.raises(UserError) as caught:
        shapes["circel"]
    assert str(caught.value) == "there is no shape 'circel'; did you mean circle? (there are: circle, square)"
    with pytest.raises(UserError) as caught:
        shapes["x"]
    assert str(caught.value) == "there is no shape 'x' (there are: circle, square)"


def test_a_name_is_registered_once(shapes):
    taken = "there already is a shape 'circle': register yours under another name"
    with pytest.raises(UserError, match=taken):
        shapes["circle"] = 3
    with pytest.raises(UserError, match=taken):
        shapes.register("circle")(3)
    assert shapes["circle"] == 1


def test_a_module_that_is_loaded_anew_registers_its_own_again(shapes, tmp_path, monkeypatch):
    (tmp_path / "registers_a_shape.py").write_text(
        "import registry_of_a_test\n\n\n@registry_of_a_test.SHAPES.register('arc')\ndef arc():\n    pass\n"
    )
    holder = type(sys)("registry_of_a_test")
    holder.SHAPES = shapes
    monkeypatch.setitem(sys.modules, "registry_of_a_test", holder)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("registers_a_shape")
    first = shapes["arc"]
    importlib.reload(module)
    assert shapes["arc"] is module.arc is not first
    with pytest.raises(UserError, match="there already is a shape 'arc'"):
        shapes.register("arc")(lambda: None)


def test_so_does_a_cell_of_a_notebook_that_defines_a_metric_a_kind_of_noise_or_a_recipe():
    def cell(rate):
        @metrics.metric("worst")
        def worst(images, targets):
            return images

        @noise.kind(default=rate)
        def shift(key, images, factor):
            return images + factor

        @recipe("sgd", Settings(1, 8, rate))
        def sgd(steps):
            return optax.sgd(1.0)

        return worst

    def other(steps):
        return optax.sgd(1.0)

    try:
        cell(0.1)
        worst = cell(0.2)
        assert metrics.METRICS["worst"].function is worst
        assert noise.KINDS["shift"].default == RECIPES["sgd"].settings.learning_rate == 0.2
        with pytest.raises(UserError, match="there already is a recipe 'sgd'"):
            recipe("sgd", Settings(1, 8, 0.1))(other)
    finally:
        del metrics.METRICS["worst"], noise.KINDS["shift"], RECIPES["sgd"]
