"""LSUV initialization: scale initial weights to outputs of unit variance (Mishkin and Matas, "All you need is a good
init", ICLR 2016).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float, PyTree, Shaped

from jaxae import ops
from jaxae.networks import Network
from jaxae.tracing import convolution_outputs
from jaxae.training.step import LSUV, Hyperparameters, to_float
from jaxae.training.task import Task

Pixels = Float[Array, "batch height width channels"]


def scale_initial(task: Task, hyper: Hyperparameters, params: PyTree, images: Shaped[np.ndarray, "n h w c"]) -> PyTree:
    """Return `params` scaled, see `scale_layers`, on `images` with the run's own noise."""
    model = task.model.clone(backend=ops.REFERENCE, dtype=jnp.dtype("float32"))  # activations are NHWC
    return ops.jit(_scale, static_argnums=0)(model, hyper, params, jnp.asarray(images))


def _scale(model: Network, hyper: Hyperparameters, params: PyTree, images: Array) -> PyTree:
    return scale_layers(model, params, hyper.noise(jax.random.fold_in(hyper.key, LSUV), to_float(images)))


def scale_layers(model: Network, params: PyTree, images: Pixels) -> PyTree:
    """Return `params` with every convolution but the last scaled to outputs of mean 0 and standard deviation 1.

    That holds for each channel before its activation, on `images`, layer after layer in the order of execution. A
    channel whose output is constant keeps its weights, and gets the bias that makes it 0.

    Args:
        model: a network whose backend has NHWC layout.
        params: its initial parameters.
        images: noisy images.
    """
    flat: dict[tuple[str, ...], Any] = flatten_dict(params)
    for path in list(convolution_outputs(model, params, images))[:-1]:
        output = convolution_outputs(model, unflatten_dict(flat), images)[path]
        mean, deviation = jnp.mean(output, (0, 1, 2)), jnp.std(output, (0, 1, 2))
        deviation = jnp.where(deviation > 1e-6, deviation, 1)
        flat[*path, "kernel"] = flat[*path, "kernel"] / deviation[None, None, None]
        flat[*path, "bias"] = (flat[*path, "bias"] - mean) / deviation
    return unflatten_dict(flat)
