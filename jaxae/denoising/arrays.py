"""Pictures as arrays: `jaxae.denoise`, which gives what the command does for files with the same values."""

from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxae.data.pictures.picture import Picture, ValueRange
from jaxae.denoising.restoring import restore
from jaxae.errors import UserError
from jaxae.runs.trained import TrainedRun, load_run

ChannelAxis = int | Literal["auto"] | None
Pixels = TypeVar("Pixels", np.ndarray, Array)


def denoise(
    images: Pixels,
    model: TrainedRun | Path | str = "ready",
    *,
    channel_axis: ChannelAxis = "auto",
    value_range: ValueRange | None = None,
    strength: float = 1.0,
) -> Pixels:
    """Denoise a picture or a stack of pictures of any size.

    A grey picture enters a network for colour as three equal channels, whose outputs are averaged; a network for grey
    pictures takes the channels of a coloured one apart.

    Args:
        images: uint8, uint16 or floats; [height, width], [height, width, 3], or a stack of these with further axes in
            front.
        model: what `jaxae.load` returns, or what it takes. A run's directory is loaded and compiled in each call.
        channel_axis: the axis of the channels, 1 or 3 of them; None if there is none, as in a stack of grey pictures.
            "auto": the last of three or more axes, if it has the length 1 or 3.
        value_range: the values of black and white; by default 0 and 255 for uint8, 0 and 65535 for uint16, 0 and 1 for
            floats.
        strength: how much of what the network takes away is taken away, above 0 and at most 1.

    Returns:
        The restored images: an array of NumPy or JAX, as `images` is, of the same shape and dtype.

    Raises:
        TypeError: for values of another type.
        UserError: a ValueError, for another shape, and for values that are not finite or beyond `value_range`.
    """
    array, run = np.asarray(images), model if isinstance(model, TrainedRun) else load_run(model)
    pictures, axis = as_pictures(array, channel_axis, value_range)
    restored = restore(run, ((None, picture.floats()) for picture in pictures), strength)
    stored = np.stack([picture.as_stored(each.values) for picture, each in zip(pictures, restored, strict=True)])
    channels_last = np.moveaxis(array[..., None] if axis is None else array, -1 if axis is None else axis, -1).shape
    result = np.moveaxis(stored.reshape(channels_last), -1, -1 if axis is None else axis).reshape(array.shape)
    return cast(Any, jax.device_put(result, images.sharding) if isinstance(images, Array) else result)


def as_pictures(
    array: np.ndarray, channel_axis: ChannelAxis = "auto", value_range: ValueRange | None = None
) -> tuple[list[Picture], int | None]:
    """Return the pictures in `array`, and the axis of their channels; see `denoise`."""
    is_whole, shape = array.dtype.kind == "u" and array.dtype.itemsize <= 2, array.shape
    if not is_whole and not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"images of {array.dtype}: they must be uint8, uint16 or floats")
    if channel_axis == "auto":
        if array.ndim > 2 and shape[-1] in (2, 4):
            raise UserError(
                f"images of shape {shape}: is the last axis alpha? denoise the other channels alone, or give "
                "`channel_axis` None for a stack of pictures"
            )
        channel_axis = -1 if array.ndim > 2 and shape[-1] in (1, 3) else None
    wide = array[..., None] if channel_axis is None else np.moveaxis(array, channel_axis, -1)
    if wide.ndim < 3 or not wide.size or wide.shape[-1] not in (1, 3):
        want = "[height, width], [height, width, 3] or a stack of these"
        raise UserError(f"images of shape {shape}, `channel_axis` {channel_axis}: they must be {want}")
    low, high = value_range or (0.0, float(np.iinfo(array.dtype).max) if is_whole else 1.0)
    least, most = float(wide.min()), float(wide.max())
    if not (low < high and low <= least and most <= high):  # NaN is not
        raise UserError(
            f"values from {least:g} to {most:g}, beyond {low:g} to {high:g}: clip them, or give "
            "`value_range`, the values of black and white"
        )
    batch = wide.reshape(-1, *wide.shape[-3:])
    return [Picture(values, None, (low, high)) for values in batch], channel_axis
