"""The formats of pictures: all that is read and written. Any other file is refused by the name of its format."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jaxae.data.pictures import photos, png, raw_arrays, tiff
from jaxae.data.pictures.picture import Stored
from jaxae.errors import UserError


class Format(NamedTuple):
    """A format of picture files: a row of the table in docs/denoise.md, which tells values, layouts and metadata.

    Attributes:
        name: Its name.
        suffixes: What its files end in.
        magic: A pattern of its first bytes.
        read: Reads a file; appends to its second argument a line for all that is not carried over. The reader of a
            lossy format takes `draft`: the picture need not be decoded any larger than this many pixels a side.
        write: Writes what `read` returned, with other arrays.
        is_lossy: Whether values change a little as they are written.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: bytes
    read: Callable[..., Stored]
    write: Callable[[Path, Stored], None]
    is_lossy: bool = False


FORMATS = (
    Format("PNG", (".png",), rb"\x89PNG\r\n\x1a\n", png.read_png, png.write_png),
    Format("JPEG", (".jpg", ".jpeg"), rb"\xff\xd8\xff", *photos.JPEG, is_lossy=True),
    Format("WebP", (".webp",), rb"RIFF....WEBP", *photos.WEBP, is_lossy=True),
    Format("HEIC", (".heic", ".heif"), rb"....ftyp(?:hei[cx]|hev[cx]|mif1)", *photos.HEIC, is_lossy=True),
    Format("TIFF", (".tif", ".tiff"), rb"II[*+]\0..(?!..CR)|MM\0[*+]", tiff.read_tiff, tiff.write_tiff),
    Format("BMP", (".bmp",), rb"BM", *photos.BMP),
    Format("PGM, PPM", (".pgm", ".ppm"), rb"P[56]\s", raw_arrays.read_pnm, raw_arrays.write_pnm),
    Format("NumPy array", (".npy",), rb"\x93NUMPY", raw_arrays.read_numpy, raw_arrays.write_numpy),
    Format("NumPy archive", (".npz",), rb"PK\x03\x04", raw_arrays.read_numpy, raw_arrays.write_numpy),
)
SUFFIXES = frozenset(suffix for each in FORMATS for suffix in each.suffixes)
_OTHERS = {
    "AVIF": rb"....ftypavi[fs]", "DICOM": rb".{128}DICM", "FITS": rb"SIMPLE  =", "GIF": rb"GIF8",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ", "OpenEXR": rb"v/1\x01",
    "PBM, PAM or a plain PGM or PPM": rb"P[12347]\s", "PDF": rb"%PDF", "PFM": rb"P[Ff]\s", "Photoshop's": rb"8BPS",
    "PostScript": rb"%!PS", "QOI": rb"qoif", "Radiance HDR": rb"#\?R", "SGI": rb"\x01\xda[\0\1]",
    "a camera's raw file": rb"II\*\0....CR|FUJIFILMCCD|II\x1a\0\0\0HEAP|II[RU][SO\0]|....ftypcrx ",
    "video": rb"....ftyp",
}  # fmt: skip


def find_format(path: Path) -> Format:
    """The format of a file by its first bytes, whatever it is called.

    Raises:
        UserError: It is none of `FORMATS`.
    """
    with path.open("rb") as file:
        head = file.read(132)
    for each in FORMATS:
        if re.match(each.magic, head, re.DOTALL):
            return each
    if not head:
        raise UserError("the file is empty")
    known = ", ".join(each.name for each in FORMATS)
    other = next((name for name, magic in _OTHERS.items() if re.match(magic, head, re.DOTALL)), None)
    if other is None:
        raise UserError(f"not a picture of a format that can be read: {known}")
    raise UserError(f"{other} is not among the formats that can be read ({known}): convert it to PNG or TIFF")
