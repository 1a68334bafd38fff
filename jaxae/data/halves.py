"""Pairs of images as single ones of twice the channels, the noisy half first, so that they travel like any others."""

import numpy as np
from jax import Array
from jaxtyping import Shaped

SINGLE = 1, 3  # channels of an image that is no pair

Images = Shaped[Array, "*batch height width channels"] | Shaped[np.ndarray, "*batch height width channels"]
Halves = Shaped[Array, "*batch height width half"] | Shaped[np.ndarray, "*batch height width half"]


def are_pairs(shape: tuple[int, ...]) -> bool:
    """Whether images of `shape` [..., height, width, channels] are pairs."""
    return shape[-1] not in SINGLE and shape[-1] // 2 in SINGLE


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what a network takes of images of `shape`: of a pair one half."""
    return (*shape[:-1], shape[-1] // 2) if are_pairs(shape) else tuple(shape)


def split(images: Images) -> tuple[Halves, Halves]:
    """The input and the clean image of each of `images`: the halves of a pair, or twice the image itself."""
    if not are_pairs(images.shape):
        return images, images
    half = images.shape[-1] // 2
    return images[..., :half], images[..., half:]
