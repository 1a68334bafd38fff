"""What a run is (`Config`) and how it is launched (`Launch`), as frozen dataclasses that are checked when created.

tyro builds the command line from them; a run's `config.json` and `launch.json` are their fields.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jaxae.errors import UserError


@dataclass(frozen=True)
class DataConfig:
    """The images."""

    name: str = "auto"
    """The data set: a name that `python -m jaxae.data list` shows, folder:PATH, pairs:NOISY,CLEAN, or auto. auto is the
    experiment's own data set, or an embedded one if that is not available."""
    limit: int | None = None
    """Train on the first N training images only."""
    validation: float | None = None
    """Fraction of the training images to validate on and not to train on, drawn by the seed; its score decides which
    checkpoint is the best."""
    test_split: str = "test"
    """The split of a TFDS data set to test on; if it has no test split, its validation split by default."""
    range: str | None = None
    """LOW,HIGH: the values of black and white in pictures of more than 8 bits; by default what each file states or
    spans."""

    def __post_init__(self):
        _check_at_least(1, {"data.limit": self.limit})
        if self.validation is not None and not 0 < self.validation < 1:
            raise UserError(f"`data.validation` {self.validation:g}: must be between 0 and 1")


@dataclass(frozen=True)
class NoiseConfig:
    """The noise on the network's input."""

    kind: str = "auto"
    """gaussian, uniform, speckle, poisson, salt, pepper, salt_and_pepper, masking or block_masking; several of them,
    separated by commas and applied in this order; or none. auto is gaussian, or none for pairs."""
    factor: float | str | None = None
    """Strength of the noise on images in [0, 1]: a number, or a range such as 0.1..0.5 from which each image draws its
    own; by default the kind's own."""
    clip: bool = False
    """Clip noisy images to [0, 1]."""


@dataclass(frozen=True)
class TrainConfig:
    """The training."""

    epochs: int | None = None
    """Passes over the training images; by default the recipe's own, as for the batch size and the learning rate."""
    batch_size: int | None = None
    """Images per step."""
    learning_rate: float | None = None
    """The learning rate; with a schedule, its peak."""
    patience: int | None = None
    """Stop after this many epochs without a better validation score; needs --data.validation."""
    lsuv: bool | None = None
    """LSUV initialization: scale the initial weights to outputs of unit variance; by default the recipe's setting."""
    reflect_padding: int | None = None
    """Pixels of reflection padding around the images; by default the recipe's setting."""
    target: str = "clean"
    """The objective. clean compares outputs with clean images by the mean squared error, psnr by its logarithm for each
    image, for noise of many strengths; noisy compares with another noisy copy (Noise2Noise). self
    (Noise2Self, for noise that is independent between pixels) and sure (SURE, for Gaussian noise of known strength)
    need only one noisy copy of each image; with --noise.kind none, the images themselves are noisy."""
    sigma: float | None = None
    """For sure with images that are noisy themselves: the standard deviation of their noise, for values in [0, 1]."""
    backend: str = "auto"
    """The convolution backend: xla, lanes, unfold, xla_in_parts, or auto for the fastest on this platform."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """The dtype of activations; parameters, optimizer and loss are float32."""

    def __post_init__(self):
        _check_at_least(1, {"epochs": self.epochs, "batch_size": self.batch_size, "patience": self.patience})
        _check_at_least(0, {"reflect_padding": self.reflect_padding})
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise UserError(f"`learning_rate` {self.learning_rate}: must be a positive number")
        if self.sigma is not None and not 0 < self.sigma <= 1:
            of_bytes = f"; divided by 255 it is {self.sigma / 255:.3g}" if 1 < self.sigma <= 255 else ""
            raise UserError(f"`sigma` {self.sigma:g}: must be above 0 and at most 1, the range of values{of_bytes}")


@dataclass(frozen=True)
class Config:
    """A training run: everything that its result depends on."""

    data: DataConfig = field(default_factory=DataConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    recipe: str = "plain"
    """The optimizer and its schedule: plain is Adam at a constant rate, as in the original programs; fast is SOAP with
    a one-cycle schedule."""
    network: str = "auto"
    """mnist or cifar; auto is the network that is made for images of this shape."""
    seed: int = 0
    """Seed of the initial weights, the shuffling, the noise and the validation part."""
    init_from: Path | None = None
    """Start from the parameters in the latest checkpoint of the run in this directory, in a file of weights, or in
    weights that ship, such as ready."""

    def __post_init__(self):
        _check_at_least(0, {"seed": self.seed})
        if self.seed >= 2**32:
            raise UserError(f"`seed` {self.seed}: must be below 2**32")
        if self.train.patience is not None and self.data.validation is None:
            raise UserError(f"`patience` {self.train.patience}: needs `data.validation`, a part to validate on")


@dataclass(frozen=True)
class DataPlace:
    """Where images are stored."""

    dir: Path | None = None
    """Directory of prepared data sets; by default $TFDS_DATA_DIR, or the directories of jaxae and of TFDS."""
    placement: Literal["auto", "device", "stream"] = "auto"
    """Keep the training images on the device, or stream them from the host; auto is the device if they fit."""


@dataclass(frozen=True)
class LogConfig:
    """Further logs of a run."""

    tensorboard: bool = False
    """Write metrics and test images of each epoch for TensorBoard, into the run's tensorboard/."""


