"""What a run is: frozen dataclasses, from which `tyro` makes the command line and JSON makes `config.json`."""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from jaxae.errors import UserError


@dataclass(frozen=True)
class DataConfig:
    """Which images."""

    name: str = "auto"
    """Data set: a name that `python -m jaxae.data list` shows, or auto: the experiment's own where it is prepared or
    can be had, else the embedded one that takes its place."""
    dir: Path | None = None
    """Where prepared data sets lie; by default $TFDS_DATA_DIR, else TFDS's own default place."""
    limit: int | None = None
    """Train on the first N training images only."""
    placement: Literal["auto", "device", "stream"] = "auto"
    """Where the training images lie: on the device, or on the host, from which batches are streamed; auto takes the
    device where they fit."""


@dataclass(frozen=True)
class NoiseConfig:
    """How the network's input is corrupted."""

    kind: str = "gaussian"
    """Name of a noise in `jaxae.noise`, or none."""
    factor: float | str | None = None
    """Strength of the noise; by default the kind's own."""
    clip: bool = False
    """Clip noisy images to [0, 1]."""


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained."""

    epochs: int | None = None
    """Passes over the training images; by default the recipe's own, as the next two."""
    batch_size: int | None = None
    """Images in a step."""
    learning_rate: float | None = None
    """Of the optimizer; in the fast recipe its peak."""
    target: Literal["clean", "noisy"] = "clean"
    """What the output is compared with: the clean image, or another noisy copy of it (Noise2Noise)."""
    ops: str = "auto"
    """How convolutions are computed: a name in `jaxae.ops`; auto picks for the backend."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What activations are computed in; parameters, Adam and the loss stay float32."""


@dataclass(frozen=True)
class LogConfig:
    """What else is written of a run; no part of what the run is."""

    tensorboard: bool = False
    """Write the figures of each epoch and test images for TensorBoard, into the run's tensorboard/."""


_JOIN = ("coordinator", "num_processes", "process_id")


@dataclass(frozen=True)
class DistributedConfig:
    """Which processes train together, where the environment (Slurm, Open MPI, Kubernetes, Cloud TPU) does not say."""

    coordinator: str | None = None
    """HOST:PORT at which process 0 awaits the others, the same for all."""
    num_processes: int | None = None
    """How many processes there are."""
    process_id: int | None = None
    """Which one this is, from 0 on."""
    detect: bool = False
    """Have JAX look for the other processes even where no variable of the environment speaks of them."""
    timeout: int = 300
    """Seconds to wait for the others at the start."""


