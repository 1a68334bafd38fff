"""Picture files that become others of the same format: read with their metadata, written, and read back to check."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from jaxae.data.pictures.formats import Format, find_format
from jaxae.data.pictures.picture import Picture, Stored, ValueRange, choose_range, split_alpha, turn
from jaxae.errors import UserError
from jaxae.files import replacing


class PictureFile(NamedTuple):
    """A picture file as it was read.

    Attributes:
        pages: Its pictures, upright.
        format: Its format.
        stored: What its writer needs.
        notes: How it was read, a line for each thing to know.
        losses: What is not copied to an output, a line each.
    """

    pages: list[Picture]
    format: Format
    stored: Stored
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()

    def with_ranges_of(self, *others: "PictureFile") -> "PictureFile":
        """The same pages between the lowest black and the highest white of all files whose values have one type."""
        alike = [self, *(file for file in others if file.pages[0].values.dtype == self.pages[0].values.dtype)]
        ends = [end for file in alike for end in file.pages[0].value_range]
        low, high = min(ends), max(ends)
        value_range = (high, low) if self.stored.inverted else (low, high)
        return self._replace(pages=[page._replace(value_range=value_range) for page in self.pages])


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn every error of the block into a UserError that names the picture file `path`."""
    try:
        yield
    except UserError as error:
        raise error if str(error).startswith(f"{path}: ") else UserError(f"{path}: {error}") from None
    except Exception as error:  # whatever the decoders make of broken bytes
        if isinstance(error, OSError) and error.strerror:
            said = error.strerror.lower()
        else:
            said = " ".join(str(error).replace(str(path), "it").split()) or type(error).__name__
        raise UserError(f"{path}: {said}") from error


def read_picture(path: Path, value_range: ValueRange | None = None, draft: int | None = None) -> PictureFile:
    """The picture file `path`.

    Args:
        path: The file.
        value_range: The values of black and white, see `choose_range`.
        draft: A photograph need not be decoded any larger than this many pixels a side.

    Raises:
        UserError: The file is damaged, of another format than `FORMATS`, or has values beyond `value_range`.
    """
    with naming(path):
        kind, losses, notes = find_format(path), [], []
        stored = kind.read(path, losses, **{"draft": draft} if kind.is_lossy else {})
        pages = [split_alpha(array) for array in stored.arrays]
        values = [each for each, _ in pages]
        if len({each.dtype for each in values}) > 1:
            raise UserError("its pages have several types of values; give each type a file of its own")
        low, high = choose_range(values, value_range, stored.stated, notes)
        ends = (high, low) if stored.inverted else (low, high)
        pictures = []
        for each, alpha in pages:
            if alpha is not None and np.ptp(alpha) and not np.ptp(each[alpha > 0], axis=0).any():
                losses.append("all that is seen of it is in its alpha, which stays as it is")
            alpha = None if alpha is None else turn(alpha, stored.orientation)
            pictures.append(Picture(turn(each, stored.orientation), alpha, ends))
        return PictureFile(pictures, kind, stored, tuple(notes), tuple(dict.fromkeys(losses)))


def write_picture(path: Path, file: PictureFile, restored: list[Float32[np.ndarray, "_ _ channels"]]) -> None:
    """Write restored pages with the format, types, alpha and metadata of `file`, all or nothing.

    The new file is read back before it gets its name.

    Args:
        path: Where it is written.
        file: The picture that was restored.
        restored: Its pages, which are clipped to [0, 1].

    Raises:
        UserError: The pages cannot be written, or are not what was read back.
    """
    pages = zip(file.pages, restored, strict=True)
    arrays = [turn(page.as_stored(values), file.stored.orientation, undo=True) for page, values in pages]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        try:
            file.format.write(temporary, file.stored._replace(arrays=arrays))
            again = file.format.read(temporary, []).arrays
        except Exception as error:  # whatever the encoders make of what is new to them
            if isinstance(error, OSError) and error.errno is not None:  # no space, no right: of the place
                raise
            raise UserError(f"{path}: cannot be written: {str(error) or type(error).__name__}") from error
        alike = [(x.shape, x.dtype) for x in again] == [(x.shape, x.dtype) for x in arrays]
        if not alike or not (file.format.is_lossy or all(map(np.array_equal, again, arrays))):
            raise UserError(f"{path}: cannot be written: read back as something else")
