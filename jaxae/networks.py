"""The networks. Images and outputs are float32 [batch, height, width, channels] in [0, 1]."""

import itertools
from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from jaxae import ops
from jaxae.errors import UserError
from jaxae.layers import Conv, ConvTranspose
from jaxae.registry import Registry

Images = Float[Array, "batch height width channels"]
Codes = Float[Array, "batch rows columns features"]

NETWORKS: Registry[type["Network"]] = Registry("network")


class Network(nn.Module):
    """A network from images to images of the same size. A subclass defines `setup` and `forward`.

    In `forward`, activations are in the layout of the backend, ``self.ops``, which also computes the layers
    (`jaxae.layers`). Its activation function is `activate`, which reports of dead units rely on.

    Attributes:
        backend: a name in `jaxae.ops.BACKENDS`, or "auto"; parameters do not depend on it.
        dtype: of the activations; parameters and outputs are float32.
        reflect_padding: pixels of reflection padding that images get on every side, and outputs lose. A layer without
            padding sees a border pixel with a corner of its kernel only.
        image_shape: [height, width, channels] of the images that the network is made for.
        min_size: the least height and width.
        size_multiple: height and width must be multiples of it.
        reach: pixels to either side that an output pixel depends on; None if that is most of an image.
        microbatch_sizes: by backend, how many images a training step is best computed on at a time.
        is_residual: whether the outputs are the images with something added.
        least_noise: the standard deviation of noise below which outputs are worse than the images, of a network for
            noise of unknown strength, see `jaxae.denoising.restoring`; None for other networks.
        auto_backends: by platform, the backend that "auto" stands for if it is not the one that small networks take.
    """

    backend: str = "auto"
    dtype: jnp.dtype = jnp.dtype("float32")
    reflect_padding: int = 0

    image_shape: ClassVar[tuple[int, int, int]]
    min_size: ClassVar[int] = 1
    size_multiple: ClassVar[int] = 1
    reach: ClassVar[int | None] = None
    microbatch_sizes: ClassVar[Mapping[str, int]] = {}
    is_residual: ClassVar[bool] = False
    least_noise: ClassVar[float | None] = None
    auto_backends: ClassVar[Mapping[str, str]] = {}

    @property
    def microbatch_size(self) -> int | None:
        """How many images a training step is best computed on at a time; None for the whole batch."""
        return self.microbatch_sizes.get(ops.resolve_backend(self.backend))

    @property
    def ops(self) -> ops.Backend:
        """The backend's functions."""
        return ops.BACKENDS[ops.resolve_backend(self.backend)]

    def forward(self, x: Array) -> Array:
        """Return the outputs in [0, 1] for the images `x`; both in the layout of the backend."""
        raise NotImplementedError

    def activate(self, x: Array) -> Array:
        """Apply the activation function between layers, here ReLU."""
        return self.ops.relu(x)

    def __call__(self, images: Images) -> Images:
        """Return the restored images."""
        return self._crop(self._leave(self.forward(self._enter(self._pad(images)))))

    def _enter(self, x: Array) -> Array:
        return self.ops.enter(x.astype(self.dtype))

    def _leave(self, x: Array) -> Array:
        return self.ops.leave(x).astype(jnp.float32)

    def _pad(self, images: Images) -> Float[Array, "batch _ _ channels"]:
        for axis in (1, 2) if self.reflect_padding else ():
            last = images.shape[axis] - 1  # the outermost pixel itself is not repeated
            before = lax.slice_in_dim(images, 1, self.reflect_padding + 1, axis=axis)
            after = lax.slice_in_dim(images, last - self.reflect_padding, last, axis=axis)
            images = jnp.concatenate([lax.rev(before, (axis,)), images, lax.rev(after, (axis,))], axis)
        return images

    def _crop(self, images: Array) -> Images:
        height, width = images.shape[1:3]
        pad = self.reflect_padding
        return images[:, pad : height - pad, pad : width - pad]


