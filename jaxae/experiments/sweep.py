"""Train every combination of seeds, noise factors and learning rates at once, in one program.

    python -m jaxae.experiments.sweep --seeds 0..7 --noise.factor 0.1 0.3 0.5 --run-dir runs/sweep

Each member gets a run directory of its own below `--run-dir`, a run like any other; `table.md`, `spread.png` and
`comparison.html` beside them compare the members. A sweep is saved after each epoch and goes on with `--resume`.
"""

import dataclasses
import itertools
import json
import os
import shlex
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import tyro

from jaxae import command, files, report
from jaxae.command import accelerator, machine, stopping
from jaxae.command.progress import Progress
from jaxae.config import Config, DataConfig, DataPlace, Launch, LogConfig, NoiseConfig, TrainConfig, differences
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, cifar10_reconstruct, mnist_denoise, runner, sweep_table
from jaxae.experiments.members import train_members
from jaxae.experiments.plan import make_plan
from jaxae.run import directory, figures
from jaxae.training import parallel

EXPERIMENTS = {
    module.EXPERIMENT.name: module.EXPERIMENT for module in (mnist_denoise, cifar10_denoise, cifar10_reconstruct)
}
RECORD = "sweep.json"


@dataclass(frozen=True)
class SweepNoise:
    """How the networks' input is corrupted."""

    kind: str | None = None
    """Kinds of noise as for a single run, or none; by default the experiment's own."""
    factor: tuple[str, ...] = ()
    """Strengths of the noise, each as for a single run; by default the experiment's own."""
    clip: bool = False
    """Clip noisy images to [0, 1]."""


@dataclass(frozen=True)
class SweepTrain(TrainConfig):
    """How the networks are trained."""

    learning_rate: tuple[float, ...] = ()
    """Learning rates; by default the recipe's own."""

    def __post_init__(self):
        for rate in self.learning_rate or (None,):
            self.at(rate)

    def at(self, rate: float | None) -> TrainConfig:
        """The same for a single run with this learning rate."""
        return TrainConfig(**dataclasses.asdict(self) | {"learning_rate": rate})


@dataclass(frozen=True)
class SweepConfig:
    """What is trained."""

    experiment: Literal["mnist_denoise", "cifar10_denoise", "cifar10_reconstruct"] = "mnist_denoise"
    """What is trained."""
    seeds: tuple[str, ...] = ("0..3",)
    """Seeds, or ranges of them such as 0..7, both ends included."""
    data: DataConfig = field(default_factory=DataConfig)
    noise: SweepNoise = field(default_factory=SweepNoise)
    train: SweepTrain = field(default_factory=SweepTrain)
    recipe: Literal["plain", "fast"] = "plain"
    """How the optimizer is driven."""


@dataclass(frozen=True)
class SweepLaunch:
    """How it is launched."""

    data: DataPlace = field(default_factory=DataPlace)
    log: LogConfig = field(default_factory=LogConfig)
    run_dir: Path | None = None
    """Where the runs are written; by default runs/sweep-DATE-TIME."""
    resume: bool = False
    """Go on with the sweep in --run-dir; what the command line leaves out is the sweep's own."""

    def __post_init__(self):
        if self.resume and self.run_dir is None:
            raise UserError("--resume needs --run-dir: the directory of the sweep to go on with")


@dataclass(frozen=True)
class Arguments:
    """Train every combination of seeds, noise factors and learning rates at once."""

    config: Annotated[SweepConfig, tyro.conf.arg(name="")] = field(default_factory=SweepConfig)
    launch: Annotated[SweepLaunch, tyro.conf.arg(name="")] = field(default_factory=SweepLaunch)


def parse_seeds(texts: tuple[str, ...]) -> list[int]:
    """``("0..2", "7")`` as [0, 1, 2, 7]. Raises UserError for what is no such list."""
    seeds: list[int] = []
    for text in texts:
        low, dots, high = text.partition("..")
        try:
            seeds += range(int(low), int(high if dots else low) + 1)
        except ValueError:
            raise UserError(f"--seeds {text}: neither a seed nor a range like 0..7") from None
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {' '.join(texts)}: names {'no seed' if not seeds else 'a seed twice'}")
    return seeds


def member_configs(config: SweepConfig) -> dict[str, Config]:
    """The configuration of each member by its directory's name, by seeds, then factors, then learning rates."""
    base = EXPERIMENTS[config.experiment].config.noise
    members = {}
    for seed, factor, rate in itertools.product(
        parse_seeds(config.seeds), config.noise.factor or (None,), config.train.learning_rate or (None,)
    ):
        parts = [f"seed{seed}", *([f"noise{factor}"] if factor else []), *([f"rate{rate:g}"] if rate else [])]
        members["-".join(parts)] = Config(
            data=config.data,
            noise=NoiseConfig(config.noise.kind or base.kind, factor, config.noise.clip),
            train=config.train.at(rate),
            recipe=config.recipe,
            seed=seed,
        )
    return members


