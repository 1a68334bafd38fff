"""Whether training went wrong: collapsed outputs, the same for every image, and dead units."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxae import ops
from jaxae.data.images import Images
from jaxae.networks import Network
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.runs.scores import BATCH_SIZE, Scores, add_test_noise
from jaxae.tracing import activations

COLLAPSED = 0.05  # outputs of less spread are called collapsed: trained networks have 0.8 and more, black ones 0.0002
MAX_COUNT = 1024  # test images on which units are observed
REMEDY = "it often passes after some epochs; if not, try another seed, a lower learning rate or the fast recipe"


def is_collapsed(scores: Scores) -> bool:
    """Return whether the outputs for different test images hardly differ."""
    return scores.spread < COLLAPSED


def collapse_warning(scores: Scores) -> str:
    """Return what to tell a user about collapsed outputs."""
    return (
        f"the outputs for different test images hardly differ (their spread is {scores.spread:.1%} of the images'): "
        f"the network gives nearly the same output for every image; {REMEDY}"
    )


def measure_health(model: Network, params: PyTree, evaluation: EvaluationSet, scores: Scores) -> dict[str, Any]:
    """Return the spread of the outputs and the number of dead units, as JSON types.

    A unit is a channel that `Network.activate` returns, and dead if no test image changes it.
    """
    alive = _alive(model, params, evaluation)
    return {
        "outputs_spread": scores.spread,
        "outputs_collapsed": is_collapsed(scores),
        "units": len(alive),
        "dead_units": int(np.sum(~alive)),
    }


def _alive(model: Network, params: PyTree, evaluation: EvaluationSet) -> np.ndarray:
    program = ops.jit(_extremes, static_argnums=0)
    model = model.clone(backend=ops.REFERENCE, dtype=jnp.dtype("float32"))
    count = min(MAX_COUNT, evaluation.images.count)
    size = min(BATCH_SIZE, count)
    batches = np.resize(np.arange(count, dtype=np.uint32), (-(-count // size), size))  # the last one is filled up
    found = [program(model, params, evaluation.noise, evaluation.images.take(batch), batch) for batch in batches]
    lowest, highest = (np.stack(each) for each in zip(*jax.device_get(found), strict=True))
    return highest.max(0) > lowest.min(0)


def _extremes(
    model: Network, params: PyTree, noise: Any, images: Images, indices: jax.Array
) -> tuple[jax.Array, jax.Array]:
    outputs = activations(model, params, add_test_noise(noise, images, indices)[1])
    lowest, highest = (
        jnp.concatenate([jnp.zeros(0), *(reduce(output, (0, 1, 2)) for output in outputs)])
        for reduce in (jnp.min, jnp.max)
    )
    return lowest, highest
