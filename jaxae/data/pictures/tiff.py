"""TIFF: pages of any depth, with their tags copied as they are. So ImageJ and OME find their axes in the copy."""

import io
import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from jaxae.data.pictures import photos
from jaxae.data.pictures.picture import Stored, ValueRange
from jaxae.errors import UserError

_WHITE_IS_ZERO, _RGB, _RAW = 0, 2, (32803, 34892)  # photometric interpretations
_COLOURS = {0: "miniswhite", 1: "minisblack", 2: "rgb", 3: "rgb", 6: "rgb"}  # 3: a palette, 6: YCbCr
_X, _Y, _UNIT, _ORIENTATION, _DNG, _BLOCKS = 282, 283, 296, 274, 50706, (34665, 34853)  # tags; the last: EXIF and GPS
# Tags of the storage, which the writer makes anew, and pointers.
_STORAGE = {*range(254, 260), 262, *range(263, 267), 273, *range(277, 280), 284, *range(288, 294), 301, 317, 320, 321}
_STORAGE |= {*range(322, 329), 330, *range(332, 340), 342, 347, *range(512, 522), *range(529, 533), 32997, 40965}


def read_tiff(path: Path, notes: list[str]) -> Stored:
    """Read the pages of a TIFF; see `Format`.

    Raises:
        UserError: The file is a camera's raw file, cut off, or has channels that are not gray, a palette, RGB or YCbCr.
    """
    import tifffile
    from PIL import Image

    arrays, directories, states = [], [], set()
    with tifffile.TiffFile(path) as file:
        pages: list[Any] = [page.aspage() for page in file.pages]
        if any(page.photometric in _RAW or _DNG in page.tags or (page.subifds and page.subfiletype) for page in pages):
            raise UserError("a camera's raw file (DNG and others): develop it, and save it as TIFF or PNG")
        whole = [page for page in pages if len(pages) == 1 or not page.subfiletype & 0b101]
        if len(whole) < len(pages) or any(page.subifds for page in pages):
            notes.append("not carried over: reduced copies (thumbnails, pyramid levels) and masks")
        if any(code in page.tags for page in whole for code in _BLOCKS):
            notes.append("not carried over: the EXIF and GPS blocks of a TIFF; its other tags are")
        values = sum(series.size for series in file.series)
        is_stack = len(pages) == 1 and values > pages[0].size  # as ImageJ stores large ones
        if not is_stack and values > sum(page.size for page in pages):
            raise UserError("it refers to planes of other files; save it as one stack")
        most = 2 * (Image.MAX_IMAGE_PIXELS or math.inf)  # Pillow's own limit for one picture
        if (values if is_stack else sum(page.imagelength * page.imagewidth for page in whole)) > most:
            raise UserError(f"its pages have more than {most / 1e6:,.0f} megapixels; split it")
        for page in whole:
            planes = _decode(page, file, is_stack)
            options = _options(page, file, planes.shape[-1])
            arrays += list(planes)
            states.add((int(page.tags.valueof(_ORIENTATION, default=1)), options["photometric"] == "miniswhite"))
            directories.append((len(planes), options | ({"truncate": True, "compression": None} if is_stack else {})))
        if len(states) != 1:
            raise UserError("its pages are turned differently, some are negatives, or none is whole; split it")
        ((orientation, inverted),) = states
        stated = None if arrays[0].dtype == np.uint8 else _stated(file, whole[0])
        return Stored(arrays, orientation, (file.byteorder, file.is_bigtiff, directories), stated, inverted)


def _decode(page: Any, file: Any, is_stack: bool) -> np.ndarray:
    """The planes in the directory of `page`, [planes, height, width, 1 to 4 channels]."""
    if page.photometric not in _COLOURS:
        raise UserError(f"its colours are {page.photometric.name}; convert it to RGB")
    colours, extra = 3 if page.photometric == _RGB else 1, tuple(map(int, page.extrasamples))
    samples, apart, size = page.samplesperpixel, page.planarconfig == 2, (page.imagelength, page.imagewidth)
    plain, alpha = page.photometric <= _RGB, extra == (2,) or (page.photometric == _RGB and samples == 4 and not extra)
    if plain and samples != colours + alpha:
        what = "alpha that its colours are multiplied by" if extra == (1,) else "some that are not grey, RGB or alpha"
        raise UserError(f"{samples} channels, {what}: give each channel a page of its own")
    if page.imagedepth > 1:
        raise UserError("its tiles are volumes: give each plane a page of its own")
    stored = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    # tifffile fills with zeros what is missing
    if len(stored) < math.prod(page.chunked) or any(not n or at + n > file.filehandle.size for at, n in stored):
        raise UserError("cut off or damaged")
    if plain and page.bitspersample >= 8:
        try:
            values = np.asarray((file.series[0] if is_stack else page).asarray())
            values = np.moveaxis(values.reshape(-1, samples, *size), 1, -1) if apart else values
            return values.reshape(-1, *size, samples).astype(values.dtype.newbyteorder("="))
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise UserError("cut off or damaged") from error
    return _decode_elsewhere(page, file)[None]


