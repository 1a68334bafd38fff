"""Train every combination of seeds, noise factors and learning rates at once, in one program.

    python -m jaxae.experiments.sweep --seeds 0..7 --noise.factor 0.1 0.3 0.5 --run-dir runs/sweep

Each member gets a run directory of its own below `--run-dir`, a run like any other; `table.md`, `spread.png` and
`comparison.html` beside them compare the members.
"""

import itertools
import math
import os
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxae import cli, experiment, figures, noise, parallel, population, report, runs, stopping, tensorboard
from jaxae.checkpoints import Checkpoints
from jaxae.config import Config, DataConfig, LogConfig, NoiseConfig, TrainConfig
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, cifar10_reconstruct, mnist_denoise
from jaxae.plan import Plan, make_plan
from jaxae.progress import Progress
from jaxae.scores import Scores, score
from jaxae.train import Epoch, TrainState, make_member, steps_per_epoch

EXPERIMENTS = {
    module.EXPERIMENT.name: module.EXPERIMENT for module in (mnist_denoise, cifar10_denoise, cifar10_reconstruct)
}


@dataclass(frozen=True)
class SweepNoise(NoiseConfig):
    """How the networks' input is corrupted."""

    factor: tuple[str, ...] = ()
    """Strengths of the noise, each as for a single run; by default the experiment's own."""


@dataclass(frozen=True)
class SweepTrain(TrainConfig):
    """How the networks are trained."""

    learning_rate: tuple[float, ...] = ()
    """Learning rates; by default the recipe's own."""


@dataclass(frozen=True)
class Arguments:
    """Train every combination of seeds, noise factors and learning rates at once."""

    experiment: Literal["mnist_denoise", "cifar10_denoise", "cifar10_reconstruct"] = "mnist_denoise"
    """What is trained."""
    seeds: tuple[str, ...] = ("0..3",)
    """Seeds, or ranges of them such as 0..7, both ends included."""
    data: DataConfig = field(default_factory=DataConfig)
    noise: SweepNoise = field(default_factory=SweepNoise)
    train: SweepTrain = field(default_factory=SweepTrain)
    log: LogConfig = field(default_factory=LogConfig)
    recipe: Literal["plain", "fast"] = "plain"
    """How the optimizer is driven."""
    run_dir: Path | None = None
    """Where the runs are written; by default runs/sweep-DATE-TIME."""


class Group(NamedTuple):
    """The members that differ in nothing but the seed."""

    label: str
    psnr: list[float]


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


def member_configs(arguments: Arguments) -> list[Config]:
    """The configuration of each member, in the order of seeds, then factors, then learning rates."""
    if arguments.run_dir is not None and arguments.run_dir.exists() and any(arguments.run_dir.iterdir()):
        raise UserError(f"{arguments.run_dir} is not empty: name another --run-dir")
    run_dir = arguments.run_dir or runs.default_directory("sweep")
    base = EXPERIMENTS[arguments.experiment].config
    kind = base.noise.kind if arguments.noise.kind == NoiseConfig().kind else arguments.noise.kind
    configs = []
    for seed, factor, rate in itertools.product(
        parse_seeds(arguments.seeds), arguments.noise.factor or (None,), arguments.train.learning_rate or (None,)
    ):
        parts = [f"seed{seed}", *([f"noise{factor}"] if factor else []), *([f"rate{rate:g}"] if rate else [])]
        training = {name: getattr(arguments.train, name) for name in TrainConfig.__dataclass_fields__}
        configs.append(
            Config(
                data=arguments.data,
                noise=NoiseConfig(kind, factor, arguments.noise.clip),
                train=TrainConfig(**training | {"learning_rate": rate}),
                log=arguments.log,
                recipe=arguments.recipe,
                seed=seed,
                run_dir=run_dir / "-".join(parts),
            )
        )
    return configs


class Members:
    """What there is of each member, on the host, so that it can be written whatever the device is doing."""

    def __init__(self, plans: list[Plan]):
        self.plans = plans
        self.states: list[TrainState | None] = [None] * len(plans)  # after its last good epoch
        self.scores: list[Scores | None] = [None] * len(plans)  # then
        self.lines: list[list[dict[str, Any]]] = [[] for _ in plans]
        self.lost: dict[int, str] = {}  # the members that diverged, and how
        self._lock, self._written = threading.Lock(), False

    @property
    def going(self) -> list[int]:
        """The members that have not diverged."""
        return [number for number in range(len(self.plans)) if number not in self.lost]

    def add(self, epoch: Epoch, losses: np.ndarray, speed: dict[str, float]) -> None:
        """Take in an epoch; a member whose figures are not finite is left as it was before, and lost."""
        states = jax.device_get(epoch.state)
        for number in self.going:
            plan, state = self.plans[number], jax.tree.map(lambda leaf, at=number: np.asarray(leaf[at]), states)
            scores = score(plan.task.model.apply, {"params": state.params}, plan.test_images, plan.task.noise)
            line = {"epoch": epoch.number, "train_mse": float(losses[number])} | scores.means() | speed
            if not all(math.isfinite(value) for value in line.values()):
                self.lost[number] = f"its training or test error is not finite in epoch {epoch.number}"
                continue
            with self._lock:
                self.lines[number].append(line)
                self.states[number], self.scores[number] = state, scores
            if plan.config.log.tensorboard:
                picture = tensorboard.picture(plan.task.model, state.params, plan.test_images, plan.task.noise)
                tensorboard.record(plan.config.run_dir, self.lines[number], picture)

    def write(self) -> None:
        """Write the figures and a checkpoint of each member, once."""
        with self._lock:
            if self._written:
                return
            for plan, state, lines in zip(self.plans, self.states, self.lines, strict=True):
                if state is None:
                    continue
                with runs.locked(plan.config.run_dir):
                    runs.write_metrics(plan.config.run_dir, lines)
                    with Checkpoints(plan.config.run_dir) as checkpoints:
                        checkpoints.save(lines[-1]["epoch"], state, lines[-1]["psnr"])
            self._written = True