def read_record(folder: Path) -> SweepConfig:
    """What the sweep in `folder` trains. Raises UserError where there is none."""
    try:
        return msgspec.convert(json.loads((folder / RECORD).read_bytes()), SweepConfig)
    except (OSError, ValueError, TypeError, RecursionError, UserError) as error:
        raise UserError(f"{folder} holds no sweep to resume: {error}; name another --run-dir") from error


def check_folder(config: SweepConfig, launch: SweepLaunch) -> None:
    """Refuse a `launch.run_dir` that holds anything but the sweep to be resumed."""
    if launch.resume and launch.run_dir.exists() and any(launch.run_dir.iterdir()):
        old = read_record(launch.run_dir)
        # whether it may be given more epochs, each member's own directory decides
        old = dataclasses.replace(old, train=dataclasses.replace(old.train, epochs=config.train.epochs))
        if changed := differences(old, config):
            raise UserError(f"{launch.run_dir} holds a sweep that differs: {'; '.join(changed)}; name another")
    elif launch.run_dir.exists() and (not launch.run_dir.is_dir() or any(launch.run_dir.iterdir())):
        raise UserError(f"{launch.run_dir} is not empty: name another --run-dir, or add --resume")


def sweep(config: SweepConfig, launch: SweepLaunch) -> list[report.Run]:
    """Train and write all members; those that have not diverged."""
    experiment, folder = EXPERIMENTS[config.experiment], launch.run_dir
    plans = [
        make_plan(experiment, member, Launch(launch.data, launch.log, run_dir=folder / name, resume=launch.resume))
        for name, member in member_configs(config).items()
    ]
    again = ["python", "-m", "jaxae.experiments.sweep", "--run-dir", str(folder), "--resume"]
    stopping.advise(f"go on with: {shlex.join(again)}")
    accelerator.warn_if_unused()
    with directory.locked(folder), Progress(plans[0].config.train.epochs) as progress:
        files.write_json(folder / RECORD, dataclasses.asdict(config))
        for plan in plans:
            with directory.locked(plan.launch.run_dir):
                directory.claim(plan.config, plan.launch, plan.trained_on)
        progress.say(f"{len(plans)} networks at once on {machine.device()['kind']}, metrics are means over them")
        members = train_members(plans, folder, progress)
    for member in members:
        if member.diverged:
            kept = "holds the state before it" if member.history else "holds no state"
            warnings.warn(f"{member.plan.launch.run_dir} is left out: {member.diverged}; it {kept}", stacklevel=1)
    ended_well = [member for member in members if not member.diverged]
    if not ended_well:
        raise UserError("no member could be trained: try lower rates with --train.learning-rate")
    return [runner.finish(member.plan, member.state, member.scores, "sweep") for member in ended_well]


def main() -> None:
    """Sweep as the command line says; of a sweep that is resumed, what it leaves out is the sweep's own."""
    given = command.parse(Arguments, description=__doc__)
    folder = given.launch.run_dir
    if given.launch.resume and (folder / RECORD).exists():
        started = read_record(folder)
        first = directory.load_launch(folder / next(iter(member_configs(started))))
        place = dataclasses.replace(first.data, placement="auto")
        given = command.parse(Arguments, description=__doc__, default=Arguments(started, SweepLaunch(place)))
    config, launch = given.config, given.launch
    if launch.run_dir is None:
        launch = SweepLaunch(launch.data, launch.log, directory.default("sweep"))
    check_folder(config, launch)
    command.enable_compilation_cache()
    # On a CPU a device a core, each with its share of the members: 1.1 times as fast as each member on all cores.
    parallel.request_cpu_devices(os.cpu_count())
    runs, folder = sweep(config, launch), launch.run_dir
    groups = sweep_table.group(runs)
    files.write_text(folder / "table.md", sweep_table.table(groups))
    figures.save(sweep_table.spread(groups), folder / "spread.png")
    report.write_or_warn(folder / "comparison.html", report.comparison, *runs)
    print(
        f"{sweep_table.table(groups)}written: {folder}/ (table.md, spread.png, comparison.html, a run for each member)"
    )


if __name__ == "__main__":
    command.run_main(main, f"{runner.LESS}, or fewer members at once")
