"""A person's own images: every size and mode, split for good, and the unreadable ones named."""

import io
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxae import data
from jaxae.errors import UserError
from tests.data.loading import load, load_labels
from tests.data.photographs import photograph

pytestmark = pytest.mark.usefixtures("own_cache")
COLOUR = (32, 32, 3)
GREY = (28, 28, 1)


def one(tmp_path, image: Image.Image, shape=COLOUR, file="a.png", value_range=None, **save) -> np.ndarray:
    """What the folder with `image` and a plain second one makes of `image`."""
    place = tmp_path / f"with {file}"
    place.mkdir()
    image.save(place / file, **save)
    Image.new("RGB", (40, 40), (1, 2, 3)).save(place / "zzz.png")
    options = {"image_shape": shape, "value_range": value_range}
    images = np.concatenate([load(f"folder:{place}", split, **options) for split in ("train", "test")])
    assert len(images) == 2
    plain = np.array(2 if shape[2] == 1 else (1, 2, 3), images.dtype) * (257 if images.dtype == np.uint16 else 1)
    return next(image for image in images if not np.array_equal(image, np.broadcast_to(plain, shape)))


def test_splits_labels_and_shapes(photographs):
    name = f"folder:{photographs}"
    train, test = load(name, "train", image_shape=COLOUR), load(name, "test", image_shape=COLOUR)
    assert train.shape[1:] == test.shape[1:] == COLOUR
    assert len(train) + len(test) == 60
    assert 1 <= len(test) <= 15
    labels = [load_labels(name, split, image_shape=COLOUR) for split in ("train", "test")]
    assert [len(column) for column in labels] == [len(train), len(test)]
    np.testing.assert_array_equal(np.bincount(np.concatenate(labels)), [30, 30])
    assert load(name, "train", image_shape=GREY).shape == (len(train), *GREY)
    assert data.open(name).name == name
    assert data.open(name).nbytes("test") == test.nbytes


def test_the_same_every_time_and_a_new_file_moves_no_old_one(photographs):
    name = f"folder:{photographs}"
    before = {split: {image.tobytes() for image in load(name, split)} for split in ("train", "test")}
    for i in range(20):
        photograph(1000 + i, 50, 50).save(photographs / "cats" / f"new{i}.png")
    for split in ("train", "test"):
        assert before[split] < {image.tobytes() for image in load(name, split)}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_both_splits_of_a_few_images_have_some(tmp_path, count):
    for seed in range(6):
        place = tmp_path / str(seed)
        place.mkdir()
        for i in range(count):
            photograph(i, 40, 40).save(place / f"{seed}-{i}.png")
        sizes = [len(load(f"folder:{place}", split)) for split in ("train", "test")]
        assert min(sizes) >= 1
        assert sum(sizes) == count


def test_large_images_give_several_crops_all_in_one_split(tmp_path):
    for i in range(12):
        Image.new("RGB", (300 + i, 200), (20 * i, 0, 0)).save(tmp_path / f"{i}.png")
    train, test = (load(f"folder:{tmp_path}", split) for split in ("train", "test"))
    assert len(train) + len(test) == 12 * 8
    assert not {int(image[0, 0, 0]) for image in train} & {int(image[0, 0, 0]) for image in test}


def test_crops_are_different_cuts_of_the_picture(tmp_path):
    for i in range(2):
        photograph(i, 400, 300).save(tmp_path / f"{i}.jpg", quality=95)
    crops = load(f"folder:{tmp_path}", "train")
    assert len({image.tobytes() for image in crops}) == 8
    np.testing.assert_array_equal(crops, load(f"folder:{tmp_path}", "train"))


def test_the_middle_is_kept_and_the_aspect_with_it(tmp_path):
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = 255  # the central square
    assert one(tmp_path, Image.fromarray(pixels)).min() > 240
    wide = one(tmp_path, Image.fromarray(pixels), (16, 40, 3), "wide.png")
    assert wide[:, :10].max() < 40
    assert wide[:, 15:25].min() > 215


