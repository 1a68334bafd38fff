"""The pictures that the commands draw, for notebooks. Each function returns a Matplotlib figure, drawn without pyplot.

A cell shows the figure that is its last value; ``figure.savefig("name.png")`` writes it.
"""

from typing import Any

import numpy as np
from jax import Array

from jaxae.data.pictures.picture import ValueRange
from jaxae.denoising.arrays import ChannelAxis, as_pictures
from jaxae.denoising.before_after import cut_middles, draw_columns, measure_restoration
from jaxae.experiments.from_python import TrainResult
from jaxae.runs.figures import curves, image_rows, sample_rows

__all__ = ["before_and_after", "compare_pictures", "curves", "image_rows"]


def before_and_after(result: TrainResult, columns: int = 10) -> Any:
    """Draw the first test images of a run before and after."""
    return sample_rows(result.model.network, result.model.params, result.test, columns)


def compare_pictures(
    noisy: np.ndarray | Array,
    restored: np.ndarray | Array,
    clean: np.ndarray | Array | None = None,
    *,
    channel_axis: ChannelAxis = "auto",
    value_range: ValueRange | None = None,
) -> Any:
    """Draw the middles of pictures in a column each, with their PSNR if the clean pictures are known.

    Args:
        noisy: a picture or several, as `jaxae.denoise` takes them.
        restored: what it returned.
        clean: of the same shape.
        channel_axis: see `jaxae.denoise`.
        value_range: see `jaxae.denoise`.
    """
    arrays = {"original": clean, "noisy": noisy, "restored": restored}
    states = [
        [picture.floats() for picture in as_pictures(np.asarray(array), channel_axis, value_range)[0]]
        for array in arrays.values()
        if array is not None
    ]
    columns = [
        ("", cut_middles(*each), {} if clean is None else measure_restoration(*each))
        for each in zip(*states, strict=True)
    ]
    return draw_columns(columns, [label for label, array in arrays.items() if array is not None])
