"""A start in which every filter has something to say: fresh weights scaled by what they answer to a first batch."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, PyTree, UInt8

from jaxae import ops
from jaxae.layers import Conv, ConvTranspose
from jaxae.training.step import SCALE, Hyperparameters, Task, to_float

Images = Float[Array, "batch height width channels"]


def scaled_start(task: Task, hyper: Hyperparameters, params: PyTree, images: UInt8[np.ndarray, "n h w c"]) -> PyTree:
    """`params` scaled, see `scale`, by what they answer to `images` with the run's own noise on them."""
    model = task.model.clone(way="xla", dtype=jnp.dtype("float32"))  # activations are [image, row, column, filter]
    return ops.jit(_scale, static_argnums=0)(model, hyper, params, jnp.asarray(images))


def _scale(model: nn.Module, hyper: Hyperparameters, params: PyTree, images: Array) -> PyTree:
    return scale(model, params, hyper.noise(jax.random.fold_in(hyper.key, SCALE), to_float(images)))


def scale(model: nn.Module, params: PyTree, images: Images) -> PyTree:
    """`params` with each layer scaled so that every filter's output before its ReLU has mean 0 and deviation 1.

    model: computed by `xla`.
    images: on which that holds, layer after layer, as in LSUV (Mishkin and Matas, "All you need is a good init", 2016).

    The last layer, which a sigmoid follows, stays as it is. A filter that answers the same to everything keeps its
    weights and gets a bias that makes it 0.
    """
    order = [name for part in ("encoder", "decoder") for name in sorted(params) if name.startswith(part)][:-1]
    for name in order:
        layer, output = params[name], _output(model, params, images, name)
        mean, deviation = jnp.mean(output, (0, 1, 2)), jnp.std(output, (0, 1, 2))
        deviation = jnp.where(deviation > 1e-6, deviation, 1)
        kernel = layer["kernel"] / deviation[None, None, None]
        params = params | {name: layer | {"kernel": kernel, "bias": (layer["bias"] - mean) / deviation}}
    return params


def _output(model: nn.Module, params: PyTree, images: Images, name: str) -> Array:
    """What the layer called `name` puts out, before its ReLU."""

    def is_layer(module: nn.Module, _: str) -> bool:
        return isinstance(module, Conv | ConvTranspose) and module.name == name

    _, state = model.apply({"params": params}, images, capture_intermediates=is_layer, mutable="intermediates")
    return state["intermediates"][name]["__call__"][0]