def test_exif_orientation(tmp_path):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:20] = 255  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise: white on the right
    upright = one(tmp_path, Image.fromarray(pixels), exif=exif)
    assert upright[:, 20:].min() > 200
    assert upright[:, :12].max() < 55


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "YCbCr"])
@pytest.mark.parametrize("shape", [COLOUR, GREY])
def test_every_mode_of_a_grey_picture(tmp_path, mode, shape):
    grey = 255 if mode == "1" else 120
    image = Image.new("RGB", (50, 50), (grey,) * 3)
    image = image.quantize(4) if mode == "P" else image.convert(mode)
    file = "a.jpg" if mode == "YCbCr" else "a.png"
    np.testing.assert_allclose(one(tmp_path, image, shape, file).astype(int), grey, atol=4)


def test_sixteen_bits_keep_their_lightness(tmp_path):
    image = Image.fromarray(np.full((40, 40), 1000, np.uint16))
    for file in ("a.png", "a.tif"):
        with pytest.warns(UserWarning, match="8-bit values go from 0 to 255, whatever `data.range`"):
            found = one(tmp_path, image, file=file, value_range=(0.0, 4095.0))
        np.testing.assert_array_equal(found, np.full(COLOUR, round(1000 / 4095 * 65535)))


def test_transparent_means_white(tmp_path):
    np.testing.assert_array_equal(one(tmp_path, Image.new("RGBA", (40, 40), (9, 9, 9, 0))), np.full(COLOUR, 255))
    palette = Image.new("RGB", (40, 40), (9, 9, 9)).quantize(4)
    index = palette.getpixel((0, 0))
    np.testing.assert_array_equal(one(tmp_path, palette, file="p.png", transparency=index), np.full(COLOUR, 255))


def test_luminance_weighs_the_channels(tmp_path):
    green = one(tmp_path, Image.new("RGB", (40, 40), (0, 200, 0)), GREY)
    np.testing.assert_allclose(green.astype(float), 0.587 * 200, atol=1)


def write_unreadable(place) -> None:
    (place / "text.png").write_text("this is not an image")
    buffer = io.BytesIO()
    photograph(0, 200, 200).save(buffer, "JPEG")
    (place / "cut.jpg").write_bytes(buffer.getvalue()[:2000])
    (place / "empty.png").write_bytes(b"")
    # 100,000 × 100,000 pixels in a file of a few bytes
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    bomb = bytearray(buffer.getvalue())
    bomb[16:24] = (100_000).to_bytes(4, "big") * 2
    import zlib

    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (place / "bomb.png").write_bytes(bomb)
    (place / "notes.txt").write_text("no image, and nobody said so")
    (place / ".hidden.png").write_text("a file manager's own")


def test_unreadable_files_are_named_and_left_out(photographs):
    write_unreadable(photographs / "cats")
    (photographs / "cats" / "raw.NEF").touch()
    with (
        pytest.warns(UserWarning, match=r"left out of .*album, unreadable") as caught,
        pytest.warns(UserWarning, match=r"album, no pictures that can be read: 1 \.nef, 1 \.txt$"),
    ):
        train = load(f"folder:{photographs}", "train")
    test = load(f"folder:{photographs}", "test")  # does not warn again: warnings are errors here
    assert len(train) + len(test) == 60
    said = "".join(str(warning.message) for warning in caught)
    assert all(name in said for name in ("text.png", "cut.jpg", "empty.png", "bomb.png"))
    assert len(caught) == 1
    assert ".hidden" not in said


def test_nothing_usable_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        load(f"folder:{tmp_path / 'nowhere'}", "train")
    with pytest.raises(UserError, match="holds no picture"):
        data.open(f"folder:{tmp_path}")
    photograph(0, 40, 40).save(tmp_path / "only.png")
    with pytest.raises(UserError, match=r"holds 1 readable image: two are needed"):
        load(f"folder:{tmp_path}", "train")
    (tmp_path / "text.png").write_text("this is not an image")
    with (
        pytest.warns(UserWarning, match=r"text\.png"),
        pytest.raises(UserError, match=r"1 readable image: two are needed"),
    ):
        load(f"folder:{tmp_path}", "train")
    (tmp_path / "only.png").unlink()
    (tmp_path / "text.jpg").write_text("nor is this")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UserError, match="no readable image"):
            load(f"folder:{tmp_path}", "train")


