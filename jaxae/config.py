"""What a run is (`Config`) and how it is launched (`Launch`): frozen dataclasses, checked when they are made.

`tyro` makes the command line of the two together; `Config` is a run's `config.json` as it stands.
"""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jaxae.errors import UserError


@dataclass(frozen=True)
class DataConfig:
    """Which images."""

    name: str = "auto"
    """Data set: a name that `python -m jaxae.data list` shows, or auto: the experiment's own where it is prepared or
    can be had, else the embedded one that takes its place."""
    limit: int | None = None
    """Train on the first N training images only."""
    test_split: str = "test"
    """Of a data set of TFDS, the split to test on; where there is no test, validation takes its place."""
    range: str | None = None
    """LOW,HIGH: the values of black and white in a folder's floating-point pictures; by default 0,1."""

    def __post_init__(self):
        _check_least("--data.limit", self.limit, 1)


@dataclass(frozen=True)
class NoiseConfig:
    """How the network's input is corrupted."""

    kind: str = "auto"
    """gaussian, uniform, speckle, poisson, salt, pepper, salt_and_pepper, masking or block_masking; several in a row
    with commas; or none. auto takes the experiment's own, gaussian, or none for pairs, which have noise already."""
    factor: float | str | None = None
    """Strength of the noise, for images in [0, 1]: a number, or a range such as 0.1..0.5; by default the kind's own."""
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
    scaled_start: bool | None = None
    """Whether every filter is first scaled to answer alike strongly; by default as the recipe has it."""
    margin: int | None = None
    """Pixels by which images are mirrored around their border for the network; by default as the recipe has it."""
    target: Literal["clean", "noisy", "self", "sure"] = "clean"
    """What the output is compared with: the clean image, another noisy copy (Noise2Noise), or nothing but its own:
    self (Noise2Self) for noise independent from pixel to pixel, sure (SURE) for Gaussian noise of known strength. With
    --noise.kind none the images are the noisy ones."""
    sigma: float | None = None
    """Of sure on images that are noisy themselves: the standard deviation of their noise, for values in [0, 1]."""
    ops: str = "auto"
    """How convolutions are computed: a name in `jaxae.ops`; auto picks for the backend."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What activations are computed in; parameters, Adam and the loss stay float32."""

    def __post_init__(self):
        _check_least("--train.epochs", self.epochs, 1)
        _check_least("--train.batch-size", self.batch_size, 1)
        _check_least("--train.margin", self.margin, 0)
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise UserError(f"--train.learning-rate {self.learning_rate}: must be a positive number")
        if self.sigma is not None and not 0 < self.sigma <= 1:
            of_bytes = f"; of 255 it is {self.sigma / 255:.3g}" if 1 < self.sigma <= 255 else ""
            raise UserError(f"--train.sigma {self.sigma:g}: must be above 0 and at most 1, as values are{of_bytes}")


