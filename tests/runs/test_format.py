"""A run that an earlier version wrote opens, evaluates and resumes; a configuration of another format is refused."""

import json
import shutil
from pathlib import Path

import pytest

from jaxae import data
from jaxae.config import Config, DataConfig, DataOverride
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, running
from jaxae.runs import directory, fingerprint, summary, trained
from jaxae.runs.digest import tree_digest
from jaxae.runs.scores import score

FORMAT_1 = Path(__file__).parent / "format_1"
DIGEST = "1c8b92a28f00799bd749f9970e908b46724887a452988bd14c6521bc2c04472a"


@pytest.fixture
def run_dir(tmp_path):
    """A copy of the run, without what is not the program's."""
    shutil.copytree(FORMAT_1, tmp_path / "run", ignore=shutil.ignore_patterns("README.md"))
    return tmp_path / "run"


@pytest.fixture(scope="module")
def images(request):
    """The directory of the run's data set, if this version of NumPy and scikit-image draws the same images."""
    folder = Path(request.config.cache.mkdir("tensorflow_datasets"))
    dataset = data.open("photo_patches_small", folder)
    train, test = dataset.load("train").take(slice(256)), dataset.load("test")
    if fingerprint.take_fingerprint(train, test) != fingerprint.read_fingerprint(FORMAT_1):
        pytest.skip("other versions of NumPy or scikit-image draw other images")
    return folder


def rewrite(run_dir, **changes):
    """Change fields of the run's configuration; None removes one."""
    path = run_dir / directory.CONFIG
    record = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in record.items() if value is not None}))


def test_it_opens_with_the_same_parameters(run_dir):
    run = trained.load_run(run_dir)
    assert (run.epoch, run.config.network, run.config.train.learning_rate) == (1, "cifar", 0.01)
    assert tree_digest(run.params) == DIGEST == directory.read_summary(run_dir)["params_digest"]
    assert [record["epoch"] for record in directory.read_history(run_dir)] == [1]
    assert DIGEST in (FORMAT_1 / "README.md").read_text()


@pytest.mark.slow
def test_it_evaluates_to_the_same_metrics(run_dir, images):
    run = trained.load_run(run_dir)
    test = trained.open_test(run, DataOverride(dir=images))
    means = summary.means_with_noisy(score(run.network, run.params, test), test)
    assert means == pytest.approx(directory.read_summary(run_dir)["test"], rel=1e-4)


@pytest.mark.slow
def test_it_resumes(run_dir, images, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(images))
    monkeypatch.setattr("sys.argv", ["cifar10_denoise", "--run-dir", str(run_dir), "--resume", "--train.epochs", "2"])
    running.run_experiment(cifar10_denoise.EXPERIMENT, "")
    assert trained.load_run(run_dir).epoch == 2
    first, second = directory.read_history(run_dir)
    assert first == directory.read_history(FORMAT_1)[0]
    assert second["psnr"] > first["psnr"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": None}, "its format is unknown, and this version reads 1; use jaxae 0.1.0, which wrote it"),
        ({"format": True}, "its format is True, and this version reads 1"),
        ({"format": 2, "jaxae": "9.0"}, "its format is 2, and this version reads 1; use jaxae 9.0, which wrote it"),
        ({"ways": 3}, "it has the unknown field ways; use jaxae 0.1.0, which wrote it, or train again"),
        ({"train": {"warmup": 3}}, "it has the unknown field train.warmup; use jaxae 0.1.0"),
        ({"train": {"epochs": "many"}}, "Expected `int | null`, got `str` - at `$.train.epochs`"),
        ({"train": None}, "is not the configuration of a run: train.epochs is missing"),
        ({"noise": None}, "is not the configuration of a run: noise.kind is missing"),
    ],
)
def test_a_configuration_that_is_not_of_this_format_is_refused_in_one_line(run_dir, changes, words):
    rewrite(run_dir, **changes)
    with pytest.raises(UserError) as error:
        directory.load_config(run_dir)
    assert str(run_dir / "config.json") in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_fields_take_their_defaults(run_dir):
    whole = directory.load_config(run_dir)
    rewrite(run_dir, seed=None, imports=None, recipe=None, data={"name": "digits"})
    config = directory.load_config(run_dir)
    assert (config.seed, config.recipe) == (Config().seed, Config().recipe)
    assert config.data == DataConfig("digits")
    assert config.train == whole.train