def _decode_elsewhere(page: Any, file: Any) -> np.ndarray:
    """What tifffile leaves to a further package, such as LZW and JPEG, and what has palettes or less than 8 bits."""
    content, number = bytearray(Path(file.filehandle.path).read_bytes()), page.index
    if tag := page.tags.get(_ORIENTATION):  # the decoders would turn it
        content[tag.valueoffset : tag.valueoffset + 2] = struct.pack(f"{file.byteorder}H", 1)
    if page.bitspersample <= 8:
        from PIL import Image

        with Image.open(io.BytesIO(content), formats=["TIFF"]) as image:
            image.seek(number)
            values = photos.pixels(image)
            return 255 - values if page.photometric == _WHITE_IS_ZERO else values
    import cv2

    _, read = cv2.imdecodemulti(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED, range=(number, number + 1))
    shape = page.imagelength, page.imagewidth, page.samplesperpixel
    if not read or read[0].size != math.prod(shape) or read[0].dtype != page.dtype:
        raise UserError(f"compressed by {page.compression.name}, or damaged: save it without compression")
    return read[0].reshape(shape)[..., ([0, 1] if shape[2] < 3 else [2, 1, 0, 3])[: shape[2]]]  # blue comes first


def _options(page: Any, file: Any, channels: int) -> dict[str, Any]:
    """Arguments of tifffile's `write` for a page like `page`."""
    tags = []
    for tag in page.tags:
        if tag.code not in _STORAGE | {_X, _Y, _UNIT, *_BLOCKS}:
            value = tag.value
            if int(tag.dtype) in (1, 2, 6, 7):  # texts too, whatever their encoding
                file.filehandle.seek(tag.valueoffset)
                value = file.filehandle.read(tag.count)
            tags.append((tag.code, int(tag.dtype), tag.count, value, True))
    x, y, unit = (page.tags.valueof(code) for code in (_X, _Y, _UNIT))
    return {
        "photometric": _COLOURS[page.photometric],
        "planarconfig": None if channels == 1 else "contig",
        "extrasamples": [2] if channels in (2, 4) else None,
        "compression": None if page.compression == 1 else "zlib",
        "extratags": tags,
        "resolution": (x, y) if x and y else None,
        "resolutionunit": (unit or 2) if x and y else None,
    }


def _stated(file: Any, page: Any) -> ValueRange | None:
    """The values of black and white by the tags of TIFF, by ImageJ or by OME."""
    imagej = file.imagej_metadata or {}
    bits = re.search(r'SignificantBits="(\d+)"', page.description) if file.is_ome else None
    pairs = [(page.tags.valueof(low), page.tags.valueof(high)) for low, high in ((340, 341), (280, 281))]
    pairs += [(imagej.get("min"), imagej.get("max")), (0, 2 ** int(bits[1]) - 1 if bits else None)]
    return next(((float(np.min(x)), float(np.max(y))) for x, y in pairs if x is not None and y is not None), None)


def write_tiff(path: Path, stored: Stored) -> None:
    """Write a TIFF, directory by directory as it was read; see `Format`."""
    import tifffile

    (byteorder, is_bigtiff, directories), start = stored.extras, 0
    large = is_bigtiff or sum(x.nbytes for x in stored.arrays) > 2**32 - 2**25
    # not by its suffix, .ome.tif: the description is there already
    with tifffile.TiffWriter(path, byteorder=byteorder, bigtiff=large, ome=False) as file:
        for count, options in directories:
            planes = np.stack(stored.arrays[start : start + count])
            start += count
            planes = planes.squeeze(-1) if options["planarconfig"] is None else planes
            planes = planes if "truncate" in options else planes[0]
            file.write(planes, metadata=None, software=False, contiguous=False, **options)