@dataclass(frozen=True)
class DistributedConfig:
    """Processes that train together; for use where the environment (Slurm, Open MPI, Kubernetes, Cloud TPU) does not
    define them."""

    coordinator: str | None = None
    """HOST:PORT where process 0 listens for the others, the same for all."""
    num_processes: int | None = None
    """The number of processes."""
    process_id: int | None = None
    """The number of this process, from 0."""
    detect: bool = False
    """Let JAX search for other processes even if no environment variable announces them."""
    timeout: int = 300
    """Seconds to wait for the other processes at the start."""
    off: bool = False
    """Train alone, whatever the environment says."""

    def __post_init__(self):
        if self.off and (self.coordinator or self.detect):
            raise UserError("`distributed.off` trains alone: omit the other `distributed` options")
        _check_at_least(1, {"num_processes": self.num_processes, "distributed.timeout": self.timeout})
        _check_at_least(0, {"process_id": self.process_id})
        join = {"coordinator": self.coordinator, "num_processes": self.num_processes, "process_id": self.process_id}
        missing = ", ".join(f"`{name}`" for name, value in join.items() if value is None)
        if missing and any(value is not None for value in join.values()):
            raise UserError(f"{missing} must be given too, to join other processes")
        if self.process_id is not None and self.num_processes is not None and self.process_id >= self.num_processes:
            raise UserError(f"`process_id` {self.process_id}: must be below `num_processes` {self.num_processes}")
        if self.coordinator is not None and not re.fullmatch(r".+:\d+", self.coordinator):
            raise UserError(f"`coordinator` {self.coordinator}: must be HOST:PORT")


@dataclass(frozen=True)
class Launch:
    """How a run is launched, which does not change its result."""

    data: DataPlace = field(default_factory=DataPlace)
    log: LogConfig = field(default_factory=LogConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    devices: int | None = None
    """Number of devices per process that share a batch; by default all. A CPU is divided into this many devices."""
    parallel: Literal["jit", "pmap"] = "jit"
    """How the devices share a batch: one program that the compiler partitions (jit), or one per device (pmap)."""
    run_dir: Path | None = None
    """The directory of the run; by default runs/EXPERIMENT-DATE-TIME."""
    resume: bool = False
    """Continue the run in --run-dir from its latest checkpoint; options that are omitted are the run's own."""
    checkpoint_seconds: float = 10.0
    """Seconds of training between checkpoints; 0 for one after each epoch. The last one is at the end."""

    def __post_init__(self):
        _check_at_least(1, {"devices": self.devices})
        _check_at_least(0, {"checkpoint_seconds": self.checkpoint_seconds})
        if self.resume and self.run_dir is None:
            raise UserError("`resume` needs `run_dir`: the directory of the run to continue")


@dataclass(frozen=True)
class RangeOverride:
    """The values of images."""

    range: str | None = None
    """LOW,HIGH: the values of black and white in pictures of more than 8 bits; by default the run's own."""


@dataclass(frozen=True)
class DataOverride:
    """The images; by default the run's own."""

    name: str | None = None
    """The data set."""
    dir: Path | None = None
    """Directory of prepared data sets."""
    range: str | None = None
    """LOW,HIGH: the values of black and white in pictures of more than 8 bits."""


@dataclass(frozen=True)
class NoiseOverride:
    """The noise on the network's input; by default the run's own."""

    kind: str | None = None
    """Kinds of noise, as for training, or none."""
    factor: float | str | None = None
    """Strength of the noise; by default the run's, or that of the kind if you name another kind."""
    clip: bool | None = None
    """Clip noisy images to [0, 1]."""

    def applied_to(self, own: NoiseConfig) -> NoiseConfig:
        """Return the noise for a run that was trained with `own`."""
        kind = self.kind or own.kind
        factor = own.factor if self.factor is None and kind == own.kind else self.factor
        clip = own.clip if self.clip is None and kind != "none" else bool(self.clip)
        return NoiseConfig(kind, factor, clip)


def flags(config: Any, prefix: str = "--") -> dict[str, Any]:
    """Return the command-line options for the fields of a dataclass instance, with their values."""
    found: dict[str, Any] = {}
    for each in dataclasses.fields(config):
        value, name = getattr(config, each.name), prefix + each.name.replace("_", "-")
        found |= flags(value, f"{name}.") if dataclasses.is_dataclass(value) else {name: value}
    return found


def command_words(config: Any, start: Any) -> list[str]:
    """Return the words of a command line that turn the dataclass instance `start` into `config`."""
    before, words = flags(start), []
    for flag, value in flags(config).items():
        if value != before[flag]:
            words += [flag] if value is True and before[flag] is False else [flag, str(value)]
    return words


def differences(old: Any, new: Any) -> list[str]:
    """Return a line for each field that differs between two instances of one dataclass."""
    before, after = flags(old), flags(new)
    return [f"{flag} was {before[flag]}, is {after[flag]}" for flag in before if before[flag] != after[flag]]


def _check_at_least(least: int, values: Mapping[str, int | float | None]) -> None:
    for name, value in values.items():
        if value is not None and not value >= least:
            raise UserError(f"`{name}` {value}: must be at least {least}")
