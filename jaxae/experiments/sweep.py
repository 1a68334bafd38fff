"""Train every combination of seeds, noise factors and learning rates at once, in one program.

    python -m jaxae.experiments.sweep --seeds 0..7 --noise.factor 0.1 0.3 0.5 --run-dir runs/sweep

Each member gets a run directory below `--run-dir`, a run like any other; `table.md` and `comparison.html`
compare the members. A sweep is saved every ten seconds and continues with `--resume`.
"""

import dataclasses
import itertools
import os
import shlex
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxae import command, files, report
from jaxae.command import accelerator, machine, stopping
from jaxae.command.progress import Progress
from jaxae.config import Config, DataConfig, DataPlace, Launch, LogConfig, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import running
from jaxae.experiments.catalog import EXPERIMENTS
from jaxae.experiments.members import train_members
from jaxae.experiments.resolving import resolve
from jaxae.runs import directory, group_record
from jaxae.training import parallel

RECORD = "sweep.json"
MOST_MEMBERS = 10_000


@dataclass(frozen=True)
class SweepNoise:
    """The noise on the networks' input."""

    kind: str | None = None
    """Kinds of noise as for a single run, or none; by default the experiment's own."""
    factor: tuple[str, ...] = ()
    """Strengths of the noise, each as for a single run; by default the experiment's own."""
    clip: bool = False
    """Clip noisy images to [0, 1]."""


@dataclass(frozen=True)
class SweepTrain(TrainConfig):
    """The training."""

    learning_rate: tuple[float, ...] = ()  # pyright: ignore[reportIncompatibleVariableOverride]
    """Learning rates; by default the recipe's own."""

    def __post_init__(self):
        if self.patience is not None:
            raise UserError("`patience`: the members of a sweep train for the same number of epochs: omit it")
        for rate in self.learning_rate or (None,):
            self.at(rate)

    def at(self, rate: float | None) -> TrainConfig:
        """The same for a single run with this learning rate."""
        fields: dict[str, Any] = dataclasses.asdict(self) | {"learning_rate": rate}
        return TrainConfig(**fields)


@dataclass(frozen=True)
class SweepConfig:
    """What is trained."""

    experiment: Literal["mnist_denoise", "cifar10_denoise", "cifar10_reconstruct", "photo_denoise"] = "mnist_denoise"
    """The experiment."""
    seeds: tuple[str, ...] = ("0..3",)
    """Seeds, or ranges of them such as 0..7, both ends included."""
    data: DataConfig = field(default_factory=DataConfig)
    noise: SweepNoise = field(default_factory=SweepNoise)
    train: SweepTrain = field(default_factory=SweepTrain)
    recipe: str = Config.recipe
    """The optimizer and its schedule, as for a single run."""
    network: str = "auto"
    """The network, as for a single run."""


@dataclass(frozen=True)
class SweepLaunch:
    """How the sweep is launched."""

    data: DataPlace = field(default_factory=DataPlace)
    log: LogConfig = field(default_factory=LogConfig)
    run_dir: Path | None = None
    """The directory of the runs; by default runs/sweep-DATE-TIME."""
    resume: bool = False
    """Continue the sweep in --run-dir; options that are omitted are the sweep's own."""
    checkpoint_seconds: float = Launch.checkpoint_seconds
    """Seconds of training between checkpoints of the sweep."""

    def __post_init__(self):
        if self.resume and self.run_dir is None:
            raise UserError("`resume` needs `run_dir`: the directory of the sweep to continue")


@dataclass(frozen=True)
class Arguments:
    """Train every combination of seeds, noise factors and learning rates at once."""

    config: Annotated[SweepConfig, tyro.conf.arg(name="")] = field(default_factory=SweepConfig)
    launch: Annotated[SweepLaunch, tyro.conf.arg(name="")] = field(default_factory=SweepLaunch)


def parse_seeds(texts: tuple[str, ...]) -> list[int]:
    """Return ``("0..2", "7")`` as [0, 1, 2, 7]; UserError for anything else than such a list."""
    seeds: list[int] = []
    for text in texts:
        low, dots, high = text.partition("..")
        try:
            found = range(int(low), int(high if dots else low) + 1)
        except ValueError:
            raise UserError(f"`seeds` {text}: neither a seed nor a range like 0..7") from None
        if found and not 0 <= found[0] <= found[-1] < 2**32:
            raise UserError(f"`seeds` {text}: must be at least 0 and below 2**32")
        if len(seeds) + len(found) > MOST_MEMBERS:
            raise UserError(f"`seeds` {text}: a sweep has at most {MOST_MEMBERS:,} members")
        seeds += found
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"`seeds` {' '.join(texts)}: names {'no seed' if not seeds else 'a seed twice'}")
    return seeds


