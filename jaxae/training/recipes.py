"""How the optimizer is driven: the originals' plain Adam, and one that gets further in fewer epochs.

Epochs, batch size and learning rate that a recipe takes for a network stand with the network, in `jaxae.models`.
"""

import functools

import optax

from jaxae.training.soap import scale_by_soap

ADAM = optax.adam(1.0)


@functools.cache
def make_optimizer(recipe: str, steps: int) -> optax.GradientTransformation:
    """For a (peak) learning rate of 1: Adam at a constant rate, or SOAP over one cycle of `steps` steps.

    The same arguments give the same object: a program is compiled for its optimizer, so that a second run like the
    first in one process, as in a notebook, need not compile anew.
    """
    if recipe == "plain":
        return ADAM
    return optax.chain(scale_by_soap(), optax.scale_by_learning_rate(one_cycle(steps)))


def one_cycle(steps: int) -> optax.Schedule:
    """From 0 up to 1 over the first fifth of `steps` steps, then down to 0 along a cosine.

    After Smith and Topin, "Super-convergence", arXiv:1708.07120.
    """
    return optax.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=steps // 5, decay_steps=steps)