@dataclass(frozen=True)
class Config:
    """A training run."""

    data: DataConfig = field(default_factory=DataConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    log: LogConfig = field(default_factory=LogConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    recipe: Literal["plain", "fast"] = "plain"
    """The optimizer: plain is Adam at a constant rate, as in the original programs; fast is SOAP at a rate that rises
    and falls once."""
    model: Literal["auto", "mnist", "cifar"] = "auto"
    """The network; auto takes the one made for the images' shape."""
    seed: int = 0
    """Of initial weights, shuffling and noise."""
    devices: int | None = None
    """How many devices of each process share a batch; by default all that JAX shows. A CPU is divided into as many."""
    parallel: Literal["jit", "pmap"] = "jit"
    """How they share it: one program that the compiler divides, or one for a device's part."""
    run_dir: Path | None = None
    """Where the run is written; by default runs/EXPERIMENT-DATE-TIME."""
    resume: bool = False
    """Go on with the run in --run-dir from its latest checkpoint."""

    def check(self) -> None:
        """Raise UserError on a value that no run can have."""
        for name, value, least in (
            ("--data.limit", self.data.limit, 1),
            ("--train.epochs", self.train.epochs, 1),
            ("--train.batch-size", self.train.batch_size, 1),
            ("--seed", self.seed, 0),
            ("--devices", self.devices, 1),
            ("--distributed.num-processes", self.distributed.num_processes, 1),
            ("--distributed.process-id", self.distributed.process_id, 0),
            ("--distributed.timeout", self.distributed.timeout, 1),
        ):
            if value is not None and value < least:
                raise UserError(f"{name} {value}: must be at least {least}")
        if self.seed >= 2**32:
            raise UserError(f"--seed {self.seed}: must be below 2**32")
        rate = self.train.learning_rate
        if rate is not None and not 0 < rate < float("inf"):
            raise UserError(f"--train.learning-rate {rate}: must be a positive number")
        join = {f"--distributed.{n.replace('_', '-')}": getattr(self.distributed, n) for n in _JOIN}
        missing = [option for option, value in join.items() if value is None]
        if 0 < len(missing) < len(join):
            raise UserError(f"{', '.join(missing)} must be given too: to join other processes takes {', '.join(join)}")
        if not missing and self.distributed.process_id >= self.distributed.num_processes:
            raise UserError(
                f"--distributed.process-id {self.distributed.process_id}: must be below --distributed.num-processes "
                f"{self.distributed.num_processes}"
            )
        if not missing and not re.fullmatch(r".+:\d+", self.distributed.coordinator):
            raise UserError(f"--distributed.coordinator {self.distributed.coordinator}: must be HOST:PORT")
        if self.resume and self.run_dir is None:
            raise UserError("--resume needs --run-dir: the directory of the run to go on with")

    def to_json(self) -> dict[str, Any]:
        """The configuration as JSON types, without where the run lies, whether it goes on, what else is logged, and on
        what it runs.
        """
        record = dataclasses.asdict(self)
        for name in ("run_dir", "resume", "log", "devices", "parallel", "distributed"):
            del record[name]
        del record["data"]["placement"]
        record["data"]["dir"] = None if self.data.dir is None else str(self.data.dir)
        return record

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Config":
        """The inverse of `to_json`; raises TypeError, ValueError or KeyError where `record` is no such thing."""
        if not isinstance(record, dict) or not all(isinstance(record[key], dict) for key in ("data", "noise", "train")):
            raise TypeError("data, noise and train are no JSON objects")
        data_dir = record["data"]["dir"]
        config = cls(
            data=DataConfig(**record["data"] | {"dir": None if data_dir is None else Path(data_dir)}),
            noise=NoiseConfig(**record["noise"]),
            train=TrainConfig(**record["train"]),
            recipe=record["recipe"],
            model=record["model"],
            seed=record["seed"],
        )
        check_types(config)
        return config


def check_types(config: Any) -> None:
    """Raise ValueError unless each field of the dataclass instance `config` has a value of its declared type."""
    hints = get_type_hints(type(config))
    for field_ in dataclasses.fields(config):
        value, hint = getattr(config, field_.name), hints[field_.name]
        if dataclasses.is_dataclass(hint):
            check_types(value)
        elif get_origin(hint) is Literal:
            if value not in get_args(hint):
                raise ValueError(f"{field_.name} is {value!r}, none of {', '.join(map(str, get_args(hint)))}")
        elif not any(type(value) is kind or (kind is Path and isinstance(value, Path)) for kind in _kinds(hint)):
            raise ValueError(f"{field_.name} is {value!r}")


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) or (hint,)


def options(config: Config) -> dict[str, Any]:
    """The command line's options and their values, those left out that say where a run lies and what else it writes."""
    flags = {"--recipe": config.recipe, "--model": config.model, "--seed": config.seed}
    for group in ("data", "noise", "train"):
        for key, value in dataclasses.asdict(getattr(config, group)).items():
            flags[f"--{group}.{key.replace('_', '-')}"] = value
    return flags


def differences(old: Config, new: Config) -> list[str]:
    """What sets `new` apart from `old`, a line each; where the data lies is no difference."""
    before, after = options(old), options(new)
    del before["--data.dir"], before["--data.placement"]
    return [f"{flag} was {before[flag]}, is {after[flag]}" for flag in before if before[flag] != after[flag]]
