"""Picture files as arrays: whatever still picture Pillow reads, and the TIFFs of scientific cameras where it ends.

A picture is turned upright as its EXIF orientation says. A palette becomes colours, one bit becomes eight, CMYK becomes
RGB; 8 bits, 16 bits and floating-point values stay.
"""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from jaxae.data.pictures import decoding, scientific
from jaxae.data.pictures.scientific import Limits
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
    """A picture as it was read, turned upright."""

    values: (
        UInt8[np.ndarray, "height width channels"]
        | UInt16[np.ndarray, "height width channels"]
        | Float32[np.ndarray, "height width channels"]
    )  # 1 or 3 channels; floating-point values are as they are stored, see `within`
    alpha: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"] | Float32[np.ndarray, "h w"] | None
    notes: tuple[str, ...] = ()  # what a person should know of how it was read

    def within(self, limits: Limits | None) -> "Picture":
        """The picture with its floating-point values, if it has such, scaled from `limits` to [0, 1].

        Without limits they have to be there already. Raises UserError with their range where they are not.
        """
        if self.values.dtype != np.float32:
            return self
        return self._replace(values=scientific.to_unit(self.values, limits))

    def floats(self) -> Float32[np.ndarray, "height width channels"]:
        """The values in [0, 1], those of floating point being `within` it."""
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
    """Whatever goes wrong with the picture file `path` becomes a UserError that names it."""
    try:
        yield
    except UserError as error:
        raise error if str(error).startswith(f"{path}: ") else UserError(f"{path}: {error}") from None
    except Exception as error:  # whatever the decoders make of broken bytes
        raise _broken(path, error) from error


@contextlib.contextmanager
def opened(path: Path) -> Iterator:
    """The picture file `path` as Pillow opens it, nothing decoded yet. Errors as `naming`."""
    from PIL import Image

    kinds = dict.fromkeys((*USUAL, suffixes().get(path.suffix.lower())))
    # not by its name: Pillow would map a TIFF into memory, and then reads those lying on their side wrongly
    kinds = [kind for kind in kinds if kind in Image.OPEN]
    with naming(path), path.open("rb") as file, Image.open(file, formats=kinds) as image:
        yield image


def is_beyond_pillow(path: Path) -> bool:
    """Whether `path` is a TIFF that Pillow does not open: to be read by `read_scientific`."""
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
    """The pages of a TIFF that is beyond Pillow. Errors as `naming`."""
    pictures = []
    with naming(path):
        for page in scientific.list_pages(path):
            notes: list[str] = []
            pixels = scientific.read_page(path, page.number, notes)
            pictures.append(finish(_turn(pixels, page.orientation), notes))
        if not pictures:
            raise UserError(NO_PAGE)
    return pictures


def _broken(path: Path, error: Exception) -> UserError:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        empty = path.is_file() and not path.stat().st_size
        said = "the file is empty" if empty else "not a picture of a kind that can be read"
    elif isinstance(error, Image.DecompressionBombError):
        said = f"more than {2 * Image.MAX_IMAGE_PIXELS / 1e6:,.0f} megapixels, which may be a decompression bomb"
    elif isinstance(error, OSError) and error.strerror:
        said = error.strerror.lower()
    else:
        said = " ".join(str(error).replace(str(path), "it").split()) or type(error).__name__
    return UserError(f"{path}: {said}")


def frames(image) -> int:
    """How many pictures the opened `image` has, layers and previews not counted."""
    return 1 if image.format in _ONE_PICTURE else getattr(image, "n_frames", 1)


def pages(image) -> Iterator[int]:
    """The numbers of a TIFF's pages, thumbnails and masks passed over; `image` stands at each in turn."""
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
    """The picture at which the opened `image` stands, `page` of the file `path`. Errors are as `opened` wants them."""
    deep = decoding.is_deep(image)  # before anything is loaded
    notes: list[str] = []
    if deep and image.format == "TIFF":
        pixels = scientific.read_page(path, page, notes)
        return finish(_turn(pixels, orientation(image)), notes)
    packed = image.mode == "I;16" and "'I;12" in str(image.tile)
    image.load()
    turn = orientation(image)  # only now: Pillow turns a TIFF as it loads it, and loads a PNG to find its EXIF
    pixels = decoding.read_deep(path) if deep else decoding.read_plain(image, notes)
    if image.format == "TIFF":
        decoding.say_what_pillow_drops(image, pixels, notes)
    if packed:
        pixels = pixels << 4 | pixels >> 8
        notes.append("12 bits a value become 16")
    return finish(_turn(pixels, turn), notes)


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    return np.ascontiguousarray(_UPRIGHT[orientation](pixels)) if orientation in _UPRIGHT else pixels


def finish(pixels: np.ndarray, notes: list[str]) -> Picture:
    """The picture of upright `pixels` [height, width, 1 to 4], the last of 2 or 4 channels being alpha."""
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
    """How the picture lies, 1 to 8, as in EXIF; 1 where nothing sound is said of it."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # whatever Pillow makes of broken EXIF, which is no reason to refuse the pixels
        return 1
    return value if value in range(1, 9) else 1
