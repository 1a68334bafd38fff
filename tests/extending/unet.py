"""A U-Net for 32×32×3 images, with GroupNorm and SiLU.

    python -m jaxae.experiments.cifar10_denoise --import tests.extending.unet --network unet

Ronneberger, Fischer and Brox, "U-Net", arXiv:1505.04597; Wu and He, "Group Normalization", arXiv:1803.08494.
"""

import jax.numpy as jnp
from flax import linen as nn

from jaxae import ops
from jaxae.layers import Conv, ConvTranspose
from jaxae.networks import NETWORKS, Network


class NormConv(nn.Module):
    """A 3×3 convolution and GroupNorm, as in PyTorch."""

    ops: ops.Backend
    in_channels: int
    out_channels: int
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        """Convolve in the backend's layout; normalize in NHWC, as Linen does, and in float32."""
        x = Conv(self.ops, self.in_channels, self.out_channels, 3, self.stride, padding=1, name="conv")(x)
        normalized = nn.GroupNorm(num_groups=8, epsilon=1e-5, name="norm")(self.ops.leave(x).astype(jnp.float32))
        return self.ops.enter(normalized.astype(x.dtype))


@NETWORKS.register("unet")
class UNet(Network):
    """32×32×16 and back through 16×16×32 and 8×8×64. Other sizes: multiples of 4 from 8 on."""

    image_shape = (32, 32, 3)
    min_size, size_multiple = 8, 4

    def setup(self):
        """Create the layers: two levels down, two up, each of these after a skip from the same size."""
        self.first = NormConv(self.ops, 3, 16)
        self.down = [NormConv(self.ops, 16, 32, stride=2), NormConv(self.ops, 32, 64, stride=2)]
        self.up = [ConvTranspose(self.ops, 64, 32, 2, stride=2), ConvTranspose(self.ops, 32, 16, 2, stride=2)]
        self.merge = [NormConv(self.ops, 64, 32), NormConv(self.ops, 32, 16)]
        self.last = Conv(self.ops, 16, 3, 3, padding=1)

    def activate(self, x):
        """Apply SiLU instead of ReLU."""
        return nn.silu(x)

    def forward(self, x):
        """Return the outputs for `x`, both in the backend's layout."""
        skips = [self.activate(self.first(x))]
        for down in self.down:
            skips.append(self.activate(down(skips[-1])))
        x = skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = jnp.concatenate([skips.pop(), self.activate(up(x))], self.ops.channel_axis)
            x = self.activate(merge(x))
        return nn.sigmoid(self.last(x))
