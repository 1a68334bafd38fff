"""Whether a network does what it could: outputs that are all alike, and filters that nothing wakes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxae import ops
from jaxae.layers import Conv, ConvTranspose
from jaxae.models import Autoencoder
from jaxae.run.scores import BATCH_SIZE, Losses, Scores, corrupt
from jaxae.run.test_set import TestSet

# Below this share of the images' own spread the outputs are called alike. On MNIST a network that answers with black
# has 0.0002; those that had learnt for one epoch, and CIFAR's after a fifth of one, 0.83 to 0.85.
ALIKE = 0.05
LOOKED_AT = 1024  # test images on which filters are watched
REMEDY = (
    "it often passes after some epochs; if it stays, try another --seed, a lower --train.learning-rate or --recipe fast"
)


def are_alike(scores: Scores | Losses) -> bool:
    """Whether the outputs for different test images hardly differ."""
    return scores.spread < ALIKE


def warning(scores: Scores | Losses) -> str:
    """What to say of outputs that are alike."""
    return (
        f"the outputs for different test images hardly differ ({scores.spread:.1%} of the images' own spread): "
        f"as yet the network answers nearly the same to all; {REMEDY}"
    )


def describe(model: Autoencoder, params: PyTree, test: TestSet, scores: Scores | Losses) -> dict[str, Any]:
    """What the summary says: the outputs' spread, and of how many filters before a ReLU how many nothing wakes."""
    awake = np.concatenate(_awake(model, params, test))
    return {
        "outputs_spread": scores.spread,
        "outputs_alike": are_alike(scores),
        "filters": len(awake),
        "filters_asleep": int(np.sum(~awake)),
    }


def _awake(model: Autoencoder, params: PyTree, test: TestSet) -> list[np.ndarray]:
    """Of each layer that a ReLU follows, which filters are above zero anywhere in one of the first test images."""
    program, model = ops.jit(_highest, static_argnums=0), model.clone(way="xla", dtype=jnp.dtype("float32"))
    count = min(LOOKED_AT, len(test.images))
    size = min(BATCH_SIZE, count)
    batches = np.resize(np.arange(count, dtype=np.uint32), (-(-count // size), size))  # the last filled with the first
    highest = [program(model, params, test.noise, test.images[batch], batch) for batch in batches]
    return [np.max(layer, 0) > 0 for layer in zip(*jax.device_get(highest), strict=True)]


def _highest(model: Autoencoder, params: PyTree, noise: Any, images: jax.Array, indices: jax.Array) -> list[jax.Array]:
    def is_layer(module: Any, _: str) -> bool:
        return isinstance(module, Conv | ConvTranspose)

    _, noisy = corrupt(noise, images, indices)
    _, state = model.apply({"params": params}, noisy, capture_intermediates=is_layer, mutable="intermediates")
    names = sorted(state["intermediates"])  # decoder_0 … encoder_2; a sigmoid follows the last of the decoder
    last = max(name for name in names if name.startswith("decoder"))
    outputs = {name: state["intermediates"][name]["__call__"][0] for name in names if name != last}
    return [jnp.max(output, (0, 1, 2)) for output in outputs.values()]