def member_configs(config: SweepConfig) -> dict[str, Config]:
    """Return the configuration of each member by the name of its directory."""
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
            network=config.network,
            seed=seed,
        )
    return members


def train_sweep(config: SweepConfig, launch: SweepLaunch, folder: Path) -> list[report.Run]:
    """Train all members and write them into `folder`; returns those that have not diverged."""
    experiment = EXPERIMENTS[config.experiment]
    seconds = launch.checkpoint_seconds
    shared = Launch(launch.data, launch.log, run_dir=folder, resume=launch.resume, checkpoint_seconds=seconds)
    runs = [
        resolve(experiment, member, dataclasses.replace(shared, run_dir=folder / name))
        for name, member in member_configs(config).items()
    ]
    again = [*command.module_words("jaxae.experiments.sweep"), "--run-dir", str(folder), "--resume"]
    stopping.set_advice(f"continue with: {shlex.join(again)}")
    accelerator.warn_if_unused()
    with directory.locked_run(folder), Progress(runs[0].config.train.epochs or 0) as progress:
        group_record.write_group(folder / RECORD, config)
        for run in runs:
            with directory.locked_run(run.run_dir):
                running.claim_run(run)
        kind = machine.device()["kind"]
        progress.say(f"training {len(runs)} networks at once on {kind}; metrics are means over them")
        members = train_members(runs, folder, progress)
    for member in members:
        if member.problem:
            warnings.warn(f"{member.resolved.run_dir} is left out: {member.problem}", stacklevel=1)
    finished = [
        running.finish_run(member.resolved, member.state, member.scores, "sweep")
        for member in members
        if member.problem is None
    ]
    if not finished:
        raise UserError("no member could be trained: try a lower `learning_rate`")
    return finished


def markdown_table(members: list[report.Run]) -> str:
    """Return a table of the tests' primary metric, with a row for members that differ in nothing but the seed."""
    groups: dict[str, list[report.Run]] = {}
    for member in members:
        label = f"{member.test.noise_description}, rate {member.config.train.learning_rate:g}"
        groups.setdefault(label, []).append(member)
    metric = members[0].metric
    table = f"| noise, learning rate | seeds | mean {metric.heading} | lowest | highest |\n|---|---:|---:|---:|---:|\n"
    for label, group in groups.items():
        values = [member.summary["test"][metric.name] for member in group]
        collapsed = sum(member.summary["health"]["outputs_collapsed"] for member in group)
        note = f" ({collapsed} of {len(group)} collapsed: nearly the same output for every image)" if collapsed else ""
        cells = [metric.format(value, unit=False) for value in (sum(values) / len(values), min(values), max(values))]
        table += f"| {label}{note} | {len(group)} | {' | '.join(cells)} |\n"
    return table


def main() -> None:
    """Train a sweep as the command line says; a resumed sweep keeps the options that it leaves out."""
    given = command.parse_arguments(Arguments, description=__doc__)
    folder = given.launch.run_dir
    if given.launch.resume and folder is not None and (folder / RECORD).exists():
        started = group_record.read_group(folder / RECORD, SweepConfig)
        first = directory.load_launch(folder / next(iter(member_configs(started))))
        place = dataclasses.replace(first.data, placement="auto")
        given = command.parse_arguments(Arguments, description=__doc__, default=Arguments(started, SweepLaunch(place)))
    config, launch = given.config, given.launch
    folder = launch.run_dir or directory.default_run_dir("sweep")
    if not launch.resume and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty: name another `run_dir`, or add `resume`")
    group_record.check_group(folder / RECORD, config, ["--train.epochs"])  # the members decide about those
    # on a CPU one device per core, each with a share of the members, which is faster than one member on all cores
    parallel.request_cpu_devices(os.cpu_count())
    runs = train_sweep(config, launch, folder)
    table = markdown_table(runs)
    files.write_text(folder / "table.md", table)
    report.write_or_warn(folder / "comparison.html", report.comparison_page, *runs)
    print(f"{table}written: {folder}/ (table.md, comparison.html, a run for each member)")


if __name__ == "__main__":
    command.run_main(main, f"{running.OUT_OF_MEMORY_REMEDY}, or fewer members at once")