def test_a_split_or_shape_that_does_not_exist(photographs):
    with pytest.raises(UserError, match="no split 'validation'; its splits: test, train"):
        load(f"folder:{photographs}", "validation")
    with pytest.raises(UserError, match=r"\(height, width, 1 or 3\)"):
        load(f"folder:{photographs}", "train", image_shape=(32, 32, 4))


def test_no_class_folders_means_no_labels(tmp_path):
    for i in range(4):
        photograph(i, 40, 40).save(tmp_path / f"{i}.png")
    assert load_labels(f"folder:{tmp_path}", "train") is None


def strokes(seed: int, colour: tuple[int, int, int]) -> Image.Image:
    """A picture that is of one colour, with its strokes in the alpha."""
    alpha = photograph(seed, 28, 28).convert("L")
    image = Image.new("RGB", alpha.size, colour)
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize("colour", [(255, 255, 255), (250, 250, 245)])
def test_white_on_nothing_is_what_its_alpha_shows(tmp_path, colour):
    for i in range(20):
        strokes(i, colour).save(tmp_path / f"{i:02}.png")
    images = {split: load(f"folder:{tmp_path}", split, image_shape=GREY) for split in ("train", "test")}
    found = sorted(image.tobytes() for images in images.values() for image in images)
    # the mean over the colour's luminance: on black, alpha times it
    wanted = [np.asarray(strokes(i, colour).getchannel("A")) * (np.mean(colour) / 255) for i in range(20)]
    for image in (np.frombuffer(one, np.uint8).reshape(28, 28) for one in found):
        assert min(np.abs(image - other).max() for other in wanted) < 3


def test_black_on_nothing_stays_black_on_white(tmp_path):
    for i in range(3):
        strokes(i, (0, 0, 0)).save(tmp_path / f"{i}.png")
    images = np.concatenate([load(f"folder:{tmp_path}", split, image_shape=GREY) for split in ("train", "test")])
    wanted = [255 - np.asarray(strokes(i, (0, 0, 0)).getchannel("A")).astype(int) for i in range(3)]
    for image in images[..., 0].astype(int):
        assert min(np.abs(image - other).max() for other in wanted) <= 1


def test_images_that_are_all_equal_are_refused(tmp_path):
    for i in range(5):
        Image.new("RGB", (40 + i, 40), (7, 7, 7)).save(tmp_path / f"{i}.png")
    with pytest.raises(UserError, match=r"^all images of .* are equal as 28 × 28 × 1: there is nothing to learn$"):
        load(f"folder:{tmp_path}", "train", image_shape=GREY)


