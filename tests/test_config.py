import dataclasses
import json
from pathlib import Path

import pytest

from jaxae.config import Config, DataConfig, NoiseConfig, TrainConfig, differences
from jaxae.errors import UserError

CONFIG = Config(
    data=DataConfig("mnist", Path("somewhere"), 100),
    noise=NoiseConfig("gaussian,salt", "0.1..0.5,0.2", clip=True),
    train=TrainConfig(3, 64, 0.01),
    model="mnist",
    seed=7,
)


def test_json_keeps_every_field():
    assert Config.from_json(json.loads(json.dumps(CONFIG.to_json()))) == CONFIG


def test_differences_name_the_option_and_both_values():
    other = dataclasses.replace(CONFIG, seed=8, train=dataclasses.replace(CONFIG.train, batch_size=32))
    assert differences(CONFIG, other) == ["--seed was 7, is 8", "--train.batch-size was 64, is 32"]
    moved = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, dir=Path("elsewhere")), run_dir=Path("r"))
    assert differences(CONFIG, moved) == []


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (Config(data=DataConfig(limit=0)), "--data.limit 0"),
        (Config(train=TrainConfig(epochs=0)), "--train.epochs 0"),
        (Config(train=TrainConfig(batch_size=-1)), "--train.batch-size -1"),
        (Config(train=TrainConfig(learning_rate=-1e-3)), "--train.learning-rate -0.001"),
        (Config(train=TrainConfig(learning_rate=float("nan"))), "--train.learning-rate nan"),
        (Config(seed=-1), "--seed -1"),
        (Config(seed=2**32), "--seed 4294967296"),
        (Config(resume=True), "--run-dir"),
    ],
)
def test_values_that_no_run_can_have_are_refused_by_name(config, names):
    with pytest.raises(UserError, match=names):
        config.check()


def test_the_defaults_pass():
    Config().check()
