"""Small pictures, and the way in and out again."""

import io

import numpy as np
from PIL import Image

from jaxae.data.pictures import files, reading
from jaxae.data.pictures.files import PictureFile

RANDOM = np.random.default_rng(0)


def pixels(*shape, dtype=np.uint8):
    return RANDOM.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def smooth(height=24, width=36, channels=3):
    """Values that a JPEG keeps well."""
    coarse = Image.fromarray(pixels(3, 4, channels) if channels > 1 else pixels(3, 4))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def copy(source, place=None) -> PictureFile:
    """The file that `source` becomes when nothing is done to its values; what was read of it."""
    file = files.read_picture(source)
    files.write_picture(place or source.with_name(f"copy-{source.name}"), file, [page.floats() for page in file.pages])
    return file


def only(file: PictureFile) -> reading.Picture:
    assert len(file.pages) == 1
    return file.pages[0]


def encoded(image, kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
