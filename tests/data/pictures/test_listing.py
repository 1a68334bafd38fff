"""Which files of a folder are pictures to read, and where their outputs go."""

import os

import pytest

from jaxae.data.pictures import listing
from jaxae.errors import UserError


def test_one_file_in_two_spellings_is_one_input(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    spellings = tmp_path / "a" / "1.png", tmp_path / "a" / ".." / "a" / "1.png", tmp_path / "a"
    assert list(listing.find_pictures(spellings, tmp_path / "out")[0].values()) == [tmp_path / "out" / "1.png"]


def test_folders_keep_their_shape_and_outputs_are_no_inputs(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "in" / "out"
    names = ("a.png", "sub/a.JPG", "out/a.png", "notes.txt", ".hidden.png", "@eaDir/a.png", "sub/.thumbs/a.png")
    for name in (*names, "__MACOSX/a.png", "raw.NEF", "raw2.nef"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert listing.find_pictures((folder,), out) == (
        {folder / "a.png": out / "a.png", folder / "sub" / "a.JPG": out / "sub" / "a.JPG"},
        [f"left out of {folder}, no pictures that can be read: 2 .nef, 1 .txt"],
    )
    with pytest.raises(UserError, match="would both become"):
        listing.find_pictures((folder, folder / "out" / "a.png"), out)
    with pytest.raises(UserError, match="there is no file or folder"):
        listing.find_pictures((folder / "b.png",), out)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.dng").touch()
    with pytest.raises(UserError, match=r"holds no picture that can be read: 1 \.dng"):
        listing.find_pictures((tmp_path / "none",), out)


def test_links_to_folders_are_entered_once(tmp_path):
    for name in ("photos/a/1.png", "elsewhere/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    photos = tmp_path / "photos"
    (photos / "0-again").symlink_to(photos / "a")
    (photos / "a" / "up").symlink_to(photos)
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    (photos / "broken.png").symlink_to(tmp_path / "nowhere")
    (photos / "itself.png").symlink_to("itself.png")
    os.mkfifo(photos / "pipe.tif")
    listed, others = listing.list_pictures(photos)
    assert listed == [photos / "a" / "1.png", photos / "linked" / "2.png"]
    assert others == "2 .png, 1 .tif"