@dataclass(frozen=True)
class Config:
    """What a training run is: all that its result depends on."""

    data: DataConfig = field(default_factory=DataConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    recipe: Literal["plain", "fast"] = "plain"
    """The optimizer: plain is Adam at a constant rate, as in the original programs; fast is SOAP at a rate that rises
    and falls once."""
    model: str = "auto"
    """The network, a name in `jaxae.models`; auto takes the one made for the images' shape."""
    seed: int = 0
    """Of initial weights, shuffling and noise."""
    init_from: Path | None = None
    """Start from the parameters of the run in this directory, its latest, in place of fresh ones."""

    def __post_init__(self):
        _check_least("--seed", self.seed, 0)
        if self.seed >= 2**32:
            raise UserError(f"--seed {self.seed}: must be below 2**32")


@dataclass(frozen=True)
class DataPlace:
    """Where images lie."""

    dir: Path | None = None
    """Where prepared data sets lie; by default $TFDS_DATA_DIR, else a place of jaxae's own, and TFDS's."""
    placement: Literal["auto", "device", "stream"] = "auto"
    """Where the training images lie: on the device, or streamed from the host; auto takes the device where they fit."""


@dataclass(frozen=True)
class LogConfig:
    """What else is written of a run."""

    tensorboard: bool = False
    """Write the metrics of each epoch and test images for TensorBoard, into the run's tensorboard/."""


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
    off: bool = False
    """Train alone, whatever the environment says of other processes."""

    def __post_init__(self):
        if self.off and (self.coordinator or self.detect):
            raise UserError("--distributed.off trains alone: leave out the other --distributed options")
        _check_least("--distributed.num-processes", self.num_processes, 1)
        _check_least("--distributed.process-id", self.process_id, 0)
        _check_least("--distributed.timeout", self.timeout, 1)
        join = {
            "--distributed.coordinator": self.coordinator,
            "--distributed.num-processes": self.num_processes,
            "--distributed.process-id": self.process_id,
        }
        missing = [flag for flag, value in join.items() if value is None]
        if 0 < len(missing) < len(join):
            raise UserError(f"{', '.join(missing)} must be given too: to join other processes takes {', '.join(join)}")
        if missing:
            return
        if self.process_id >= self.num_processes:
            most = f"--distributed.num-processes {self.num_processes}"
            raise UserError(f"--distributed.process-id {self.process_id}: must be below {most}")
        if not re.fullmatch(r".+:\d+", self.coordinator):
            raise UserError(f"--distributed.coordinator {self.coordinator}: must be HOST:PORT")


@dataclass(frozen=True)
class Launch:
    """How a run is launched: its result does not depend on it."""

    data: DataPlace = field(default_factory=DataPlace)
    log: LogConfig = field(default_factory=LogConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    devices: int | None = None
    """How many devices of each process share a batch; by default all that JAX shows. A CPU is divided into as many."""
    parallel: Literal["jit", "pmap"] = "jit"
    """How they share it: one program that the compiler divides, or one for a device's part."""
    run_dir: Path | None = None
    """Where the run is written; by default runs/EXPERIMENT-DATE-TIME."""
    resume: bool = False
    """Go on with the run in --run-dir from its latest checkpoint; what the command line leaves out is the run's own."""

    def __post_init__(self):
        _check_least("--devices", self.devices, 1)
        if self.resume and self.run_dir is None:
            raise UserError("--resume needs --run-dir: the directory of the run to go on with")


@dataclass(frozen=True)
class RangeOverride:
    """What floating-point pictures hold; the run's own where not given."""

    range: str | None = None
    """LOW,HIGH: the values of black and white in floating-point pictures."""


@dataclass(frozen=True)
class DataOverride:
    """Which images; the run's own where not given."""

    name: str | None = None
    """Data set."""
    dir: Path | None = None
    """Where prepared data sets lie."""
    range: str | None = None
    """LOW,HIGH: the values of black and white in a folder's floating-point pictures."""


@dataclass(frozen=True)
class NoiseOverride:
    """How the input is corrupted; the run's own where not given."""

    kind: str | None = None
    """Kinds of noise as for a run, or none."""
    factor: float | str | None = None
    """Strength of the noise; the kind's own where only a kind is given that is not the run's."""
    clip: bool | None = None
    """Clip noisy images to [0, 1]."""

    def applied_to(self, own: NoiseConfig) -> NoiseConfig:
        """The noise of a run trained with `own`, with what is given in place of its own."""
        kind = self.kind or own.kind
        factor = own.factor if self.factor is None and kind == own.kind else self.factor
        clip = own.clip if self.clip is None and kind != "none" else bool(self.clip)
        return NoiseConfig(kind, factor, clip)


def flags(config: Any, prefix: str = "--") -> dict[str, Any]:
    """The command line's options for the fields of the dataclass instance `config`, and their values."""
    found: dict[str, Any] = {}
    for each in dataclasses.fields(config):
        value, name = getattr(config, each.name), prefix + each.name.replace("_", "-")
        found |= flags(value, f"{name}.") if dataclasses.is_dataclass(value) else {name: value}
    return found


def command_words(config: Any, start: Any) -> list[str]:
    """The words of a command line that make `config` of `start`, two instances of one dataclass."""
    before, words = flags(start), []
    for flag, value in flags(config).items():
        if value != before[flag]:
            words += [flag] if value is True and before[flag] is False else [flag, str(value)]
    return words


def differences(old: Config, new: Config) -> list[str]:
    """What sets `new` apart from `old`, a line for each field."""
    before, after = flags(old), flags(new)
    return [f"{flag} was {before[flag]}, is {after[flag]}" for flag in before if before[flag] != after[flag]]


def _check_least(flag: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise UserError(f"{flag} {value}: must be at least {least}")
