from pathlib import Path

import numpy as np
import pytest

from tests.data.photographs import photograph
from tests.tiny_data_set import write_tiny


@pytest.fixture
def offline(monkeypatch):
    """No official host answers, whatever network the machine has."""
    from jaxae.data import official

    monkeypatch.setattr(official, "why_unreachable", lambda name: "its host cannot be reached")


@pytest.fixture
def taken_for_official(monkeypatch):
    """`taken_for_official(name, folder)`: the content of the files in `folder` becomes the official one of `name`."""
    from jaxae.data import layouts, official

    def replace(name: str, folder: Path) -> None:
        [found] = layouts.find_layouts(name, folder)
        digests = tuple(layouts.content_digest(found.splits[split]) for split in layouts.SPLITS)
        monkeypatch.setitem(official.CONTENT, name, digests)

    return replace


@pytest.fixture(scope="session")
def tiny_data_set():
    """Writes a prepared TFDS data set of the caller's own: see `write_tiny`."""
    return write_tiny


@pytest.fixture(scope="session")
def grey_images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 5, 6, 1), np.uint8)


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """A cache directory that no other test knows, and nothing remembered."""
    from jaxae.data import folder

    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    folder._read.cache_clear()
    return cache / "jaxae" / "folders"


@pytest.fixture
def photographs(tmp_path):
    """60 files of mixed sizes and formats in two class folders, one of them nested."""
    for i in range(60):
        place = tmp_path / "album" / ("cats" if i % 2 else "dogs/puppies")
        place.mkdir(parents=True, exist_ok=True)
        size = 20 + 7 * (i % 11), 20 + 5 * (i % 13)
        photograph(i, *size).save(place / f"{i}.{'jpg' if i % 3 else 'PNG'}")
    return tmp_path / "album"
