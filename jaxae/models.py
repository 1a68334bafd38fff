"""The two networks, each with all that is known of it. Images and outputs are [batch, height, width, channels] floats
in [0, 1].
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from jaxae import ops
from jaxae.errors import UserError
from jaxae.layers import Conv, ConvTranspose

Images = Float[Array, "batch height width channels"]
Codes = Float[Array, "batch rows columns features"]


class Recipe(NamedTuple):
    """How a network is trained where the command line says nothing.

    scaled_start: whether its fresh weights are scaled by what they answer, see `jaxae.training.scaled_start`.
    margin: see `Autoencoder`.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    scaled_start: bool = False
    margin: int = 0


class Autoencoder(nn.Module):
    """An encoder and a decoder, each a chain of layers; ReLU between layers, sigmoid at the end.

    way: how convolutions are computed, a name in `jaxae.ops`; the parameters do not depend on it.
    dtype: what activations are computed in; the parameters and the output stay float32.
    margin: pixels by which images are continued, mirrored, on every side before the first layer, and which are cut off
        after the last. A pixel at the border of a layer without padding is seen by the corner of a kernel alone.

    The class variables are what is known of a network beside its layers:

    image_shape: [height, width, channels] of the images it is made for.
    least_size, size_step: other sizes it takes: along each axis from `least_size` on in steps of `size_step`.
    recipes: by name (see `jaxae.training.recipes`), how it is trained.
    reach: pixels to either side that a pixel of the output depends on; None where that is most of an image.
    micro_batches: by way of computing, how many images at a time a training step is best computed on.
    """

    way: str = "auto"
    dtype: jnp.dtype = jnp.float32
    margin: int = 0

    image_shape: ClassVar[tuple[int, int, int]]
    least_size: ClassVar[int]
    size_step: ClassVar[int]
    recipes: ClassVar[Mapping[str, Recipe]]
    reach: ClassVar[int | None] = None
    micro_batches: ClassVar[Mapping[str, int]] = {}

    @property
    def micro_batch(self) -> int | None:
        """How many images at a time a training step is best computed on; None: the whole batch."""
        return self.micro_batches.get(ops.resolve(self.way))

    def setup(self):
        """Make the layers."""
        self.ops = ops.pick(self.way)
        self.encoder = self.encoder_layers()
        self.decoder = self.decoder_layers()

    def encoder_layers(self) -> Sequence[nn.Module]:
        """The layers from image to code."""
        raise NotImplementedError

    def decoder_layers(self) -> Sequence[nn.Module]:
        """The layers from code to image."""
        raise NotImplementedError

    def __call__(self, images: Images) -> Images:
        """The restored images, float32 in (0, 1)."""
        return self._restore(self._encode(self._enter(self._continue(images))))

    def encode(self, images: Images) -> Codes:
        """The codes of `images`, the margin's included, float32, non-negative."""
        return self._leave(self._encode(self._enter(self._continue(images))))

    def decode(self, codes: Codes) -> Images:
        """The images of `codes`, float32 in (0, 1)."""
        return self._restore(self._enter(codes))

    def _continue(self, images: Images) -> Float[Array, "batch _ _ channels"]:
        for axis in (1, 2) if self.margin else ():
            last = images.shape[axis] - 1  # mirrored at the middle of the outermost pixels, which stand once
            before = lax.slice_in_dim(images, 1, self.margin + 1, axis=axis)
            after = lax.slice_in_dim(images, last - self.margin, last, axis=axis)
            images = jnp.concatenate([lax.rev(before, (axis,)), images, lax.rev(after, (axis,))], axis)
        return images

    def _restore(self, code: Array) -> Images:
        images = self._leave(nn.sigmoid(self._decode(code)))
        height, width = images.shape[1:3]
        return images[:, self.margin : height - self.margin, self.margin : width - self.margin]

    def _enter(self, x: Array) -> Array:
        return self.ops.enter(x.astype(self.dtype))

    def _leave(self, x: Array) -> Array:
        return self.ops.leave(x).astype(jnp.float32)

    def _encode(self, x: Array) -> Array:
        for layer in self.encoder:
            x = self.ops.relu(layer(x))
        return x

    def _decode(self, x: Array) -> Array:
        for layer in self.decoder[:-1]:
            x = self.ops.relu(layer(x))
        return self.decoder[-1](x)


