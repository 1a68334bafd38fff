"""What a run and a data set have on the disk, damaged."""

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxae import data as data_sets
from jaxae import evaluate
from jaxae.data import __main__ as data_command
from jaxae.data import layouts
from jaxae.data.images import check_images
from jaxae.errors import UserError
from jaxae.experiments import noise_grid
from jaxae.runs import directory
from tests.stress.fuzz.bench import JSON, Bench, cases, damage
from tests.tiny_data_set import write_tiny


def histories(bench: Bench, count: int) -> None:
    """What is read of a `metrics.jsonl` are finite numbers."""
    with bench.kind("figures of epochs") as own:
        run_dir = shutil.copytree(bench.trained, own / "run")
        content = (bench.trained / "metrics.jsonl").read_bytes()

        @cases(count)
        @given(damage(content) | JSON.map(lambda value: json.dumps(value).encode()))
        def check(text):
            (run_dir / "metrics.jsonl").write_bytes(text)
            history = bench.read(directory.read_history, run_dir) or []
            assert all(np.isfinite(value) for record in history for value in record.values())

        check()


def summaries(bench: Bench, count: int) -> None:
    """A grid that goes on names a `summary.json` that is none."""
    with bench.kind("summaries") as own:
        arguments = noise_grid.Arguments(run_dir=own, out=own / "out")
        run_dir = own / "mnist_denoise" / "gaussian-0.5"
        run_dir.mkdir(parents=True)

        @cases(count)
        @given(st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()))
        def check(text):
            (run_dir / "summary.json").write_bytes(text)
            with pytest.raises(UserError, match=r"summary\.json"):
                noise_grid.run_one(noise_grid.EXPERIMENTS[0], "gaussian", "0.5", arguments)
            bench.seen["refused"] += 1

        check()


def checkpoints(bench: Bench, count: int) -> None:
    """Files of checkpoints, damaged: the parameters that are read are those that were saved."""
    with bench.kind("checkpoints") as own:
        run_dir, seen, trained = own / "run", [], bench.trained
        files = sorted(path.relative_to(trained) for path in (trained / "checkpoints").rglob("*") if path.is_file())

        def evaluated(run_dir: Path) -> dict:
            return evaluate.evaluate_run(evaluate.Arguments(run_dir))

        good = evaluated(trained)["params_digest"]

        @cases(count)
        @given(st.data())
        def check(data):
            shutil.rmtree(run_dir, ignore_errors=True)
            shutil.copytree(trained, run_dir)
            for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=4)):
                content = (run_dir / path).read_bytes()
                (run_dir / path).write_bytes(data.draw(damage(content)))
            results = []
            status, err = bench.run(lambda: results.append(evaluated(run_dir)))
            seen.append((status, "damaged" in err))
            assert status == 2 or results[0]["params_digest"] == good

        check()
        assert {(0, True), (2, True)} & set(seen)


def prepared(bench: Bench, count: int) -> None:
    """A data set as TFDS prepared it, one of its files damaged."""
    import tensorflow_datasets as tfds

    with bench.kind("prepared data sets") as own:
        grey = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 1), np.uint8)
        features = {"image": tfds.features.Image(shape=(28, 28, 1)), "label": tfds.features.ClassLabel(num_classes=10)}
        examples = [{"image": cv2.imencode(".png", image)[1].tobytes(), "label": 1} for image in grey]
        folder = write_tiny(own / "good", features, {"train": examples, "test": examples})
        files = sorted(path.relative_to(own / "good") for path in folder.iterdir() if path.is_file())

        @cases(count)
        @given(st.data())
        def check(data):
            shutil.rmtree(own / "data", ignore_errors=True)
            shutil.copytree(own / "good", own / "data")
            path = own / "data" / data.draw(st.sampled_from(files))
            path.write_bytes(data.draw(damage(path.read_bytes())))
            bench.run(evaluate.main, bench.trained, "--data.dir", own / "data", "--data.name", "tiny")
            bench.run(data_command.main, "list", "--data-dir", own / "data")

        check()


