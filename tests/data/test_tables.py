"""Data sets as Hugging Face, Kaggle and others hand them on."""

import io

import cv2
import numpy as np
import pytest

from jaxae import data
from jaxae.data import layouts, official
from jaxae.data.layouts import LabeledImages
from jaxae.errors import UserError
from tests.stress import official_layouts

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")


def encoded(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def write_parquet(folder, splits, image="image", parts=2):
    """As on Hugging Face: one file or several of each split, with pictures as structures."""
    from pyarrow import parquet

    folder.mkdir(parents=True)
    for split, (images, labels) in splits.items():
        for part, rows in enumerate(np.array_split(np.arange(len(images)), parts)):
            cells = [{"bytes": encoded(images[row]), "path": None} for row in rows]
            table = pyarrow.table({image: cells, "label": [int(labels[row, 0]) for row in rows]})
            parquet.write_table(table, folder / f"{split}-{part:05}-of-{parts:05}.parquet")
    return f"parquet:{folder.parent}"


def write_csv(folder, splits, header="label,pixel0", name="mnist_{}.csv"):
    folder.mkdir(parents=True)
    for split, (images, labels) in splits.items():
        rows = np.concatenate([labels, images.reshape(len(images), -1)], axis=1)
        options = {"header": header + "," * (rows.shape[1] - 2), "comments": ""} if header else {}
        np.savetxt(folder / name.format(split), rows, "%d", ",", **options)
    return f"csv:{folder}"


def write_csv_of_a_spreadsheet(folder, splits):
    """With a byte order mark, quotes and the line ends of Windows."""
    name = write_csv(folder, splits, "label,pixel0")
    for file in folder.iterdir():
        lines = [",".join(f'"{cell}"' for cell in line.split(",")) for line in file.read_text().splitlines()]
        file.write_text("\r\n".join(lines) + "\r\n", "utf-8-sig", newline="")
    return name


def write_pngs(folder, splits):
    for split, (images, labels) in splits.items():
        for number, (image, label) in enumerate(zip(images, labels[:, 0], strict=True)):
            place = folder / {"train": "training", "test": "testing"}[split] / str(label)
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number}.png").write_bytes(encoded(image))
    return f"folder:{folder}"


def digests(name, shape):
    dataset, found = data.open(name, image_shape=shape), []
    for split in layouts.SPLITS:
        labels = dataset.load_labels(split).astype(np.uint8)[:, None]
        found.append(layouts.content_digest(LabeledImages(dataset.load(split).clean, labels)))
    return tuple(found)


def small(shape):
    random = np.random.default_rng(0)
    return {
        split: LabeledImages(
            random.integers(0, 256, (count, *shape), np.uint8), np.arange(count, dtype=np.uint8)[:, None] % 10
        )
        for split, count in (("train", 30), ("test", 20))
    }


FORMS = {
    "parquet": (write_parquet, (28, 28, 1)),
    "parquet in colours": (lambda folder, splits: write_parquet(folder, splits, "img", 1), (32, 32, 3)),
    "csv": (write_csv, (28, 28, 1)),
    "csv without names": (lambda folder, splits: write_csv(folder, splits, ""), (28, 28, 1)),
    "csv of Kaggle": (lambda folder, splits: write_csv(folder, splits, "label,1x1", "{}.csv"), (28, 28, 1)),
    "csv of a spreadsheet": (write_csv_of_a_spreadsheet, (28, 28, 1)),
    "mnist_png": (write_pngs, (28, 28, 1)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_images_and_labels(tmp_path, form):
    write, shape = FORMS[form]
    splits = small(shape)
    wanted = tuple(layouts.content_digest(splits[split]) for split in layouts.SPLITS)
    assert digests(write(tmp_path / "some" / "data", splits), shape) == wanted


@pytest.mark.slow
def test_the_real_data_is_official_in_every_table(tmp_path, real_data):
    splits = {}
    for name, read in (("mnist", official_layouts.real_mnist), ("cifar10", official_layouts.real_cifar10)):
        test = read(real_data)["test"]  # the training images would take a minute more
        splits[name] = {"train": LabeledImages(test.images[:9], test.labels[:9]), "test": test}
    wanted = {name: official.CONTENT[name][1] for name in splits}
    written = write_parquet(tmp_path / "mnist" / "mnist", splits["mnist"])
    assert digests(written, (28, 28, 1))[1] == wanted["mnist"]
    assert digests(write_csv(tmp_path / "csv", splits["mnist"]), (28, 28, 1))[1] == wanted["mnist"]
    written = write_parquet(tmp_path / "cifar10" / "plain_text", splits["cifar10"], "img")
    assert digests(written, (32, 32, 3))[1] == wanted["cifar10"]


def test_a_table_without_labels_has_none(tmp_path):
    rows = small((28, 28, 1))["train"].images.reshape(30, -1)
    for split in layouts.SPLITS:
        names = ",".join(f"pixel{number}" for number in range(784))
        np.savetxt(tmp_path / f"{split}.csv", rows, "%d", ",", header=names, comments="")
    dataset = data.open(f"csv:{tmp_path}")
    np.testing.assert_array_equal(dataset.load("test").clean.reshape(30, -1), rows)
    assert dataset.load_labels("test") is None


def test_a_table_that_has_changed_is_read_anew(tmp_path):
    splits = small((28, 28, 1))
    name = write_csv(tmp_path / "data", splits)
    assert data.open(name).load("train").count == 30
    write_csv(tmp_path / "new", splits | {"train": splits["test"]})
    for file in (tmp_path / "new").iterdir():
        file.replace(tmp_path / "data" / file.name)
    assert data.open(name).load("train").count == 20


def parquet_of(*pictures: np.ndarray | None) -> bytes:
    from pyarrow import parquet

    cells = [{"bytes": b"?" if each is None else cv2.imencode(".png", each)[1].tobytes()} for each in pictures]
    parquet.write_table(pyarrow.table({"image": cells, "label": [0] * len(cells)}), buffer := io.BytesIO())
    return buffer.getvalue()


GREY = np.zeros((4, 4), np.uint8)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("train.parquet", parquet_of(GREY, GREY[:3]), "train.parquet: some of its pictures differ in size"),
        ("train.parquet", parquet_of(GREY, np.uint16(GREY)), "differ in size, depth"),
        ("train.parquet", parquet_of(np.dstack([GREY] * 4)), "or have alpha"),
        ("train.parquet", parquet_of(GREY, None), "are damaged"),
        ("train.parquet", parquet_of(None), "are damaged"),
        ("train.parquet", parquet_of(), "no column of it holds pictures, or it has no rows"),
        ("a.csv", b"", "there is no .csv file with 'train' in its name"),
        ("train.csv", b"label,pixel0\n1,2,3,4\n", "train.csv: rows of 2 cells are no square images"),
        ("train.csv", b"label,a,b\n1,2,3\n", "train.csv: rows of 3 cells are no square images"),
        ("train.csv", b"label,a\n1,256\n", "train.csv: rows of 2 cells are no square images of values from 0 to 255"),
        ("train.csv", b"label,a\n1,x\n", "train.csv: could not convert string"),
        ("train.csv", b"", "train.csv: "),
        ("train.parquet", b"PAR1", "train.parquet: "),
    ],
)
def test_what_is_no_table_is_named(tmp_path, name, content, says):
    kind = name.rpartition(".")[2]
    (tmp_path / f"test.{kind}").write_bytes(b"")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=says):
        data.open(f"{kind}:{tmp_path}").load("train")