class Autoencoder(Network):
    """An encoder and a decoder, each a chain of layers with an activation after each; a sigmoid at the end."""

    def setup(self):
        """Create the layers."""
        self.encoder = self.encoder_layers()
        self.decoder = self.decoder_layers()

    def encoder_layers(self) -> Sequence[nn.Module]:
        """Return the layers from image to code."""
        raise NotImplementedError

    def decoder_layers(self) -> Sequence[nn.Module]:
        """Return the layers from code to image."""
        raise NotImplementedError

    def forward(self, x: Array) -> Array:
        """Encode and decode."""
        return self._decode(self._encode(x))

    def encode(self, images: Images) -> Codes:
        """Return the codes of `images`, those of the reflection padding included; float32, non-negative."""
        return self._leave(self._encode(self._enter(self._pad(images))))

    def decode(self, codes: Codes) -> Images:
        """Return the images of `codes`, float32 in (0, 1)."""
        return self._crop(self._leave(self._decode(self._enter(codes))))

    def _encode(self, x: Array) -> Array:
        for layer in self.encoder:
            x = self.activate(layer(x))
        return x

    def _decode(self, x: Array) -> Array:
        *layers, last = self.decoder
        for layer in layers:
            x = self.activate(layer(x))
        return nn.sigmoid(last(x))


@NETWORKS.register("mnist")
class MnistDenoiser(Autoencoder):
    """28×28×1 through a 3×3×64 code. Other sizes: multiples of 4 from 20 on."""

    image_shape = (28, 28, 1)
    min_size, size_multiple = 20, 4
    microbatch_sizes: ClassVar[Mapping[str, int]] = {"lanes": 128}

    def encoder_layers(self) -> Sequence[nn.Module]:
        """28×28×1 → 14×14×16 → 7×7×32 → 3×3×64."""
        return [
            Conv(self.ops, 1, 16, 3, stride=2, padding=1),
            Conv(self.ops, 16, 32, 3, stride=2, padding=1),
            Conv(self.ops, 32, 64, 5),
        ]

    def decoder_layers(self) -> Sequence[nn.Module]:
        """3×3×64 → 7×7×32 → 14×14×16 → 28×28×1."""
        return [
            ConvTranspose(self.ops, 64, 32, 5),
            ConvTranspose(self.ops, 32, 16, 3, stride=2, padding=1, output_padding=1),
            ConvTranspose(self.ops, 16, 1, 3, stride=2, padding=1, output_padding=1),
        ]


@NETWORKS.register("cifar")
class CifarAutoencoder(Autoencoder):
    """32×32×3 through a 28×28×8 code. Other sizes: from 5 on."""

    image_shape = (32, 32, 3)
    min_size = 5
    reach = 4  # one pixel for each of four 3×3 layers
    microbatch_sizes: ClassVar[Mapping[str, int]] = {"lanes": 16, "xla_in_parts": 128}

    def encoder_layers(self) -> Sequence[nn.Module]:
        """32×32×3 → 30×30×8 → 28×28×8."""
        return [Conv(self.ops, 3, 8, 3), Conv(self.ops, 8, 8, 3)]

    def decoder_layers(self) -> Sequence[nn.Module]:
        """28×28×8 → 30×30×8 → 32×32×3."""
        return [ConvTranspose(self.ops, 8, 8, 3), ConvTranspose(self.ops, 8, 3, 3)]