def fill(place, *names: str) -> None:
    """A picture of its own for each name."""
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        photograph(sum(name.encode()), 40, 40).save(place / name)


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "VAL"), ("TRAIN", "Validation")])
def test_folders_of_a_split_are_the_split(tmp_path, train, test):
    fill(tmp_path, *(f"{train}/{kind}/{i}.png" for i in range(10) for kind in ("cats", "dogs")))
    fill(tmp_path, *(f"{test}/{kind}/t{i}.png" for i in range(3) for kind in ("cats", "dogs")))
    name = f"folder:{tmp_path}"
    for split, count in (("train", 20), ("test", 6)):
        assert len(load(name, split)) == count
        np.testing.assert_array_equal(load_labels(name, split), [0] * (count // 2) + [1] * (count // 2))
    assert data.open(name).description == f"split by its own folders: 20 in {train}/ to train, 6 in {test}/ to test"


def test_classes_of_both_sides_have_the_same_numbers(tmp_path):
    fill(tmp_path, *(f"train/{kind}/{i}.png" for i in range(2) for kind in "abc"), "test/c/1.png", "test/b/1.png")
    np.testing.assert_array_equal(load_labels(f"folder:{tmp_path}", "test"), [1, 2])
    np.testing.assert_array_equal(load_labels(f"folder:{tmp_path}", "train"), [0, 0, 1, 1, 2, 2])


def test_what_is_beside_the_split_is_left_out_and_said(tmp_path):
    fill(tmp_path, "train/1.png", "train/2.png", "test/3.png", "val/4.png", "more/a/5.png", "6.png")
    name = f"folder:{tmp_path}"
    with pytest.warns(UserWarning, match="neither to train nor to test: 1 beside them, 1 in more/, 1 in val/$"):
        assert len(load(name, "train")) == 2
    assert len(load(name, "test")) == 1
    assert load_labels(name, "train") is None


def test_a_side_without_a_readable_picture_is_an_error(tmp_path):
    fill(tmp_path, "train/1.png", "train/2.png", "train/3.png")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "4.png").write_text("this is not an image")
    with (
        pytest.warns(UserWarning, match=r"test/4\.png"),
        pytest.raises(UserError, match="no readable image to test: split by its own folders: 3 in train/"),
    ):
        load(f"folder:{tmp_path}", "train")


def test_without_both_sides_names_decide(tmp_path):
    fill(tmp_path, *(f"train/{i}.png" for i in range(9)), *(f"bus/{i}.png" for i in range(9)))
    labels = [load_labels(f"folder:{tmp_path}", split) for split in ("train", "test")]
    np.testing.assert_array_equal(np.bincount(np.concatenate(labels)), [9, 9])
    assert data.open(f"folder:{tmp_path}").description == (
        f"split by the files' names, about one in ten to test: {len(labels[1])} of 18"
    )


def test_hidden_folders_are_passed_over_and_links_are_entered(tmp_path):
    album = tmp_path / "album"
    hidden = ("@eaDir/a.png", "cats/@eaDir/a.png", ".@__thumb/a.png", ".ipynb_checkpoints/a.png", "__MACOSX/cats/a.png")
    fill(album, "cats/1.png", "cats/2.png", *hidden)
    fill(tmp_path, "far/dogs/3.png")
    (album / "dogs").symlink_to(tmp_path / "far" / "dogs")
    (album / "cats" / "round").symlink_to(album)
    labels = [load_labels(f"folder:{album}", split) for split in ("train", "test")]
    np.testing.assert_array_equal(np.bincount(np.concatenate(labels)), [2, 1])


def test_formats_beyond_the_usual(tmp_path):
    values = np.asarray(photograph(0, 32, 32))
    for number, suffix in enumerate(("ppm", "bmp", "webp", "png")):
        Image.fromarray(np.roll(values, number, axis=0)).save(tmp_path / f"{number}.{suffix}")
    tifffile.imwrite(tmp_path / "4.tif", np.roll(values, 4, axis=0).astype(np.float32) / 255, photometric="rgb")
    tifffile.imwrite(tmp_path / "5.tif", np.stack([np.roll(values, n, axis=0) for n in (5, 6)]), photometric="rgb")
    deep = np.moveaxis(np.roll(values, 7, axis=0).astype(np.uint16) * 257, -1, 0)
    tifffile.imwrite(tmp_path / "7.tif", deep, photometric="rgb", planarconfig="separate")
    with pytest.warns(UserWarning, match=r"7\.tif: its lowest value is taken for black"):
        images = np.concatenate([load(f"folder:{tmp_path}", split) for split in ("train", "test")])
    assert len(images) == 8
    ways = [np.roll(values, number, axis=0) * 257.0 for number in range(8)]
    found = {min(range(8), key=lambda n: np.abs(ways[n] - one).mean()) for one in images}
    assert found == set(range(8))


def test_what_is_odd_in_a_picture_is_said_once_with_a_count(tmp_path):
    for i in range(4):
        Image.fromarray(np.asarray(photograph(i, 40, 40).convert("L")).astype(np.uint16) * 16).save(
            tmp_path / f"{i}.png"
        )
    with pytest.warns(UserWarning, match=r": 0\.png, 1\.png, 2\.png, 3\.png: its lowest value is taken") as caught:
        load(f"folder:{tmp_path}", "train")
    assert len(caught) == 1
