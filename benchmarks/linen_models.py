"""The two networks as anyone would write them in Linen. Parameters have the names and shapes of jaxae's."""

import jax.numpy as jnp
from flax import linen as nn


class MnistDenoiser(nn.Module):
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(16, (3, 3), 2, padding=1, dtype=self.dtype, name="encoder_0")(x))
        x = nn.relu(nn.Conv(32, (3, 3), 2, padding=1, dtype=self.dtype, name="encoder_1")(x))
        x = nn.relu(nn.Conv(64, (5, 5), padding=0, dtype=self.dtype, name="encoder_2")(x))
        x = nn.relu(nn.ConvTranspose(32, (5, 5), padding="VALID", dtype=self.dtype, name="decoder_0")(x))
        pads = [(1, 2), (1, 2)]  # PyTorch's padding=1, output_padding=1
        x = nn.relu(nn.ConvTranspose(16, (3, 3), (2, 2), padding=pads, dtype=self.dtype, name="decoder_1")(x))
        x = nn.ConvTranspose(1, (3, 3), (2, 2), padding=pads, dtype=self.dtype, name="decoder_2")(x)
        return nn.sigmoid(x).astype(jnp.float32)


class CifarAutoencoder(nn.Module):
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3), padding="VALID", dtype=self.dtype, name="encoder_0")(x))
        x = nn.relu(nn.Conv(8, (3, 3), padding="VALID", dtype=self.dtype, name="encoder_1")(x))
        x = nn.relu(nn.ConvTranspose(8, (3, 3), padding="VALID", dtype=self.dtype, name="decoder_0")(x))
        x = nn.ConvTranspose(3, (3, 3), padding="VALID", dtype=self.dtype, name="decoder_1")(x)
        return nn.sigmoid(x).astype(jnp.float32)


NETWORKS = {"mnist": MnistDenoiser, "cifar": CifarAutoencoder}
