import dataclasses
import inspect
from pathlib import Path

import pytest

from jaxae import noise
from jaxae.config import (
    Config,
    DataConfig,
    DataPlace,
    DistributedConfig,
    Launch,
    NoiseConfig,
    NoiseOverride,
    TrainConfig,
    command_words,
    differences,
    flags,
)
from jaxae.errors import UserError

CONFIG = Config(
    data=DataConfig("mnist", 100),
    noise=NoiseConfig("gaussian,salt", "0.1..0.5,0.2", clip=True),
    train=TrainConfig(3, 64, 0.01, lsuv=True),
    network="mnist",
    seed=7,
)


def test_differences_name_the_option_and_both_values():
    other = dataclasses.replace(CONFIG, seed=8, train=dataclasses.replace(CONFIG.train, batch_size=32))
    assert differences(CONFIG, other) == ["--train.batch-size was 64, is 32", "--seed was 7, is 8"]
    assert differences(CONFIG, CONFIG) == []


def test_every_field_is_an_option():
    assert set(flags(CONFIG)) == {
        *(
            "--data.name",
            "--data.limit",
            "--data.validation",
            "--data.test-split",
            "--data.range",
            "--noise.kind",
            "--noise.factor",
            "--noise.clip",
        ),
        *(
            "--train.epochs",
            "--train.batch-size",
            "--train.learning-rate",
            "--train.patience",
            "--train.target",
            "--train.sigma",
        ),
        *("--train.lsuv", "--train.reflect-padding", "--train.backend", "--train.precision"),
        *("--recipe", "--network", "--seed", "--init-from"),
    }


def test_a_command_line_makes_one_configuration_of_another():
    import tyro

    assert tyro.cli(Config, args=command_words(CONFIG, Config())) == CONFIG


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: DataConfig(limit=0), "`data.limit` 0: must be at least 1"),
        (lambda: TrainConfig(epochs=0), "`epochs` 0"),
        (lambda: TrainConfig(batch_size=-1), "`batch_size` -1"),
        (lambda: TrainConfig(learning_rate=-1e-3), "`learning_rate` -0.001"),
        (lambda: TrainConfig(learning_rate=float("nan")), "`learning_rate` nan"),
        (lambda: TrainConfig(reflect_padding=-1), "`reflect_padding` -1"),
        (lambda: TrainConfig(sigma=0.0), "`sigma` 0: must be above 0"),
        (lambda: TrainConfig(sigma=1.5), "`sigma` 1.5: .* at most 1, .* divided by 255 it is 0.00588"),
        (lambda: TrainConfig(sigma=25.5), "`sigma` 25.5: .*; divided by 255 it is 0.1"),
        (lambda: DataConfig(validation=1.0), "`data.validation` 1: must be between 0 and 1"),
        (lambda: DataConfig(validation=0.0), "`data.validation` 0: must be between 0 and 1"),
        (lambda: TrainConfig(patience=0), "`patience` 0"),
        (lambda: Config(train=TrainConfig(patience=3)), "`patience` 3: needs `data.validation`"),
        (lambda: Config(seed=-1), "`seed` -1"),
        (lambda: Config(seed=2**32), "`seed` 4294967296"),
        (lambda: Launch(resume=True), "`resume` needs `run_dir`"),
        (lambda: Launch(devices=0), "`devices` 0"),
        (
            lambda: DistributedConfig("localhost:1", process_id=0),
            "`num_processes` must be given too, to join other processes",
        ),
        (lambda: DistributedConfig(num_processes=2), "`coordinator`, `process_id` must be given too"),
        (lambda: DistributedConfig("localhost:1", 2, 2), "`process_id` 2: must be below `num_processes` 2"),
        (lambda: DistributedConfig("localhost:1", off=True), "`distributed.off` trains alone"),
        (lambda: DistributedConfig(detect=True, off=True), "`distributed.off` trains alone"),
        (lambda: DistributedConfig("localhost", 2, 1), "`coordinator` localhost: must be HOST:PORT"),
    ],
)
def test_values_that_no_run_can_have_are_refused_by_name(make, names):
    with pytest.raises(UserError, match=names):
        make()


def test_the_largest_values_are_accepted():
    assert TrainConfig(sigma=1.0).sigma == 1
    assert Config(seed=2**32 - 1).seed == 2**32 - 1


@pytest.mark.parametrize(
    ("given", "own", "expected"),
    [
        (NoiseOverride(), NoiseConfig("gaussian", 0.1), NoiseConfig("gaussian", 0.1)),
        (NoiseOverride("gaussian"), NoiseConfig("gaussian", 0.1), NoiseConfig("gaussian", 0.1)),
        (NoiseOverride("salt"), NoiseConfig("gaussian", 0.1), NoiseConfig("salt", None)),
        (NoiseOverride(factor=0.3), NoiseConfig("gaussian", 0.1, True), NoiseConfig("gaussian", 0.3, True)),
        (NoiseOverride(clip=True), NoiseConfig("gaussian", 0.1), NoiseConfig("gaussian", 0.1, True)),
        (NoiseOverride("none"), NoiseConfig("gaussian", 0.1, True), NoiseConfig("none", None, False)),
    ],
)
def test_noise_that_is_not_given_is_the_runs_own(given, own, expected):
    assert given.applied_to(own) == expected


def test_where_the_data_is_stored_is_no_part_of_a_runs_configuration():
    assert "--data.dir" not in flags(Config())
    assert flags(Launch(DataPlace(Path("x"))))["--data.dir"] == Path("x")


def test_the_help_of_the_noise_names_every_kind():
    source = inspect.getsource(NoiseConfig)
    assert all(kind in source for kind in noise.KINDS)
