"""Arrays in files: NumPy's .npy and .npz, and PGM and PPM."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from jaxae.data.pictures.picture import Stored
from jaxae.errors import UserError

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([56])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")


def read_numpy(path: Path, notes: list[str]) -> Stored:
    """Read the array in an .npy file, or all arrays in an .npz file; see `Format`."""
    del notes
    from PIL import Image

    most = 2 * (Image.MAX_IMAGE_PIXELS or math.inf)  # as of the other formats
    too_large = UserError(f"its arrays have more than {most / 1e6:,.0f} megapixels; split it")
    with path.open("rb") as file:
        content = np.load(file, allow_pickle=False)
        is_archive = not isinstance(content, np.ndarray)
        if is_archive and sum(each.file_size for each in content.zip.infolist()) > 8 * most:
            raise too_large  # before anything is unpacked
        arrays = dict(content) if is_archive else {"the array": content}
    pages = []
    for name, array in arrays.items():
        coloured = array.ndim > 2 and array.shape[-1] in (1, 3)
        if array.ndim < 2 or (array.ndim > 2 and array.shape[-1] in (2, 4)):
            want = "[height, width], [height, width, 1 or 3] or a stack of these"
            raise UserError(f"{name} has the shape {array.shape}: a picture has {want}")
        pages += list(array.reshape(-1, *(array.shape[-3:] if coloured else (*array.shape[-2:], 1))))
    if sum(page[..., 0].size for page in pages) > most:
        raise too_large
    return Stored(pages, extras=({name: array.shape for name, array in arrays.items()}, is_archive))


def write_numpy(path: Path, stored: Stored) -> None:
    """Write arrays of the names and shapes that were read; see `Format`."""
    shapes, is_archive = stored.extras
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
    parts = np.split(np.concatenate([x.ravel() for x in stored.arrays]), ends)  # and nothing behind the last end
    dtype = stored.arrays[0].dtype  # with its order of bytes, which `concatenate` drops
    wanted = zip(shapes, parts, strict=False)
    arrays: dict[str, Any] = {name: part.reshape(shapes[name]).astype(dtype) for name, part in wanted}
    with path.open("wb") as file:
        if is_archive:
            np.savez_compressed(file, **arrays)
        else:
            np.save(file, *arrays.values())


def read_pnm(path: Path, notes: list[str]) -> Stored:
    """Read a binary PGM or PPM; see `Format`. https://netpbm.sourceforge.net/doc/ppm.html"""
    del notes
    content = path.read_bytes()
    header = _HEADER.match(content)
    if header is None:
        raise UserError("its header is damaged")
    kind, width, height, most = (int(group) for group in header.groups())
    dtype, channels = np.dtype(">u2" if most > 255 else "u1"), 3 if kind == 6 else 1
    data = content[header.end() :]
    if not 0 < most < 65536 or len(data) != height * width * channels * dtype.itemsize:
        raise UserError("cut off, damaged, or more than one picture")
    values = np.frombuffer(data, dtype).reshape(height, width, channels).astype(dtype.newbyteorder("="))
    if values.max(initial=0) > most:
        raise UserError(f"a value above {most}, the highest that it states")
    return Stored([values], 1, header[0], None if most == 255 else (0.0, float(most)))


def write_pnm(path: Path, stored: Stored) -> None:
    """Write a PGM or PPM with the header that was read; see `Format`."""
    values = stored.arrays[0]
    path.write_bytes(stored.extras + values.astype(values.dtype.newbyteorder(">")).tobytes())
