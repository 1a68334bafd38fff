"""Picture files as arrays: every still picture that Pillow reads, and TIFFs of scientific cameras that it does not.

A picture is turned upright by its EXIF orientation. A palette becomes colors, one bit becomes eight, CMYK becomes RGB.
8 bits, 16 bits and floating-point values stay.
"""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from jaxae.data.pictures import decoding, scientific
from jaxae.data.pictures.scientific import ValueRange
from jaxae.errors import UserError

# Tried whatever a file is called; other formats, whose first bytes say less, only where the suffix names them.
USUAL = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "AVIF")
_NO_STILLS = {"EPS", "MPEG", "FLI"}  # run another program; cannot be decoded; are films
_ONE_PICTURE = {"MPO", "PSD"}  # their further "frames" are previews and layers
_ORIENTATION = 0x0112  # the EXIF tag
_SUBFILE = 254  # the TIFF tag
_UPRIGHT = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}
NO_PAGE = "there is no whole page in it"
DARK = (
    "no value is above 4,095 of 65,535, as of 12 bits stored in 16: taken as it is, nearly black; "
    "multiply the values by 16 first if that is wrong"
)


class Picture(NamedTuple):
    """A picture as it was read, turned upright.

    Attributes:
        values: 1 or 3 channels. Floating-point values are as they are stored, see `within`.
        alpha: The opacity, of the type of `values`.
        notes: What the user should know of how it was read.
    """

    values: (
        UInt8[np.ndarray, "height width channels"]
        | UInt16[np.ndarray, "height width channels"]
        | Float32[np.ndarray, "height width channels"]
    )
    alpha: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"] | Float32[np.ndarray, "h w"] | None
    notes: tuple[str, ...] = ()

    def within(self, value_range: ValueRange | None) -> "Picture":
        """The picture with its floating-point values, if any, scaled from `value_range` to [0, 1].

        Raises:
            UserError: There are values outside of `value_range`, or of [0, 1] if that is None.
        """
        if self.values.dtype != np.float32:
            return self
        return self._replace(values=scientific.to_unit(self.values, value_range))

    def floats(self) -> Float32[np.ndarray, "height width channels"]:
        """The values scaled to [0, 1]. Floating-point values have to be `within` that range."""
        if self.values.dtype == np.float32:
            return self.values
        return self.values.astype(np.float32) / np.float32(np.iinfo(self.values.dtype).max)


