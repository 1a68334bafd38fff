"""Distributions, gradients, transformations and the selection by name, for every kind of noise."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxae import noise
from jaxae.config import NoiseConfig
from jaxae.errors import UserError

ADDITIVE = ["gaussian", "uniform", "speckle"]
IMPULSE = ["salt", "pepper", "salt_and_pepper", "masking", "block_masking"]
KINDS = [*ADDITIVE, "poisson", *IMPULSE]
SEED = jax.random.key(7)
SIGNIFICANCE = 1e-3  # the keys are fixed, so a test that passes once passes always


def images(*shape: int, dtype=jnp.float32, low: float = 0.05, high: float = 0.95):
    """Values away from 0 and 1, so that what noise replaced is known."""
    return jax.random.uniform(jax.random.key(1), shape, minval=low, maxval=high).astype(dtype)


def test_every_kind_is_covered():
    assert sorted(noise.KINDS) == sorted(KINDS)


def test_argument_order_over_the_whole_module():
    functions = {name: f for name, f in vars(noise).items() if inspect.isfunction(f)}
    public = {name for name, f in functions.items() if f.__module__.startswith(noise.__name__)}
    drawing = {name for name in public if not name.startswith("_")} - {"parse", "describe", "kind", "resolve_noise"}
    assert drawing == set(KINDS)
    for name in drawing:
        parameters = list(inspect.signature(getattr(noise, name)).parameters.values())
        assert [p.name for p in parameters[:2]] == ["key", "images"], name
        assert parameters[2].name == noise.KINDS[name].strength, name
        assert parameters[-1].name == "clip", name
        assert parameters[-1].default is False, name
        assert noise.KINDS[name].function is getattr(noise, name)


# Distributions


@pytest.mark.parametrize(
    ("kind", "law"), [("gaussian", scipy.stats.norm(0, 0.3)), ("uniform", scipy.stats.uniform(-0.3, 0.6))]
)
def test_additive_noise_follows_its_law(kind, law):
    x = images(100, 16, 16, 2)
    drawn = np.asarray(noise.KINDS[kind].function(SEED, x, 0.3) - x).ravel()
    assert scipy.stats.kstest(drawn, law.cdf).pvalue > SIGNIFICANCE


def test_speckle_scales_with_the_image():
    x = images(100, 16, 16, 2)
    drawn = np.asarray((noise.speckle(SEED, x, 0.3) - x) / x).ravel()
    assert scipy.stats.kstest(drawn, scipy.stats.norm(0, 0.3).cdf).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("peak", [2.0, 50.0])  # below and above 10, where the sampler changes its algorithm
@pytest.mark.parametrize("level", [0.1, 0.7])
def test_poisson_counts_photons(peak, level):
    x = jnp.full((100, 16, 16, 1), level)
    counts = np.asarray(noise.poisson(SEED, x, peak)) * peak
    np.testing.assert_allclose(counts, counts.round(), atol=1e-4)
    rate, n = level * peak, counts.size
    assert abs(counts.mean() - rate) < 4 * math.sqrt(rate / n)
    assert abs(counts.var() - rate) < 4 * math.sqrt((rate + 2 * rate**2) / n)  # the variance of a Poisson variance


def test_poisson_takes_values_below_0_as_0_and_every_kind_of_key():
    x = jnp.full((4, 8, 8, 1), -0.5)
    np.testing.assert_array_equal(noise.poisson(SEED, x, 5.0), 0)
    for key in (jax.random.key(0, impl="rbg"), jax.random.key(0, impl="unsafe_rbg"), jax.random.PRNGKey(0)):
        assert 0.4 < float(noise.poisson(key, x + 1, 5.0).mean()) < 0.6


@pytest.mark.parametrize("kind", IMPULSE)
@pytest.mark.parametrize("probability", [0.0, 0.03, 0.4, 1.0])
def test_impulses_hit_with_their_probability(kind, probability):
    x = images(50, 16, 16, 3)
    y = np.asarray(noise.KINDS[kind].function(SEED, x, probability))
    hit = y != np.asarray(x)
    if kind in ("masking", "block_masking"):
        assert (hit.all(axis=-1) == hit.any(axis=-1)).all(), "a pixel is masked in all its channels or in none"
        hit = hit[..., :1]
    if kind == "block_masking":
        blocks = hit.reshape(50, 4, 4, 4, 4).swapaxes(2, 3).reshape(-1, 16)
        assert (blocks.all(axis=1) == blocks.any(axis=1)).all(), "a block is masked as a whole"
        hit = blocks[:, 0]
    assert scipy.stats.binomtest(int(hit.sum()), hit.size, probability).pvalue > SIGNIFICANCE
    values = set(np.unique(y[y != np.asarray(x)]))
    assert values <= {"salt": {1.0}, "salt_and_pepper": {0.0, 1.0}}.get(kind, {0.0})


def test_salt_and_pepper_halves_its_probability():
    y = np.asarray(noise.salt_and_pepper(SEED, images(50, 16, 16, 3), 0.4))
    white, black = int((y == 1).sum()), int((y == 0).sum())
    assert scipy.stats.binomtest(white, white + black, 0.5).pvalue > SIGNIFICANCE


def test_channels_are_hit_independently_by_salt():
    hit = np.asarray(noise.salt(SEED, images(100, 16, 16, 3), 0.5)) == 1
    assert scipy.stats.binomtest(int(hit.all(axis=-1).sum()), hit[..., 0].size, 0.125).pvalue > SIGNIFICANCE


def test_block_masking_cuts_the_last_blocks():
    y = np.asarray(noise.block_masking(SEED, jnp.ones((200, 10, 7, 1)), 0.5, block=4))
    assert y.shape == (200, 10, 7, 1)
    assert (y[:, 8:10, 4:7] == y[:, 8:9, 4:5]).all()
    assert 0.3 < y[:, 8:, 4:].mean() < 0.7


# Shapes, dtypes, clipping


@jax.jit
def every_kind(key, x):
    """All of them in one program: compiling is most of what these tests do."""
    return {kind: noise.KINDS[kind].function(key, x, 0.6) for kind in KINDS}


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [(jnp.bfloat16, (12, 12, 1)), (jnp.float16, (3, 12, 12, 2)), (jnp.float32, (2, 3, 12, 12, 2))],
)
def test_shape_and_dtype_are_kept(dtype, shape):
    x = images(*shape, dtype=dtype)
    noisy, wide = every_kind(SEED, x), every_kind(SEED, x.astype(jnp.float32))
    for kind, y in noisy.items():
        assert (y.shape, y.dtype) == (x.shape, x.dtype), kind
        assert bool((y != x).any()), kind
        # Half precision is the float32 result, rounded once; two programs may differ in how they fuse that.
        rounded = np.asarray(wide[kind].astype(dtype), np.float32)
        np.testing.assert_allclose(np.asarray(y, np.float32), rounded, rtol=float(jnp.finfo(dtype).eps), err_msg=kind)
        np.testing.assert_array_less(0.99, np.mean(np.asarray(y, np.float32) == rounded), err_msg=kind)


def test_float64_is_drawn_in_float64():
    with jax.enable_x64(True):
        x = images(2, 12, 12, 1, dtype=jnp.float64)
        for kind in KINDS:
            assert jax.eval_shape(noise.parse(kind), SEED, x).dtype == jnp.float64
            assert jax.eval_shape(noise.parse(kind), SEED, x.astype(jnp.float32)).dtype == jnp.float32
        drawn = noise.gaussian(SEED, jnp.zeros_like(x), 1.0)
        assert bool((drawn != drawn.astype(jnp.float32).astype(jnp.float64)).any())


@pytest.mark.parametrize("kind", [*ADDITIVE, "poisson"])
def test_clip(kind):
    x, function = images(8, 12, 12, 1), noise.KINDS[kind].function
    free, clipped = function(SEED, x, 3.0), function(SEED, x, 3.0, clip=True)
    assert bool((free > 1).any())
    np.testing.assert_array_equal(clipped, jnp.clip(free, 0, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_one_strength_per_image(kind):
    x, function = images(2, 3, 12, 12, 1), noise.KINDS[kind].function
    strengths = jnp.array([[0.1, 0.5, 1.0], [0.2, 0.7, 0.9]])
    y = function(SEED, x, strengths)
    for index in np.ndindex(2, 3):
        np.testing.assert_array_equal(y[index], function(SEED, x, float(strengths[index]))[index])
    np.testing.assert_array_equal(function(SEED, x, strengths[0]), function(SEED, x, jnp.stack([strengths[0]] * 2)))


# Transformations


def test_jit_and_vmap_equal_plain():
    x, keys = images(2, 12, 12, 2), jax.random.split(SEED, 2)
    mapped = jax.jit(jax.vmap(every_kind))(keys, x)
    for kind in KINDS:
        plain = jnp.stack([noise.KINDS[kind].function(*row, 0.6) for row in zip(keys, x, strict=True)])
        # XLA may fuse a product and a sum into one operation, which rounds once instead of twice.
        np.testing.assert_allclose(mapped[kind], plain, rtol=1e-6, atol=1e-6, err_msg=kind)


def test_same_noise_on_any_number_of_devices():
    """To the bit, for a batch spread over 1, 2 or 8 devices; the range adds a draw per image."""
    run = jax.jit(lambda key, x: {kind: noise.parse(kind, "0.2..0.9")(key, x) for kind in KINDS})
    results = {}
    for devices in (1, 2, 8):
        mesh = jax.make_mesh((devices,), ("data",), (AxisType.Auto,), devices=jax.devices()[:devices])
        results[devices] = run(SEED, jax.device_put(images(16, 12, 12, 1), NamedSharding(mesh, PartitionSpec("data"))))
    for kind in KINDS:
        assert len(results[8][kind].sharding.device_set) == 8
        for devices in (2, 8):
            np.testing.assert_array_equal(np.asarray(results[devices][kind]), np.asarray(results[1][kind]), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    """To the images and to the strength, against what the formula says for the values that were drawn."""
    x, function = images(4, 12, 12, 2), noise.KINDS[kind].function
    weights = jax.random.normal(jax.random.key(2), x.shape)
    strength = jnp.array([0.2, 0.4, 0.6, 0.8])
    to_images, to_strength = jax.grad(lambda x, s: (weights * function(SEED, x, s)).sum(), argnums=(0, 1))(x, strength)
    drawn = function(SEED, x, strength) - x
    per_image = strength[:, None, None, None]
    expected = {"speckle": 1 + drawn / x}.get(kind, jnp.ones_like(x))
    if kind in IMPULSE:
        expected = (drawn == 0).astype(jnp.float32)
    np.testing.assert_allclose(to_images, weights * expected, rtol=1e-4, atol=1e-5)
    by_strength = weights * drawn / per_image if kind in ADDITIVE else jnp.zeros_like(x)
    np.testing.assert_allclose(to_strength, by_strength.sum((1, 2, 3)), rtol=1e-4, atol=1e-4)


def test_gradient_of_clipped_noise_stops_at_the_borders():
    x = images(4, 12, 12, 1)
    free = noise.gaussian(SEED, x, 1.0)
    gradient = jax.grad(lambda x: noise.gaussian(SEED, x, 1.0, clip=True).sum())(x)
    np.testing.assert_array_equal(gradient, ((free > 0) & (free < 1)).astype(jnp.float32))


# Laws

small = st.integers(0, 2**32 - 1).map(jax.random.key)


@settings(max_examples=20, deadline=None)
@given(key=small, kind=st.sampled_from([kind for kind in KINDS if kind != "poisson"]), clip=st.booleans())
def test_strength_0_is_identity(key, kind, clip):
    x = images(3, 12, 12, 1)
    np.testing.assert_array_equal(noise.parse(kind, 0, clip)(key, x), x)


@settings(max_examples=20, deadline=None)
@given(key=small, kind=st.sampled_from(KINDS), strength=st.floats(0.01, 1))
def test_clipped_images_stay_in_range(key, kind, strength):
    y = noise.parse(kind, strength, clip=True)(key, images(3, 12, 12, 1, low=0, high=1))
    assert 0 <= float(y.min()) <= float(y.max()) <= 1


@settings(max_examples=20, deadline=None)
@given(key=small, kind=st.sampled_from(["masking", "block_masking", "pepper"]), probability=st.floats(0, 1))
def test_masks_only_zero(key, kind, probability):
    x = images(3, 12, 12, 2)
    y = noise.parse(kind, probability)(key, x)
    assert bool(((y == x) | (y == 0)).all())


# By name


def test_one_gaussian_is_exactly_the_formula():
    x = images(4, 28, 28, 1)
    y = noise.parse("gaussian", 0.5)(SEED, x)
    np.testing.assert_array_equal(y, x + 0.5 * jax.random.normal(jax.random.fold_in(SEED, 0), x.shape))
    np.testing.assert_array_equal(y, noise.gaussian(jax.random.fold_in(SEED, 0), x, 0.5))


def test_composition_applies_from_left_to_right_and_clips_after_each():
    x = images(4, 12, 12, 1)
    y = noise.parse("gaussian, speckle", "0.6,0.3", clip=True)(SEED, x)
    first = noise.gaussian(jax.random.fold_in(SEED, 0), x, 0.6, clip=True)
    np.testing.assert_array_equal(y, noise.speckle(jax.random.fold_in(SEED, 1), first, 0.3, clip=True))


def test_each_kind_draws_a_strength_of_its_own():
    x = images(4, 12, 12, 1)
    y = noise.parse("speckle,gaussian", "0.1..0.9,0.1..0.9")(SEED, x)
    strengths = 0.1 + 0.8 * jax.random.uniform(jax.random.fold_in(SEED, 2), (2, 4))
    first = noise.speckle(jax.random.fold_in(SEED, 0), x, strengths[0])
    expected = noise.gaussian(jax.random.fold_in(SEED, 1), first, strengths[1])
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


def test_range_draws_a_strength_per_image():
    x = jnp.zeros((400, 20, 20, 1))
    y = np.asarray(noise.parse("gaussian", "0.1..0.5")(SEED, x))
    strengths = y.std(axis=(1, 2, 3))  # each known to about 3.5 %
    assert scipy.stats.kstest(strengths, scipy.stats.uniform(0.1, 0.4).cdf).pvalue > SIGNIFICANCE
    correlation = np.corrcoef(y.mean(axis=(1, 2, 3)) / strengths, strengths)[0, 1]
    assert abs(correlation) < 0.2


def test_an_ensemble_maps_over_strengths():
    chosen, x = noise.parse("masking,gaussian", "0.1,0.2..0.4"), images(3, 12, 12, 1)
    np.testing.assert_array_equal(chosen.ranges, np.float32([[0.1, 0.1], [0.2, 0.4]]))
    ensemble = jax.tree.map(lambda *leaves: jnp.stack(leaves), chosen, noise.parse("masking,gaussian", "0,0"))
    y = jax.jit(jax.vmap(lambda member: member(SEED, x)))(ensemble)
    np.testing.assert_allclose(y[0], chosen(SEED, x), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(y[1], x)


def test_a_program_is_compiled_for_the_kinds_and_serves_every_strength():
    x = images(2, 12, 12, 1)
    run = jax.jit(lambda chosen, x: chosen(SEED, x))
    for strength in (0.2, "0.2", "0.1..0.5"):
        chosen = noise.parse("salt", strength)
        np.testing.assert_array_equal(run(chosen, x), chosen(SEED, x))
    assert run._cache_size() == 1
    run(noise.parse("salt", 0.2, clip=True), x)
    assert run._cache_size() == 2


def test_none_is_identity():
    x, none = images(2, 12, 12, 1), noise.parse("none")
    assert none(SEED, x) is x
    assert none.ranges.shape == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("gaussian", 0.5), "gaussian 0.5"),
        (("gaussian",), "gaussian 0.5"),
        (("poisson", 30), "poisson 30"),
        (("gaussian,salt", "0.1..0.5,0.1"), "gaussian 0.1..0.5 + salt 0.1"),
        (("salt,masking",), "salt 0.2 + masking 0.5"),
        (("uniform", "1e-1", True), "uniform 0.1, clipped"),
        (("none",), "none"),
    ],
)
def test_describe(arguments, text):
    assert noise.describe(noise.parse(*arguments)) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gausian", 0.5), "did you mean gaussian"),
        (("wavelet",), "there are: gaussian, uniform"),
        (("",), "there is no kind of noise ''"),
        (("gaussian,", "0.5,0.5"), "there is no kind of noise ''"),
        (("gaussian", -0.1), "at least 0, not -0.1"),
        (("gaussian", "nan"), "at least 0, not nan"),
        (("gaussian", math.inf), "at least 0, not inf"),
        (("gaussian", "0.5..0.1"), r"wrong way round: write 0.1\.\.0.5"),
        (("gaussian", "0.1..inf"), "not inf"),
        (("gaussian", "half"), "'half' is neither a number nor a range"),
        (("gaussian", ""), "'' is neither"),
        (("gaussian", "0.1.."), r"'0.1\.\.' is neither"),
        (("salt", 1.1), "probability of salt noise must be between 0 and 1, not 1.1"),
        (("block_masking", "0.5..2"), "not 2"),
        (("poisson", 0), "peak of poisson noise must be a number above 0, not 0"),
        (("gaussian", "0.1,0.2"), "1 kinds of noise but 2 factors"),
        (("salt,gaussian", 0.5), "2 kinds of noise but 1 factors: give each kind its own"),
        (("none", 0.5), "none takes no factor"),
        (("none", None, True), "none takes no factor and no clip"),
        (("none,salt",), "none cannot be combined with other kinds"),
    ],
)
def test_errors_are_one_line_for_the_user(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        noise.parse(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [*KINDS, "gaussian,uniform", "poisson,gaussian", "gaussian,poisson", "none"])
def test_what_is_said_to_keep_the_mean_keeps_it(kind):
    added = noise.parse(kind)
    clean = images(1, 8, 8, 1, low=0.1, high=0.4)  # far from 1/2, which salt and pepper in equal parts would keep
    repeated = jnp.repeat(clean, 4096, axis=0)
    mean = jax.jit(added)(SEED, repeated).mean(axis=0, keepdims=True)
    assert added.keeps_mean == bool(jnp.abs(jnp.mean(mean - clean)) < 0.003)
    assert not noise.parse("gaussian", clip=True).keeps_mean


@pytest.mark.parametrize(
    ("config", "has_pairs", "resolved", "text"),
    [
        (NoiseConfig(), False, NoiseConfig("gaussian", 0.3), "gaussian 0.3"),
        (NoiseConfig(), True, NoiseConfig("none"), "none"),
        (NoiseConfig("salt"), False, NoiseConfig("salt"), "salt 0.2"),
        (NoiseConfig("gaussian"), True, NoiseConfig("gaussian", 0.3), "gaussian 0.3"),
        (NoiseConfig(factor=0.1, clip=True), False, NoiseConfig("gaussian", 0.1, True), "gaussian 0.1, clipped"),
        (NoiseConfig("poisson", 25.0), False, NoiseConfig("poisson", 25.0), "poisson 25"),
        (NoiseConfig("gaussian", 2.0), False, NoiseConfig("gaussian", 2.0), "gaussian 2"),
    ],
)
def test_a_configuration_is_resolved_by_the_experiments_strength_and_the_data(config, has_pairs, resolved, text):
    found, added = noise.resolve_noise(config, 0.3, has_pairs)
    assert found == resolved
    assert noise.describe(added) == text


def test_a_factor_meant_for_images_up_to_255_is_warned_of():
    with pytest.warns(UserWarning, match=r"`factor` 25 of gaussian noise .*divided by 255 it is 0\.098"):
        noise.resolve_noise(NoiseConfig("gaussian", 25.0), 0.3, has_pairs=False)
