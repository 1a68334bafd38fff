import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import networks
from jaxae.denoising import tiles
from tests.small_run import random_params


def network(name, padding=0):
    model = networks.build(name, "xla", reflect_padding=padding)
    params = jax.tree.map(jnp.asarray, random_params(name))
    return jax.jit(lambda images: model.apply({"params": params}, images))


def restore(apply, tiling, channels, *pictures):
    restored = dict(tiles.restore_pictures(apply, tiling, channels, enumerate(pictures)))
    assert list(restored) == list(range(len(pictures)))
    return list(restored.values())


def picture(*shape):
    return np.random.default_rng(sum(shape)).random(shape, np.float32)


def test_the_reach_is_how_far_an_output_pixel_sees():
    middle, apply = 15, network("cifar")
    gradient = jax.grad(lambda image: apply(image[None])[0, middle, middle].sum())(jnp.asarray(picture(32, 32, 3)))
    rows, columns, _ = np.nonzero(gradient)
    for seen in (rows, columns):
        assert (middle - seen.min(), seen.max() - middle) == (networks.CifarAutoencoder.reach,) * 2


def test_a_networks_output_in_tiles_is_that_on_the_whole_picture():
    apply, image, reach = network("cifar"), picture(150, 97, 3), networks.CifarAutoencoder.reach
    seen = np.pad(image, [(reach, reach)] * 2 + [(0, 0)], mode="reflect")
    whole = np.asarray(apply(seen[None]))[0, reach:-reach, reach:-reach]
    for core in tiles.CORES:
        (tiled,) = restore(apply, tiles.exact(core, reach), 3, image)
        np.testing.assert_allclose(tiled, whole, atol=2e-6)
    (wrong,) = restore(apply, tiles.exact(32, reach - 1), 3, image)
    assert np.abs(wrong - whole).max() > 1e-4  # less padding leaves seams


def test_blended_windows_are_their_weighted_mean():
    apply, image, size, step = network("mnist"), picture(41, 28, 1), 28, 7
    profile = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    weights = (profile[:, None] * profile)[..., None]
    sums, norm = np.zeros((41, 28, 1)), np.zeros((41, 28, 1))
    for top in (0, 7, 13):
        sums[top : top + size] += weights * np.asarray(apply(image[None, top : top + size]))[0]
        norm[top : top + size] += weights
    (blended,) = restore(apply, tiles.blended(size, step), 1, image)
    np.testing.assert_allclose(blended, sums / norm, atol=2e-6)


def test_a_picture_of_the_trained_size_is_restored_as_in_the_evaluation():
    apply, image = network("mnist"), picture(28, 28, 1)
    (restored,) = restore(apply, tiles.choose_tiling(networks.MnistDenoiser, [(28, 28)]), 1, image)
    np.testing.assert_allclose(restored, np.asarray(apply(image[None]))[0], atol=2e-6)


def test_tiles_are_what_a_network_with_reflection_padding_makes_of_the_whole_picture():
    apply, mirroring, image = network("cifar"), network("cifar", networks.CifarAutoencoder.reach), picture(32, 45, 3)
    (restored,) = restore(apply, tiles.choose_tiling(networks.CifarAutoencoder, [(32, 45)]), 3, image)
    np.testing.assert_allclose(restored, np.asarray(mirroring(image[None]))[0], atol=2e-6)


@pytest.mark.parametrize("tiling", [tiles.exact(32, 4), tiles.blended(28, 7)], ids=["exact", "blended"])
@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 50, 1), (28, 28, 3), (131, 77, 3)])
def test_a_network_that_does_nothing_leaves_any_picture_as_it_is(tiling, shape):
    for channels in (1, 3):
        (restored,) = restore(lambda images: images, tiling, channels, picture(*shape))
        np.testing.assert_allclose(restored, picture(*shape), atol=1e-6)


def test_pictures_share_batches_of_one_shape_and_do_not_touch_each_other():
    apply, shapes = network("cifar"), set()

    def watched(images):
        shapes.add(images.shape)
        return apply(images)

    images = [picture(20, 30, 3), picture(90, 61, 1), picture(200, 7, 3), picture(64, 64, 3)]
    tiling = tiles.choose_tiling(networks.CifarAutoencoder, [image.shape[:2] for image in images])
    together = restore(watched, tiling, 3, *images)
    assert len(shapes) == 1
    for image, restored in zip(images, together, strict=True):
        assert restored.shape == image.shape
        np.testing.assert_allclose(restored, restore(apply, tiling, 3, image)[0], atol=2e-6)


def test_channels_are_matched_to_the_network():
    grey, colour = network("mnist"), network("cifar")
    image = picture(28, 28, 3)
    (restored,) = restore(grey, tiles.blended(28, 7), 1, image)
    for channel in range(3):
        alone = np.asarray(grey(image[None, ..., channel : channel + 1]))[0, ..., 0]
        np.testing.assert_allclose(restored[..., channel], alone, atol=2e-6)
    lone = picture(40, 40, 1)
    (restored,) = restore(colour, tiles.exact(32, 4), 3, lone)
    (threefold,) = restore(colour, tiles.exact(32, 4), 3, np.repeat(lone, 3, axis=-1))
    np.testing.assert_allclose(restored[..., 0], threefold.mean(-1), atol=2e-6)


def test_the_tiles_fit_the_pictures():
    assert tiles.choose_tiling(networks.CifarAutoencoder, [(32, 32)] * 5).step == 32
    assert tiles.choose_tiling(networks.CifarAutoencoder, [(3000, 4000)]).step == 128


@pytest.mark.parametrize("shape", [(70, 97, 3), (41, 30, 3)])
def test_tiles_begin_where_the_blocks_of_a_network_do(shape):
    apply, image, reach = network("photo"), picture(*shape), networks.PhotoDenoiser.reach
    height, width, _ = shape
    seen = np.pad(image, [(reach, reach + height % 2), (reach, reach + width % 2), (0, 0)], mode="reflect")
    whole = np.asarray(apply(seen[None]))[0, reach : reach + height, reach : reach + width]
    tiling = tiles.choose_tiling(networks.PhotoDenoiser, [(32, 32)])
    assert (tiling.step, tiling.padding) == (32, 12)
    np.testing.assert_allclose(restore(apply, tiling, 3, image)[0], whole, atol=2e-6)


def test_a_network_that_sees_most_of_an_image_gets_windows_of_its_own_size():
    tiling = tiles.choose_tiling(networks.MnistDenoiser, [(100, 100)])
    assert (tiling.size, tiling.step) == (28, 7)


def test_a_reach_is_rounded_up_to_the_stride():
    class Strided(networks.CifarAutoencoder):
        size_multiple = 3

    assert tiles.choose_tiling(Strided, [(32, 32)])[:3] == (42, 30, 6)
