"""A folder is decoded once: what was read of it is kept until something there changes."""

import os

import pytest

from jaxae.data import cutting, folder
from tests.data.loading import load
from tests.data.photographs import photograph

pytestmark = pytest.mark.usefixtures("own_cache")
COLOUR = (32, 32, 3)
GREY = (28, 28, 1)


@pytest.fixture
def kept(photographs, own_cache, monkeypatch):
    """A folder whose reading is kept, and how many pictures have been decoded since."""
    monkeypatch.setattr(folder, "CACHE_WORTH", 0.0)
    decoded = []
    plain = cutting.resized
    monkeypatch.setattr(cutting, "resized", lambda files, *rest: (decoded.extend(files), plain(files, *rest))[1])
    return photographs, decoded


def read_anew(place) -> list[bytes]:
    folder._read.cache_clear()
    return [load(f"folder:{place}", split).tobytes() for split in ("train", "test")]


def test_the_next_command_decodes_nothing(kept, own_cache):
    place, decoded = kept
    (place / "cats" / "text.png").write_text("this is not an image")
    for count in (61, 61):
        with pytest.warns(UserWarning, match=r"unreadable: cats/text\.png"):  # every time
            first = read_anew(place)
        assert len(decoded) == count
    assert len(list(own_cache.iterdir())) == 1
    (entry,) = own_cache.iterdir()
    entry.unlink()
    with pytest.warns(UserWarning, match="unreadable"):
        assert read_anew(place) == first
    assert not [path for path in place.rglob("*") if path.suffix == ".npz"]


def test_another_time_size_or_name_makes_the_entry_anew(kept, own_cache):
    place, decoded = kept
    read_anew(place)
    file = place / "cats" / "1.jpg"
    os.utime(file, ns=(1, 1))
    read_anew(place)
    assert len(decoded) == 120
    file.rename(place / "cats" / "new.jpg")
    read_anew(place)
    photograph(99, 50, 50).save(place / "cats" / "more.png")
    before = read_anew(place)
    assert len(decoded) == 241
    load(f"folder:{place}", "train", image_shape=GREY)
    assert read_anew(place) == before
    assert len(decoded) == 302


@pytest.mark.parametrize("damage", [
    lambda content: b"", lambda content: content[: len(content) // 2], lambda content: b"no archive" * 99,
    lambda content: content[:2000] + bytes(99) + content[2099:],
])  # fmt: skip
def test_a_damaged_entry_is_made_anew(kept, own_cache, damage):
    place, decoded = kept
    first = read_anew(place)
    (entry,) = own_cache.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert read_anew(place) == first
    assert len(decoded) == 120
    assert entry.stat().st_size == len(whole)
    read_anew(place)
    assert len(decoded) == 120


def test_the_cache_has_a_limit_and_needs_no_place(kept, own_cache, monkeypatch):
    place, _ = kept
    for shape in (COLOUR, GREY, (16, 16, 3)):
        load(f"folder:{place}", "train", image_shape=shape)
    sizes = [entry.stat().st_size for entry in own_cache.iterdir()]
    monkeypatch.setattr(folder, "CACHE_LIMIT", max(sizes) + 1000)
    load(f"folder:{place}", "train", image_shape=(31, 31, 3))
    assert sum(entry.stat().st_size for entry in own_cache.iterdir()) <= folder.CACHE_LIMIT
    for entry in own_cache.iterdir():
        entry.unlink()
    monkeypatch.setattr(folder, "CACHE_LIMIT", 1000)
    first = read_anew(place)
    assert not list(own_cache.iterdir())
    own_cache.rmdir()
    own_cache.touch()  # no directory can be made there
    monkeypatch.setattr(folder, "CACHE_LIMIT", 10**9)
    assert read_anew(place) == first


def test_quick_readings_are_not_kept(photographs, own_cache, monkeypatch):
    monkeypatch.setattr(folder, "CACHE_WORTH", 1000.0)
    load(f"folder:{photographs}", "train")
    assert not own_cache.exists()
