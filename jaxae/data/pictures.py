"""Picture files in and out: pixels as arrays, with what a picture editor would keep kept.

Grey or colour, 8 or 16 bits, alpha, colour profile and EXIF stay as they are; a picture is turned upright as its EXIF
orientation says. A palette becomes colours, one bit becomes eight.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from jaxae.errors import UserError
from jaxae.files import replacing

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")  # those decoders, whatever a file is called
_SAVE = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "TIFF": {"compression": "tiff_deflate"},
}
_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


class Picture(NamedTuple):
    """A picture as it was read, turned upright."""

    values: UInt8[np.ndarray, "height width channels"] | UInt16[np.ndarray, "height width channels"]  # 1 or 3 channels
    alpha: UInt8[np.ndarray, "height width"] | UInt16[np.ndarray, "height width"] | None
    format: str
    metadata: dict[str, Any]  # colour profile and EXIF, as Pillow's `save` takes them

    def floats(self) -> Float32[np.ndarray, "height width channels"]:
        """The values in [0, 1]."""
        return self.values.astype(np.float32) / np.float32(np.iinfo(self.values.dtype).max)


def find(inputs: tuple[Path, ...], out: Path) -> dict[Path, Path]:
    """The picture files that `inputs`, files and folders, stand for, and where in the folder `out` each one goes.

    A file keeps its name, one in a folder its place below that folder; an `out` below that folder is passed over.
    Raises UserError for an input that is not there, a folder without pictures, and two pictures for one place.
    """
    found: dict[Path, Path] = {}
    for path in inputs:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if _is_picture(file))
            if not _is_within(path, out):
                files = [file for file in files if not _is_within(file, out)]
            if not files:
                raise UserError(f"{path} holds no picture ({', '.join(sorted(SUFFIXES))})")
            found |= {file: out / file.relative_to(path) for file in files}
        elif path.is_file():
            found[path] = out / path.name
        else:
            raise UserError(f"there is no file or folder {path}")
    if not found:
        raise UserError("no pictures are named: give files or folders after the run's directory")
    places: dict[Path, Path] = {}
    for source, place in found.items():
        if place in places:
            raise UserError(f"{places[place]} and {source} would both become {place}: denoise them in two goes")
        places[place] = source
    return found


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file() and not file.name.startswith(".")


def _is_within(file: Path, folder: Path) -> bool:
    return file.resolve().is_relative_to(folder.resolve())


def size(path: Path) -> tuple[int, int]:
    """Height and width as the file's header has them, before it is turned upright. Errors as `read`."""
    with _open(path) as image:
        return image.height, image.width


def read(path: Path) -> Picture:
    """The picture in the file `path`. Raises UserError, naming it, unless it is one whole picture of a known kind."""
    with _open(path) as image:
        try:
            deep = ";16" in str(image.tile) and not image.mode.startswith("I")  # before anything is loaded
            metadata = {key: image.info[key] for key in ("icc_profile",) if image.info.get(key)}
            exif = image.getexif()
            upright = _UPRIGHT.get(exif.pop(_ORIENTATION, 1), lambda x: x)
            if len(exif):
                metadata["exif"] = exif.tobytes()
            image.load()
            pixels = _read_deep(path) if deep else _read_plain(image)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        except Exception as error:  # whatever Pillow's decoders make of broken bytes
            raise _broken(path, error) from error
        kind = "JPEG" if image.format == "MPO" else image.format  # a telephone's JPEG with a second picture inside
    pixels = np.ascontiguousarray(upright(pixels))
    has_alpha = pixels.shape[2] in (2, 4)
    return Picture(pixels[..., :-1] if has_alpha else pixels, pixels[..., -1] if has_alpha else None, kind, metadata)


def _open(path: Path):
    from PIL import Image

    try:
        image = Image.open(path, formats=_FORMATS)
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception as error:  # as above
        raise _broken(path, error) from error
    if frames > 1:
        image.close()
        raise UserError(f"{path}: it holds {frames} pictures, animated or in pages; give each a file of its own")
    return image


def _broken(path: Path, error: Exception) -> UserError:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        said = (
            "the file is empty"
            if path.is_file() and not path.stat().st_size
            else f"not a {', '.join(_FORMATS)} picture"
        )
    elif isinstance(error, Image.DecompressionBombError):
        said = f"more than {2 * Image.MAX_IMAGE_PIXELS / 1e6:,.0f} megapixels, which may be a decompression bomb"
    elif isinstance(error, OSError) and error.strerror:
        said = error.strerror.lower()
    else:
        said = " ".join(str(error).replace(str(path), "it").split()) or type(error).__name__
    return UserError(f"{path}: {said}")


def _read_plain(image) -> np.ndarray:
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise UserError(f"32-bit values from {values.min()} to {values.max()}; save it with 8 or 16 bits")
        return values.astype(np.uint16)[..., None]
    if image.mode == "F":
        raise UserError("floating-point values of unknown range; save it with 8 or 16 bits")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr"):
        raise UserError(f"its colours are {image.mode}; convert it to RGB")
    transparent = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA")
    grey = image.mode in ("1", "L", "LA")
    mode = ("L" if grey else "RGB") + ("A" if transparent else "")
    pixels = np.asarray(image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


def _read_deep(path: Path) -> np.ndarray:
    """A coloured picture of 16 bits a channel, of which Pillow keeps only the upper eight."""
    import cv2

    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise UserError("its 16-bit channels cannot be read; save it with 8 bits")
    return values[..., [2, 1, 0, 3][: values.shape[2]]]  # OpenCV's order is blue, green, red


def write(path: Path, picture: Picture, restored: Float32[np.ndarray, "height width channels"]) -> None:
    """Write `restored`, clipped to [0, 1], as `picture` was: its format, depth, alpha and metadata; all or nothing."""
    dtype = picture.values.dtype
    most = np.iinfo(dtype).max
    pixels = np.rint(np.clip(restored, 0, 1) * np.float32(most)).astype(dtype)
    if picture.alpha is not None:
        pixels = np.concatenate([pixels, picture.alpha[..., None]], axis=-1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        if dtype == np.uint16 and pixels.shape[2] > 1:
            _write_deep(temporary, picture.format, pixels)
            return
        from PIL import Image

        image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels)
        if image.mode == "LA" and picture.format == "WEBP":
            image = image.convert("RGBA")
        image.save(temporary, picture.format, **_SAVE.get(picture.format, {}), **picture.metadata)


def _write_deep(path: Path, kind: str, pixels: np.ndarray) -> None:
    import cv2

    done, encoded = cv2.imencode({"PNG": ".png", "TIFF": ".tiff"}[kind], pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])
    if not done:
        raise OSError(f"OpenCV could not encode {path}")
    path.write_bytes(encoded.tobytes())