def train_members(plans: list[Plan], progress: Progress) -> Members:
    """Train all `plans` in one program and write the run of each."""
    task = plans[0].task
    members = population.stack(
        [make_member(plan.task, plan.config.seed, plan.config.train.learning_rate) for plan in plans]
    )
    if isinstance(plans[0].train_images, Stream):
        raise UserError("a sweep trains on images on the device: use --data.placement device, and --data.limit")
    images = jnp.asarray(plans[0].train_images)
    states = population.init_population(task, members, images.shape[1:])
    trained, images_per_epoch = Members(plans), steps_per_epoch(len(images), task.batch_size) * task.batch_size
    with stopping.gently(trained.write):
        for epoch, losses in population.fit_population(task, members, states, images, plans[0].config.train.epochs):
            rate = images_per_epoch * len(plans) / epoch.seconds
            speed = {"images_per_second": rate, "compile_seconds": epoch.compile_seconds}
            trained.add(epoch, np.asarray(losses), speed)
            last = [trained.lines[number][-1] for number in trained.going]
            if not last:
                break
            progress.epoch({name: float(np.mean([line[name] for line in last])) for name in last[0]} | {
                "epoch": epoch.number
            })  # fmt: skip
            if stopping.asked():
                break
        trained.write()
    return trained


def group(members: list[report.Run]) -> list[Group]:
    """The members' test PSNR, by what they have in common."""
    groups: dict[str, list[float]] = {}
    for member in members:
        label = f"{noise.describe(member.noise)}, rate {member.config.train.learning_rate:g}"
        groups.setdefault(label, []).append(member.summary["test"]["psnr"])
    return [Group(label, psnr) for label, psnr in groups.items()]


def table(groups: list[Group]) -> str:
    """A Markdown table of the groups."""
    lines = ["| noise, learning rate | seeds | PSNR mean [dB] | lowest | highest |", "|---|---:|---:|---:|---:|"]
    for label, psnr in groups:
        lines.append(f"| {label} | {len(psnr)} | {np.mean(psnr):.2f} | {min(psnr):.2f} | {max(psnr):.2f} |")
    return "\n".join(lines) + "\n"


def spread(groups: list[Group]):
    """A figure of the groups: a dot for each member, a line at the mean."""
    plt = figures.pyplot()
    figure, axis = plt.subplots(figsize=(max(4.5, 1.2 + 1.3 * len(groups)), 3.8), layout="constrained")
    for place, (_, psnr) in enumerate(groups):
        axis.plot([place] * len(psnr), psnr, "o", color=figures.TEST, alpha=0.6, ms=5, mew=0)
        axis.plot([place - 0.22, place + 0.22], [np.mean(psnr)] * 2, color=figures.INK, lw=1.5)
    axis.set_xticks(range(len(groups)), [label.replace(", ", "\n") for label, _ in groups], fontsize=8)
    axis.set_xlim(-0.6, len(groups) - 0.4)
    axis.set_title("test PSNR [dB] of each member, and the mean", fontsize=10, loc="left", color=figures.INK)
    axis.grid(True, axis="y", color=figures.GRID, lw=0.6)
    axis.tick_params(labelsize=8, colors=figures.MUTED)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Sweep as the command line says."""
    arguments = cli.parse(Arguments, description=__doc__)
    configs = member_configs(arguments)
    cli.enable_compilation_cache()
    # On a CPU a device a core, each with its share of the members: 1.1 times as fast as each member on all cores.
    parallel.request_cpu_devices(os.cpu_count())
    plans = [make_plan(EXPERIMENTS[arguments.experiment], config) for config in configs]
    folder = plans[0].config.run_dir.parent
    goes_on = experiment.resume_command(EXPERIMENTS[arguments.experiment], plans[0].config)
    stopping.advise(f"each member is a run in {folder} that goes on alone, the first with: {goes_on}")
    with runs.locked(folder), Progress(plans[0].config.train.epochs) as progress:
        for plan in plans:
            with runs.locked(plan.config.run_dir):
                runs.claim(plan.config)
        progress.say(f"{len(plans)} networks at once on {runs.device()['kind']}, figures are means over them")
        trained = train_members(plans, progress)
    for number, reason in trained.lost.items():
        kept = "holds the state before it" if trained.lines[number] else "holds no state"
        warnings.warn(f"{plans[number].config.run_dir} is left out: {reason}; it {kept}", stacklevel=1)
    if not trained.going:
        raise UserError("no member could be trained: try lower rates with --train.learning-rate")
    members = [
        experiment.finish(plans[number], trained.states[number], trained.scores[number], "sweep")
        for number in trained.going
    ]
    groups = group(members)
    with runs.replacing(folder / "table.md") as temporary:
        temporary.write_text(table(groups))
    figures.save(spread(groups), folder / "spread.png")
    report.write_or_warn(folder / "comparison.html", report.comparison, *members)
    print(f"{table(groups)}written: {folder}/ (table.md, spread.png, comparison.html, a run for each member)")


if __name__ == "__main__":
    cli.run_main(main)
