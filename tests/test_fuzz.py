"""Generated command lines, configurations and broken files: refused in one line, with a status that is not 0.

Each case runs a command's own `main` under `command.run_main`, in this process. What is valid is let go as far as it
would start to train or to restore images, and no further: `carry_out` and the scoring are replaced. So a case with
status 0 says that all of it was read and planned, not that it was trained.
"""

import contextlib
import functools
import io
import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxae import command, evaluate
from jaxae.data import __main__ as data_command
from jaxae.data import cifar, folder, idx, official, preparation
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, mnist_denoise, noise_grid, runner, sweep
from jaxae.run import directory, summary
from jaxae.run.scores import Scores
from tests.data.conftest import tiny_data_set  # noqa: F401
from tests.kills import make_images
from tests.small_run import write_run

# TensorStore reports a failed read once more, to an event loop that has ended
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CASES = {
    "command lines of a run": 120,
    "data sets and directories": 60,
    "command lines of other programs": 80,
    "configurations": 60,
    "figures of epochs": 60,
    "summaries": 40,
    "checkpoints": 20,
    "prepared data sets": 30,
    "official files": 80,
    "image files": 100,
}


def cases(what):
    """As many generated cases as `CASES` says, the same ones every time."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    count = CASES[what]
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=checks)


@pytest.fixture(autouse=True)
def short_of_training(monkeypatch):
    """Nothing is trained, scored, downloaded or prepared."""

    def unprepared(name, *_):
        raise UserError(f"{name} is not prepared here")

    monkeypatch.setenv("TFDS_DATA_DIR", "/nowhere/to/be/found")
    metrics = {"mse": 0.01, "psnr": 20.0, "ssim": 0.5}
    monkeypatch.setattr(runner, "carry_out", lambda *_: {})
    monkeypatch.setattr(sweep, "train_members", lambda *_: sys.exit(0))
    monkeypatch.setattr(evaluate, "score", lambda *_: Scores(*[np.zeros(1, np.float32)] * 3))
    monkeypatch.setattr(summary, "means_with_noisy", lambda *_: metrics)
    monkeypatch.setattr(official, "unreachable", lambda name: "its host cannot be reached")
    monkeypatch.setattr(preparation, "_build", unprepared)
    monkeypatch.setattr(command, "enable_compilation_cache", lambda: None)
    monkeypatch.setattr("jaxae.command.stopping.install", lambda: None)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # restored after `run_main` has set its own


def run(main, *arguments, accepted=(0, 2)):
    """The status of a command and what it says on stderr; fails where a traceback would reach the user."""
    out, err, refused_by_tyro = io.StringIO(), io.StringIO(), []
    before, parse = sys.argv, command.parse

    def parse_and_note(*arguments, **options):
        try:
            return parse(*arguments, **options)
        except SystemExit:
            refused_by_tyro.append(True)
            raise

    sys.argv = ["command", *map(str, arguments)]
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
            pytest.MonkeyPatch.context() as patched,
        ):
            warnings.simplefilter("always")
            patched.setattr(command, "parse", parse_and_note)
            command.run_main(main)
    except SystemExit as end:
        status = 0 if end.code is None else end.code
    finally:
        sys.argv = before
    lines = err.getvalue().splitlines()
    assert status in accepted, (status, lines)
    assert "Traceback" not in err.getvalue()
    if status == 2 and refused_by_tyro:  # it has said in a box of its own that this is no command line
        return status, err.getvalue()
    errors = [line for line in lines if line.startswith("error: ")]
    assert (status != 0) == (len(errors) == 1), (status, lines)
    assert all(line.startswith(("error: ", "warning: ")) for line in lines), lines
    return status, err.getvalue()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images"
    make_images(path)
    return path


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
NUMBER = st.one_of(
    st.integers(-(10**30), 10**30), st.floats(), st.sampled_from(["0", "1", "-1", "1e400", "0x10", "1_000"])
)
VALUE = st.one_of(
    NUMBER.map(str), TEXT, st.sampled_from(["", "--", "-", "None", "nan", "inf", "true", "0.1..0.5", "../x"])
)
SENSIBLE = {
    "--noise.kind": ["gaussian", "salt,gaussian", "poisson", "none", "gausian", "gaussian,", ","],
    "--noise.factor": ["0.5", "0.5..0.1", "0.1..0.5", "0.1,0.2", "..", "1e309"],
    "--train.epochs": ["1", "3", "0"],
    "--train.batch-size": ["1", "16", "100000"],
    "--train.learning-rate": ["1e-3", "0", "-1", "inf"],
    "--train.target": ["noisy", "clean", "dirty"],
    "--train.ops": ["auto", "xla", "fast"],
    "--train.precision": ["float32", "float64"],
    "--data.limit": ["1", "40", "0"],
    "--data.placement": ["device", "stream", "auto", "host"],
    "--recipe": ["plain", "fast", "slow"],
    "--model": ["auto", "mnist", "cifar", "vgg"],
    "--seed": ["0", "4294967296"],
    "--parallel": ["jit", "pmap", "threads"],
    "--devices": ["1", "0", "3", "1000"],
    "--resume": [],
    "--noise.clip": [],
    "--no-such-option": ["1"],
}


@st.composite
def command_lines(draw):
    words = []
    for option in draw(st.lists(st.sampled_from(sorted(SENSIBLE)), max_size=4)):
        words.append(option)
        if SENSIBLE[option] and draw(st.booleans()):
            words.append(draw(st.sampled_from(SENSIBLE[option])))
        elif SENSIBLE[option] or draw(st.integers(0, 9)) == 0:
            words.append(draw(VALUE))
    return words + draw(st.one_of(st.just([]), st.just([]), st.lists(VALUE, max_size=2)))


def test_command_lines_of_a_run(images, tmp_path):
    statuses = []

    @cases("command lines of a run")
    @given(command_lines(), st.sampled_from([mnist_denoise, cifar10_denoise]))
    def check(words, module):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        if "-h" in words:
            return
        status, _ = run(module.main, "--data.name", f"folder:{images}", "--run-dir", tmp_path / "run", *words)
        assert (tmp_path / "run").exists() == (status == 0)
        statuses.append(status)

    check()
    assert 5 < statuses.count(0) < 110


def test_data_sets_and_directories(tmp_path):
    @cases("data sets and directories")
    @given(st.sampled_from(["--data.name", "--run-dir", "--data.dir"]), VALUE | st.text("abc/.:-", max_size=300))
    def check(option, value):
        with contextlib.chdir(tmp_path):
            status, _ = run(mnist_denoise.main, "--data.name", "mnist", option, value)
        assert status == 2

    check()


def test_command_lines_of_other_programs(tmp_path):
    programs = {"sweep": sweep.main, "evaluate": evaluate.main, "data": data_command.main, "grid": noise_grid.main}
    words = ["--seeds", "0..3", "3..1", "prepare", "list", "mnist", "--from", "--data-dir", "--noise.factor", "--json"]

    @cases("command lines of other programs")
    @given(st.sampled_from(sorted(programs)), st.lists(st.sampled_from(words) | VALUE, max_size=4))
    def check(name, words):
        if "--help" in words or "-h" in words:
            return
        with contextlib.chdir(tmp_path):
            status, _ = run(programs[name], *words)
        assert status == 2 or name == "data"

    check()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damage(draw, content: bytes):
    """`content` with bits flipped, bytes put in, or a part missing."""
    kind = draw(st.sampled_from(["flip", "cut", "insert", "replace", "empty"]))
    place = draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "flip" and content:
        return content[:place] + bytes([content[place] ^ 1 << draw(st.integers(0, 7))]) + content[place + 1 :]
    if kind == "cut":
        return content[:place]
    junk = draw(st.binary(max_size=20))
    return {"insert": content[:place] + junk + content[place:], "replace": junk}.get(kind, b"")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, images):
    """A run's directory with checkpoints of two epochs, whose data are the folder of images."""
    run_dir = tmp_path_factory.mktemp("trained") / "run"
    write_run(run_dir, "mnist")
    config = json.loads((run_dir / "config.json").read_text())
    config["data"]["name"], config["train"]["batch_size"] = f"folder:{images}", 16
    (run_dir / "config.json").write_text(json.dumps(config))
    shutil.copytree(run_dir / "checkpoints" / "3", run_dir / "checkpoints" / "2")
    lines = [{"epoch": epoch} | dict.fromkeys(directory.METRICS, 0.5) for epoch in (1, 2, 3)]
    directory.write_history(run_dir, lines)
    assert run(evaluate.main, run_dir)[0] == 0
    return run_dir