def official_files(bench: Bench, count: int) -> None:
    """MNIST's format and CIFAR's archives."""
    header = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in (2, 3, 4))
    good = gzip.compress(header + bytes(24), mtime=0)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("a")
        member.size = 9
        tar.addfile(member, io.BytesIO(b"123456789"))
    with bench.kind("official files") as own:

        @cases(count)
        @given(damage(good) | damage(header + bytes(24)).map(gzip.compress), damage(archive.getvalue()))
        def check(content, packed):
            path = own / "train-images-idx3-ubyte.gz"
            path.write_bytes(content)
            bench.read(layouts.find_layouts, "mnist", own)
            bench.read(layouts.read_idx, content, "file", refusal=ValueError)
            path.write_bytes(packed)
            bench.read(layouts.find_layouts, "cifar10", path)

        check()


@st.composite
def csv_tables(draw, rows: np.ndarray) -> bytes:
    """Labels and values, a row of each image, as spreadsheets and other programs write them."""
    names = draw(st.sampled_from([None, "pixel{}", '"pixel{}"', "{}x1"]))
    lines = [",".join(map(str, row)) for row in rows]
    if names is not None:
        label = '"label"' if '"' in names else "label"
        lines.insert(0, ",".join([label, *(names.format(number) for number in range(1, rows.shape[1]))]))
    ends = draw(st.sampled_from(["\n", "\r\n"]))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + (ends.join(lines) + ends).encode()


@st.composite
def parquet_tables(draw, rows: np.ndarray) -> bytes:
    """Labels and encoded pictures, some of another depth or with other channels."""
    import pyarrow
    from pyarrow import parquet

    side, change = round((rows.shape[1] - 1) ** 0.5), draw(st.sampled_from(range(8)))
    cells = []
    for row in rows:
        image = row[1:].reshape(side, side).astype(np.uint8)
        if change < 4 and len(cells) in (0, draw(st.integers(0, 9))):
            image = [
                image.astype(np.uint16) * 257,
                image[:-1],
                np.dstack([image] * 3),
                np.dstack([image] * 4),
            ][change]
        cells.append({"bytes": cv2.imencode(".png", image)[1].tobytes(), "path": None})
    table, buffer = pyarrow.table({"image": cells, "label": rows[:, 0].tolist()}), io.BytesIO()
    parquet.write_table(table, buffer, compression=draw(st.sampled_from(["none", "snappy"])))
    return buffer.getvalue()


def tables(bench: Bench, count: int) -> None:
    """Tables of images, some damaged: what is read of a whole one is what was written."""
    rows = np.random.default_rng(0).integers(0, 256, (5, 17))
    with bench.kind("tables") as own:

        @cases(count)
        @given(st.data())
        def check(data):
            shutil.rmtree(own / "in", ignore_errors=True)
            (own / "in").mkdir()
            kind, make = data.draw(st.sampled_from([("csv", csv_tables), ("parquet", parquet_tables)]))
            content = data.draw(make(rows))
            given_content = data.draw(st.just(content) | damage(content))
            for split in ("train", "test"):
                (own / "in" / f"{split}.{kind}").write_bytes(given_content)
            images = bench.read(lambda: data_sets.open(f"{kind}:{own / 'in'}").load("train"))
            labels = bench.read(lambda: data_sets.open(f"{kind}:{own / 'in'}").load_labels("train"))
            if images is not None:
                check_images(images, "the table")
                assert images.clean.dtype == np.uint8
                assert images.shape[-1] in (1, 3)
            if images is not None and given_content == content:
                found = images.clean[..., :1].reshape(len(rows), -1)
                np.testing.assert_array_equal(found, rows[:, 1:])
                np.testing.assert_array_equal(labels, rows[:, 0])

        check()
