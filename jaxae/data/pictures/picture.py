"""Pictures as arrays, as files store them and as numbers between black and white."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped

from jaxae.errors import UserError

ValueRange = tuple[float, float]

SPAN = "its lowest value is taken for black and its highest for white: give `data.range` LOW,HIGH for others"
STATED = "black and white are those that the file states: give `data.range` LOW,HIGH for others"
EIGHT_BITS = "8-bit values go from 0 to 255, whatever `data.range`"


class Stored(NamedTuple):
    """The content of a picture file, which the reader of its format returns and the writer takes.

    Attributes:
        arrays: The pages, [height, width, 1 to 4]; the last of 2 or 4 channels is alpha.
        orientation: The EXIF orientation, 1 to 8.
        extras: What the writer copies: metadata, and how the pages are laid out.
        stated: The values of black and white that the file states.
        inverted: Whether its pages are negatives: black is the highest value.
    """

    arrays: list[np.ndarray]
    orientation: int = 1
    extras: Any = None
    stated: ValueRange | None = None
    inverted: bool = False


class Picture(NamedTuple):
    """A picture, upright.

    Attributes:
        values: 1 or 3 channels of whole or floating-point numbers, as the file stores them.
        alpha: The opacity, of the type of `values`: up to the type's highest value, or 1.
        value_range: The values of black and white; black is the higher one where the file stores a negative.
    """

    values: Shaped[np.ndarray, "height width channels"]
    alpha: Shaped[np.ndarray, "height width"] | None
    value_range: ValueRange = (0.0, 255.0)

    @property
    def most(self) -> float:
        """The value of `alpha` where the picture is opaque."""
        return 1.0 if self.values.dtype.kind == "f" else float(np.iinfo(self.values.dtype).max)

    def floats(self) -> Float32[np.ndarray, "height width channels"]:
        """The values with black at 0 and white at 1."""
        black, white = self.value_range
        return ((self.values.astype(_working_type(self.values.dtype)) - black) / (white - black)).astype(np.float32)

    def as_stored(self, restored: Float32[np.ndarray, "height width channels"]) -> np.ndarray:
        """Invert `floats` for other values, which are clipped to [0, 1], and append `alpha`."""
        (black, white), dtype = self.value_range, self.values.dtype
        values = black + np.clip(restored, 0, 1).astype(_working_type(dtype)) * (white - black)
        values = (np.rint(values) if dtype.kind in "iu" else values).astype(dtype)
        return values if self.alpha is None else np.concatenate([values, self.alpha[..., None]], axis=-1)


def _working_type(dtype: np.dtype) -> type:
    return np.float64 if (dtype.kind in "iu" and dtype.itemsize > 2) or dtype.itemsize > 4 else np.float32


def turn(pixels: np.ndarray, orientation: int, undo: bool = False) -> np.ndarray:
    """Turn pixels upright from an EXIF orientation, 1 to 8, or back."""
    orientation = {6: 8, 8: 6}.get(orientation, orientation) if undo else orientation
    pixels = pixels.swapaxes(0, 1) if orientation > 4 else pixels
    down, right = (-1 if orientation in mirrored else 1 for mirrored in ((3, 4, 7, 8), (2, 3, 6, 7)))
    return np.ascontiguousarray(pixels[::down, ::right])


def split_alpha(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The values and the alpha of pixels [height, width, 1 to 4].

    Raises:
        UserError: There are no pixels, or values that are not finite numbers, or too large for exact arithmetic.
    """
    whole = pixels.dtype.kind in "iu"
    if not pixels.size:
        raise UserError("it has no pixels")
    if not whole and pixels.dtype.kind != "f":
        raise UserError(f"values of type {pixels.dtype}; save it with whole or floating-point numbers")
    if not whole and not np.isfinite(pixels).all():
        raise UserError("floating-point values that are not all finite; save it with numbers alone")
    if whole and pixels.dtype.itemsize > 4 and max(abs(int(pixels.min())), abs(int(pixels.max()))) > 2**53:
        raise UserError("values beyond 2^53; save it with fewer bits")
    if pixels.shape[2] in (1, 3):
        return pixels, None
    values, alpha = pixels[..., :-1], pixels[..., -1]
    if alpha.min() < 0 or (not whole and alpha.max() > 1):
        raise UserError(f"alpha from {alpha.min():g} to {alpha.max():g}; save it with values from 0 to 1")
    return values, alpha


def choose_range(
    arrays: list[np.ndarray], given: ValueRange | None, stated: ValueRange | None, notes: list[str]
) -> ValueRange:
    """Black and white of a file: those that are `given`, else those that it states, else what its values span.

    8-bit values go from 0 to 255, and floating-point values within 0 and 1 from 0 to 1, unless the file states others.

    Args:
        arrays: The values of all pages.
        given: The user's.
        stated: The file's.
        notes: Receives a line that tells the choice.

    Raises:
        UserError: There are values beyond `given`.
    """
    low, high = min(float(x.min()) for x in arrays), max(float(x.max()) for x in arrays)
    dtype = arrays[0].dtype
    if dtype == np.uint8 and stated is None:
        if given is not None:
            notes.append(EIGHT_BITS)
        return 0.0, 255.0
    if given is not None:
        rounded = np.array(given, dtype) if dtype.kind == "f" else given
        if low < rounded[0] or high > rounded[1]:
            raise UserError(f"values from {low:g} to {high:g}, beyond `data.range` {given[0]:g},{given[1]:g}")
        return given
    if stated is not None and stated[0] <= low and high <= stated[1] and stated[0] < stated[1]:
        notes.append(STATED)
        return stated
    if dtype.kind == "f" and low >= 0 and high <= 1:
        return 0.0, 1.0
    notes.append(SPAN)
    return low, high if high > low else low + 1


def parse_value_range(text: str | None) -> ValueRange | None:
    """Black and white from text like "0,4095"; None from None.

    Raises:
        UserError: The text is not two numbers, the first the lower.
    """
    if text is None:
        return None
    try:
        low, high = (float(number) for number in text.split(","))
        if low < high and math.isfinite(high - low):
            return low, high
    except ValueError:
        pass
    raise UserError(f"`data.range` {text}: must be LOW,HIGH, two numbers, the lower one first, as in 0,4095")