def test_configurations(trained, tmp_path):
    run_dir = shutil.copytree(trained, tmp_path / "run")
    whole = json.loads((trained / "config.json").read_text())
    places = [(group, name) for group in ("data", "noise", "train") for name in whole[group]]
    places += [(name, None) for name in whole]
    statuses = []

    @cases("configurations")
    @given(st.data())
    def check(data):
        group, name = data.draw(st.sampled_from(places))
        changed = json.loads(json.dumps(whole))
        if data.draw(st.booleans()):
            text = data.draw(damage(json.dumps(whole, indent=2).encode()))
        else:
            (changed if name is None else changed[group])[name or group] = data.draw(JSON | VALUE)
            text = json.dumps(changed).encode()
        (run_dir / "config.json").write_bytes(text)
        status, _ = run(evaluate.main, run_dir)
        resumed, _ = run(mnist_denoise.main, "--data.name", whole["data"]["name"], "--run-dir", run_dir, "--resume")
        statuses.extend([status, resumed])

    check()
    assert statuses.count(2) > 60


def test_figures_of_epochs(trained, tmp_path):
    run_dir = shutil.copytree(trained, tmp_path / "run")
    content = (trained / "metrics.jsonl").read_bytes()

    @cases("figures of epochs")
    @given(damage(content) | JSON.map(lambda value: json.dumps(value).encode()))
    def check(text):
        (run_dir / "metrics.jsonl").write_bytes(text)
        with contextlib.suppress(UserError):
            lines = directory.read_history(run_dir)
            assert all(np.isfinite(line[name]) for line in lines for name in directory.METRICS)

    check()