@NETWORKS.register("photo")
class PhotoDenoiser(Network):
    """A chain of six 3×3 layers at half the size, which computes what to add to a photograph. Sizes: multiples of 2.

    Each 2×2 block of pixels is a pixel of four times the channels on the way, as in FFDNet (Zhang, Zuo and Zhang, IEEE
    Transactions on Image Processing 27, 2018), and the output is added to the image, as in DnCNN (Zhang et al., 2017).
    Nothing tells the network how strong the noise is. Outputs may leave [0, 1] by a little.
    """

    image_shape = (64, 64, 3)
    size_multiple = 2
    reach = 12  # two pixels for each layer
    is_residual = True
    least_noise = 0.006
    auto_backends: ClassVar[Mapping[str, str]] = {"cpu": "xla"}
    microbatch_sizes: ClassVar[Mapping[str, int]] = {"xla": 4}
    features: ClassVar[int] = 40
    depth: ClassVar[int] = 6

    def setup(self):
        """Create the layers."""
        own = 4 * self.image_shape[2]
        widths = [own, *[self.features] * (self.depth - 1), own]
        self.layers = [Conv(self.ops, before, after, 3, padding=1) for before, after in itertools.pairwise(widths)]

    def forward(self, x: Array) -> Array:
        """Return what to add to `x`; both in blocks and in the layout of the backend."""
        *layers, last = self.layers
        for layer in layers:
            x = self.activate(layer(x))
        return last(x)

    def __call__(self, images: Images) -> Images:
        """Return the restored images."""
        padded = self._pad(images)
        return self._crop(padded + self._leave(self.forward(self._enter(padded))))

    def _enter(self, x: Array) -> Array:
        batch, height, width, channels = x.shape
        blocks = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
        return super()._enter(blocks.reshape(batch, height // 2, width // 2, 4 * channels))

    def _leave(self, x: Array) -> Array:
        batch, rows, columns, _ = (blocks := super()._leave(x)).shape
        pixels = blocks.reshape(batch, rows, columns, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5)
        return pixels.reshape(batch, 2 * rows, 2 * columns, -1)


@NETWORKS.register("photo_grey")
class GreyPhotoDenoiser(PhotoDenoiser):
    """The same for one channel."""

    image_shape = (64, 64, 1)


def build(name: str, backend: str = "auto", precision: str = "float32", reflect_padding: int = 0) -> Network:
    """Create a network.

    Args:
        name: a name in `NETWORKS`.
        backend: a name in `jaxae.ops.BACKENDS`, or "auto".
        precision: the dtype of the activations, "float32" or "bfloat16".
        reflect_padding: see `Network`.

    Raises:
        UserError: for an unknown name, and for more reflection padding than the least image has pixels for.
    """
    network = NETWORKS[name]
    if backend == "auto":
        backend = network.auto_backends.get(jax.default_backend(), backend)
    ops.resolve_backend(backend)
    step = max(1, network.size_multiple // 2)
    most = (network.min_size - 1) // step * step
    if not 0 <= reflect_padding <= most or reflect_padding % step:
        raise UserError(
            f"`reflect_padding` {reflect_padding}: the {name} network takes 0 to {most} pixels in steps of {step}"
        )
    return network(backend, jnp.dtype(precision), reflect_padding)


def resolve_name(name: str, image_shape: tuple[int, ...]) -> str:
    """Return the name of the network for images of `image_shape` [height, width, channels].

    Args:
        name: a name in `NETWORKS`, or "auto" for the first one made for that shape.
        image_shape: the images' own.

    Raises:
        UserError: if there is no such network, or it does not take these images.
    """
    shape = "×".join(map(str, image_shape))
    if name == "auto":
        made_for = {known: network.image_shape for known, network in NETWORKS.items()}
        fitting = [known for known, wanted in made_for.items() if wanted == tuple(image_shape)]
        if not fitting:
            there = ", ".join(f"{known} for {'×'.join(map(str, wanted))}" for known, wanted in made_for.items())
            raise UserError(f"no network is made for images of {shape} (there are: {there}): name one as `network`")
        return fitting[0]
    network, (height, width, channels) = NETWORKS[name], image_shape
    if channels != network.image_shape[2]:
        raise UserError(f"the {name} network takes images with {network.image_shape[2]} channels, not {shape}")
    if min(height, width) < network.min_size or height % network.size_multiple or width % network.size_multiple:
        raise UserError(
            f"the {name} network takes images of at least {network.min_size} pixels a side in steps of "
            f"{network.size_multiple}, not {shape}"
        )
    return name


def crop_shape(name: str, default: str) -> tuple[int, int, int]:
    """Return the shape that images of any size are made to for the network `name`; for `default` if that is "auto"."""
    return NETWORKS[default if name == "auto" else name].image_shape