class MnistDenoiser(Autoencoder):
    """28×28×1 through a 3×3×64 code; other sizes work too: a multiple of 4, at least 20."""

    image_shape = (28, 28, 1)
    least_size, size_step = 20, 4
    # those of fast were chosen on a validation part of the training split (experiments/recipe)
    recipes: ClassVar[Mapping[str, Recipe]] = {"plain": Recipe(10, 128, 1e-3), "fast": Recipe(3, 64, 8e-3)}
    micro_batches: ClassVar[Mapping[str, int]] = {"lanes": 128}

    def encoder_layers(self):
        """28×28×1 → 14×14×16 → 7×7×32 → 3×3×64."""
        return [
            Conv(self.ops, 1, 16, 3, stride=2, padding=1),
            Conv(self.ops, 16, 32, 3, stride=2, padding=1),
            Conv(self.ops, 32, 64, 5),
        ]

    def decoder_layers(self):
        """3×3×64 → 7×7×32 → 14×14×16 → 28×28×1."""
        return [
            ConvTranspose(self.ops, 64, 32, 5),
            ConvTranspose(self.ops, 32, 16, 3, stride=2, padding=1, output_padding=1),
            ConvTranspose(self.ops, 16, 1, 3, stride=2, padding=1, output_padding=1),
        ]


class CifarAutoencoder(Autoencoder):
    """32×32×3 through a 28×28×8 code; other sizes work too: at least 5."""

    image_shape = (32, 32, 3)
    least_size, size_step = 5, 1
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "plain": Recipe(10, 128, 1e-3),
        "fast": Recipe(5, 64, 2e-2, scaled_start=True, margin=4),
    }
    reach = 4  # one pixel for each of four 3×3 layers
    micro_batches: ClassVar[Mapping[str, int]] = {"lanes": 16, "xla_in_parts": 128}

    def encoder_layers(self):
        """32×32×3 → 30×30×8 → 28×28×8."""
        return [Conv(self.ops, 3, 8, 3), Conv(self.ops, 8, 8, 3)]

    def decoder_layers(self):
        """28×28×8 → 30×30×8 → 32×32×3."""
        return [ConvTranspose(self.ops, 8, 8, 3), ConvTranspose(self.ops, 8, 3, 3)]


MODELS: dict[str, type[Autoencoder]] = {"mnist": MnistDenoiser, "cifar": CifarAutoencoder}


def find(name: str) -> type[Autoencoder]:
    """The network called `name` in `MODELS`. Raises UserError where there is none."""
    if name not in MODELS:
        raise UserError(f"no network is called {name!r}; there are: {', '.join(MODELS)}")
    return MODELS[name]


def build(name: str, way: str = "auto", precision: str = "float32", margin: int = 0) -> Autoencoder:
    """The network called `name` in `MODELS`, computed with `way` (see `jaxae.ops`) in `precision`, a float dtype.

    margin: see `Autoencoder`. Raises UserError for one that not every image has the pixels for.
    """
    model, step = find(name), max(1, find(name).size_step // 2)
    most = (model.least_size - 1) // step * step
    if not 0 <= margin <= most or margin % step:
        raise UserError(f"a margin of {margin}: the {name} network takes one from 0 to {most} in steps of {step}")
    return model(way, jnp.dtype(precision), margin)


def for_image_shape(shape: tuple[int, ...]) -> str:
    """The name in `MODELS` of the network made for images of `shape` [height, width, channels].

    Raises UserError where none is.
    """
    for name, model in MODELS.items():
        if model.image_shape == tuple(shape):
            return name
    known = ", ".join(f"{name} for {_text(model.image_shape)}" for name, model in MODELS.items())
    raise UserError(f"no network is made for images of {_text(shape)} (there are: {known}): name one with --model")


def check_image_shape(name: str, shape: tuple[int, ...]) -> None:
    """Raise UserError unless the network called `name` takes images of `shape` and gives back the same shape."""
    height, width, channels = shape
    model = find(name)
    if channels != model.image_shape[2]:
        raise UserError(f"the {name} network takes {model.image_shape[2]} channels, not images of {_text(shape)}")
    if min(height, width) < model.least_size or height % model.size_step or width % model.size_step:
        raise UserError(
            f"the {name} network takes sizes from {model.least_size} on in steps of {model.size_step}, "
            f"not images of {_text(shape)}"
        )


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
