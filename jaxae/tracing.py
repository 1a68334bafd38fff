"""What tracing a network finds: its parameters' shapes, its layers in the order of execution, and their outputs.

Nothing here knows how a network is built: it runs `__call__` and watches the calls of its modules.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, PyTree

from jaxae import ops
from jaxae.layers import Conv, ConvTranspose
from jaxae.networks import Images, Network


def params_like(network: Network) -> PyTree:
    """Return the shapes and dtypes of the parameters of `network`, as `jax.ShapeDtypeStruct`."""
    model, images = network.clone(backend=ops.REFERENCE), jnp.zeros((1, *network.image_shape))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), images)["params"])


class Layer(NamedTuple):
    """A layer with parameters of its own.

    Attributes:
        path: the keys that lead to its parameters.
        module: the Linen module, for its type and its fields.
    """

    path: tuple[str, ...]
    module: nn.Module


def list_layers(network: Network) -> list[Layer]:
    """Return the layers of `network` in the order in which `__call__` runs them."""
    found: dict[tuple[str, ...], nn.Module] = {}

    def record(call: Callable[..., Any], arguments: Any, options: Any, context: nn.module.InterceptorContext) -> Any:
        result, module = call(*arguments, **options), context.module
        own = module.variables.get("params", {})
        if context.method_name == "__call__" and any(not isinstance(value, Mapping) for value in own.values()):
            found.setdefault(module.path, module.clone(parent=None))
        return result

    model, images = network.clone(backend=ops.REFERENCE), jnp.zeros((1, *network.image_shape))
    with nn.intercept_methods(record):
        jax.eval_shape(lambda: model.init(jax.random.key(0), images))
    return [Layer(path, module) for path, module in found.items()]


def convolution_outputs(network: Network, params: PyTree, images: Images) -> dict[tuple[str, ...], Array]:
    """Return the output of each convolution, before its activation, by its path in the order of execution.

    `network` must use a backend with NHWC layout.
    """
    return dict(_outputs(network, params, images, (Conv, ConvTranspose), "__call__"))


def activations(network: Network, params: PyTree, images: Images) -> list[Array]:
    """Return what `Network.activate` returned, in the order of execution; `network` as in `convolution_outputs`."""
    return [output for _, output in _outputs(network, params, images, (Network,), "activate")]


def _outputs(
    network: Network, params: PyTree, images: Images, types: tuple[type[nn.Module], ...], method: str
) -> list[tuple[tuple[str, ...], Array]]:
    found = []

    def record(call: Callable[..., Any], arguments: Any, options: Any, context: nn.module.InterceptorContext) -> Any:
        result = call(*arguments, **options)
        if isinstance(context.module, types) and context.method_name == method:
            found.append((context.module.path, result))
        return result

    with nn.intercept_methods(record):
        network.apply({"params": params}, images)
    return found
