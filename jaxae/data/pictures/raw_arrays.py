"""Arrays in files: NumPy's .npy and .npz, and PGM and PPM."""

import re
from pathlib import Path

import numpy as np

from jaxae.data.pictures.picture import Stored
from jaxae.errors import UserError

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([56])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")


def _as_pages(array: np.ndarray, name: str) -> list[np.ndarray]:
    if array.ndim < 2 or (array.ndim > 2 and array.shape[-1] in (2, 4)):
        want = "[height, width], [height, width, 1 or 3] or a stack of these"
        raise UserError(f"{name} has the shape {array.shape}: a picture has {want}")
    channels = array.shape[-1] if array.ndim > 2 and array.shape[-1] in (1, 3) else 1
    size = array.shape[-3:-1] if array.ndim > 2 and array.shape[-1] in (1, 3) else array.shape[-2:]
    return list(array.reshape(-1, *size, channels))


def read_npy(path: Path, notes: list[str]) -> Stored:
    """Read the array in an .npy file; see `Format`."""
    del notes
    array = np.load(path, allow_pickle=False)
    pages = _as_pages(array, "the array")
    return Stored(pages, 1, array.shape)


def write_npy(path: Path, stored: Stored) -> None:
    """Write an array of the shape that was read; see `Format`."""
    with path.open("wb") as file:
        np.save(file, np.stack(stored.arrays).reshape(stored.extras))


def read_npz(path: Path, notes: list[str]) -> Stored:
    """Read all arrays in an .npz file, each as one in an .npy file; see `Format`."""
    del notes
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
        compressed = any(entry.compress_type for entry in archive.zip.infolist())
    pages = [page for name, array in arrays.items() for page in _as_pages(array, repr(name))]
    if len({array.dtype for array in arrays.values()}) != 1:
        raise UserError("its arrays have several types, or there are none; give each type a file of its own")
    return Stored(pages, 1, ({name: array.shape for name, array in arrays.items()}, compressed))


def write_npz(path: Path, stored: Stored) -> None:
    """Write the arrays under the names that they had; see `Format`."""
    shapes, compressed = stored.extras
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
    values = np.split(np.concatenate([x.ravel() for x in stored.arrays]), ends)  # and nothing behind the last end
    arrays = {name: part.reshape(shape) for part, (name, shape) in zip(values, shapes.items(), strict=False)}
    with path.open("wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)  # pyright: ignore[reportArgumentType]


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