def test_summaries(tmp_path):
    arguments = noise_grid.Arguments(run_dir=tmp_path, out=tmp_path / "out")
    run_dir = tmp_path / "mnist_denoise" / "gaussian-0.5"
    run_dir.mkdir(parents=True)

    @cases("summaries")
    @given(st.binary(max_size=30) | JSON.map(lambda value: json.dumps(value).encode()))
    def check(text):
        (run_dir / "summary.json").write_bytes(text)
        with pytest.raises(UserError, match=r"summary\.json"):
            noise_grid.row(noise_grid.run_one("mnist_denoise", "gaussian", "0.5", arguments)[1], "picture")

    check()


def test_checkpoints(trained, tmp_path):
    run_dir, seen = tmp_path / "run", []
    checkpoints = trained / "checkpoints"
    files = sorted(path.relative_to(trained) for path in checkpoints.rglob("*") if path.is_file())
    good = json.loads(run_json(trained))["params_digest"]

    @cases("checkpoints")
    @given(st.data())
    def check(data):
        shutil.rmtree(run_dir, ignore_errors=True)
        shutil.copytree(trained, run_dir)
        for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=4)):
            content = (run_dir / path).read_bytes()
            (run_dir / path).write_bytes(data.draw(damage(content)))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status, err = run(functools.partial(print_evaluation, run_dir, out))
        seen.append((status, "damaged" in err))
        assert status == 2 or json.loads(out.getvalue())["params_digest"] == good

    check()
    assert (0, True) in seen
    assert (2, True) in seen


def run_json(run_dir: Path) -> str:
    out = io.StringIO()
    print_evaluation(run_dir, out)
    return out.getvalue()


def print_evaluation(run_dir: Path, out: io.StringIO) -> None:
    print(json.dumps(evaluate.evaluate(evaluate.Arguments(run_dir))), file=out)


def test_prepared_data_sets(trained, tiny_data_set, tmp_path):  # noqa: F811
    import tensorflow_datasets as tfds

    grey = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 1), np.uint8)
    features = {"image": tfds.features.Image(shape=(28, 28, 1)), "label": tfds.features.ClassLabel(num_classes=10)}
    examples = [{"image": official.png(image), "label": 1} for image in grey]
    prepared = tiny_data_set(tmp_path / "good", features, {"train": examples, "test": examples})
    files = sorted(path.relative_to(tmp_path / "good") for path in prepared.iterdir() if path.is_file())
    statuses = []

    @cases("prepared data sets")
    @given(st.data())
    def check(data):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        shutil.copytree(tmp_path / "good", tmp_path / "data")
        path = tmp_path / "data" / data.draw(st.sampled_from(files))
        path.write_bytes(data.draw(damage(path.read_bytes())))
        statuses.append(run(evaluate.main, trained, "--data.dir", tmp_path / "data", "--data.name", "tiny")[0])
        run(data_command.main, "list", "--data-dir", tmp_path / "data")

    check()
    assert 0 in statuses
    assert 2 in statuses


def test_official_files(tmp_path):
    import gzip
    import tarfile

    good = gzip.compress(bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in (2, 3, 4)) + bytes(24), mtime=0)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("a")
        member.size = 9
        tar.addfile(member, io.BytesIO(b"123456789"))

    @cases("official files")
    @given(damage(good) | damage(good[:10] + good[10:]).map(gzip.compress), damage(archive.getvalue()))
    def check(content, packed):
        path = tmp_path / "file.gz"
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            idx.read_idx(path)
        path.write_bytes(packed)
        with contextlib.suppress(UserError):
            cifar.read_members(path, ["a"])

    check()


def test_image_files(images, tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    good = {}
    for suffix in ("png", "jpg", "webp", "bmp", "tif"):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix))
        good[suffix] = buffer.getvalue()

    @cases("image files")
    @given(st.data())
    def check(data):
        for path in (tmp_path / "images").iterdir():
            path.unlink()
        for number in range(3):
            suffix = data.draw(st.sampled_from(sorted(good)))
            content = data.draw(st.one_of(st.just(good[suffix]), damage(good[suffix])))
            (tmp_path / "images" / f"{number}.{suffix}").write_bytes(content)
        with warnings.catch_warnings(), contextlib.suppress(UserError):
            warnings.simplefilter("ignore")
            loaded, _ = folder.load_folder(f"folder:{tmp_path / 'images'}", "train", (28, 28, 1))
            assert loaded.shape[1:] == (28, 28, 1)

    check()