@functools.cache
def suffixes() -> dict[str, str]:
    """The format that each suffix (".png") names, for every format that the installed Pillow reads as a still."""
    from PIL import Image, ImageFile

    Image.init()

    def reads(kind: str) -> bool:
        opener = Image.OPEN[kind][0] if kind in Image.OPEN else ImageFile.StubImageFile
        stub = isinstance(opener, type) and issubclass(opener, ImageFile.StubImageFile)  # knows the name, no more
        return not stub and kind not in _NO_STILLS

    known = {suffix: kind for suffix, kind in Image.registered_extensions().items() if reads(kind)}
    return known | ({".mpo": "MPO"} if ".mpo" in Image.registered_extensions() else {})  # opened as JPEG


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn every error of the block into a UserError that names the picture file `path`."""
    try:
        yield
    except UserError as error:
        raise error if str(error).startswith(f"{path}: ") else UserError(f"{path}: {error}") from None
    except Exception as error:  # whatever the decoders make of broken bytes
        raise _broken(path, error) from error


@contextlib.contextmanager
def opened(path: Path) -> Iterator:
    """The picture file `path` opened by Pillow, not decoded yet.

    Raises:
        UserError: It cannot be read, or the block raised an error: see `naming`.
    """
    from PIL import Image

    kinds = dict.fromkeys((*USUAL, suffixes().get(path.suffix.lower())))
    # not by its name: Pillow would map a TIFF into memory, and then reads those lying on their side wrongly
    kinds = [kind for kind in kinds if kind in Image.OPEN]
    with naming(path), path.open("rb") as file, Image.open(file, formats=kinds) as image:
        yield image


def is_beyond_pillow(path: Path) -> bool:
    """Whether `path` is a TIFF that Pillow does not open, so that `read_scientific` has to read it."""
    from PIL import Image, UnidentifiedImageError

    with naming(path):
        if not scientific.is_tiff(path):
            return False
        try:
            with path.open("rb") as file, Image.open(file, formats=["TIFF"]):
                return False
        except UnidentifiedImageError:
            return True


def read_scientific(path: Path) -> list[Picture]:
    """The pages of a TIFF that `is_beyond_pillow`.

    Raises:
        UserError: It is damaged, has no page, or values or colors that cannot be read.
    """
    pictures = []
    with naming(path):
        for page in scientific.list_pages(path):
            notes: list[str] = []
            pixels = scientific.read_page(path, page.number, notes)
            pictures.append(make_picture(_turn(pixels, page.orientation), notes))
        if not pictures:
            raise UserError(NO_PAGE)
    return pictures


def _broken(path: Path, error: Exception) -> UserError:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        empty = path.is_file() and not path.stat().st_size
        said = "the file is empty" if empty else "not a picture of a kind that can be read"
    elif isinstance(error, Image.DecompressionBombError):
        said = f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:,.0f} megapixels, which may be a decompression bomb"
    elif isinstance(error, OSError) and error.strerror:
        said = error.strerror.lower()
    else:
        said = " ".join(str(error).replace(str(path), "it").split()) or type(error).__name__
    return UserError(f"{path}: {said}")


def frames(image) -> int:
    """The number of pictures in the opened `image`, without layers and previews."""
    return 1 if image.format in _ONE_PICTURE else getattr(image, "n_frames", 1)


def pages(image) -> Iterator[int]:
    """The numbers of a TIFF's pages without thumbnails and masks. `image` is moved to each in turn.

    Raises:
        UserError: There is no page.
    """
    count, whole = frames(image), 0
    for number in range(count):
        image.seek(number)
        subfile = image.tag_v2.get(_SUBFILE, 0) if count > 1 else 0
        if not (isinstance(subfile, int) and subfile & 0b101):
            whole += 1
            yield number
    if not whole:
        raise UserError(NO_PAGE)


def decode(image, path: Path, page: int = 0) -> Picture:
    """The current picture of an image.

    Args:
        image: The image, opened by `opened`, whose block has to enclose the call.
        path: Its file.
        page: The number of the current page.

    Raises:
        Exception: It is damaged, or cannot be read. `opened` makes a UserError of it.
    """
    deep = decoding.is_deep(image)  # before anything is loaded
    notes: list[str] = []
    if deep and image.format == "TIFF":
        pixels = scientific.read_page(path, page, notes)
        return make_picture(_turn(pixels, orientation(image)), notes)
    packed = image.mode == "I;16" and "'I;12" in str(image.tile)
    image.load()
    turn = orientation(image)  # only now: Pillow turns a TIFF as it loads it, and loads a PNG to find its EXIF
    pixels = decoding.read_deep(path) if deep else decoding.read_plain(image, notes)
    if image.format == "TIFF":
        decoding.say_what_pillow_drops(image, pixels, notes)
    if packed:
        pixels = pixels << 4 | pixels >> 8
        notes.append("12 bits a value become 16")
    return make_picture(_turn(pixels, turn), notes)


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    return np.ascontiguousarray(_UPRIGHT[orientation](pixels)) if orientation in _UPRIGHT else pixels


def make_picture(pixels: np.ndarray, notes: list[str]) -> Picture:
    """The picture of upright `pixels` [height, width, 1 to 4]. The last of 2 or 4 channels is alpha.

    Raises:
        UserError: There are no pixels, or alpha is outside of [0, 1].
    """
    if not pixels.size:
        raise UserError("it has no pixels")
    has_alpha = pixels.shape[2] in (2, 4)
    values, alpha = (pixels[..., :-1], pixels[..., -1]) if has_alpha else (pixels, None)
    if alpha is not None and alpha.dtype == np.float32 and (alpha.min() < 0 or alpha.max() > 1):
        raise UserError(f"alpha from {alpha.min():g} to {alpha.max():g}; save it with values from 0 to 1")
    if values.dtype == np.uint16 and 0 < values.max(initial=0) <= 4095:
        notes.append(DARK)
    return Picture(values, alpha, tuple(notes))


def orientation(image) -> int:
    """The EXIF orientation, 1 to 8; 1 if it is missing or damaged."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # whatever Pillow makes of broken EXIF, which is no reason to refuse the pixels
        return 1
    return value if value in range(1, 9) else 1
