"""Train every combination of seeds, noise factors and learning rates at once, in one program.

    python -m jaxae.experiments.sweep --seeds 0..7 --noise.factor 0.1 0.3 0.5 --run-dir runs/sweep

Each member gets a run directory of its own below `--run-dir`, which evaluates like any other run; `table.md` and
`spread.png` beside them compare the members.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxae import cli, experiment, figures, noise, population, runs
from jaxae.checkpoints import Checkpoints
from jaxae.config import Config, DataConfig, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, cifar10_reconstruct, mnist_denoise
from jaxae.plan import Plan, make_plan
from jaxae.progress import Progress
from jaxae.scores import score
from jaxae.train import make_member, steps_per_epoch

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
                recipe=arguments.recipe,
                seed=seed,
                run_dir=run_dir / "-".join(parts),
            )
        )
    return configs


def train_members(plans: list[Plan], progress: Progress) -> list[dict[str, Any]]:
    """Train all `plans` in one program, write the run of each, and return their summaries."""
    task = plans[0].task
    members = population.stack(
        [make_member(plan.task, plan.config.seed, plan.config.train.learning_rate) for plan in plans]
    )
    images = jnp.asarray(plans[0].train_images)
    states = population.init_population(task, members, images.shape[1:])
    lines: list[list[dict[str, Any]]] = [[] for _ in plans]
    trained = steps_per_epoch(len(images), task.batch_size) * task.batch_size * len(plans)
    epochs = plans[0].config.train.epochs
    for epoch, losses in population.fit_population(task, members, states, images, epochs):
        speed = {"images_per_second": trained / epoch.seconds, "compile_seconds": epoch.compile_seconds}
        for number, plan in enumerate(plans):
            variables = {"params": jax.tree.map(lambda leaf, at=number: leaf[at], epoch.state.params)}
            test = score(task.model.apply, variables, plan.test_images, plan.task.noise).means()
            lines[number].append({"epoch": epoch.number, "train_mse": float(losses[number])} | test | speed)
        progress.epoch({name: float(np.mean([line[-1][name] for line in lines])) for name in lines[0][-1]} | {
            "epoch": epoch.number
        })  # fmt: skip

    summaries = []
    for number, plan in enumerate(plans):
        state = jax.tree.map(lambda leaf, at=number: leaf[at], epoch.state)
        runs.claim(plan.config)
        runs.write_metrics(plan.config.run_dir, lines[number])
        with Checkpoints(plan.config.run_dir) as checkpoints:
            checkpoints.save(epoch.number, state, lines[number][-1]["psnr"])
        summaries.append(experiment.summarize(plan, state, "sweep"))
    return summaries


def group(plans: list[Plan], summaries: list[dict[str, Any]]) -> list[Group]:
    """The members' test PSNR, by what they have in common."""
    groups: dict[str, list[float]] = {}
    for plan, summary in zip(plans, summaries, strict=True):
        label = f"{noise.describe(plan.task.noise)}, rate {plan.config.train.learning_rate:g}"
        groups.setdefault(label, []).append(summary["test"]["psnr"])
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
    plans = [make_plan(EXPERIMENTS[arguments.experiment], config) for config in configs]
    folder = plans[0].config.run_dir.parent
    with Progress(plans[0].config.train.epochs) as progress:
        progress.say(f"{len(plans)} networks at once on {runs.device()['kind']}, figures are means over them")
        summaries = train_members(plans, progress)
    groups = group(plans, summaries)
    with runs.replacing(folder / "table.md") as temporary:
        temporary.write_text(table(groups))
    figures.save(spread(groups), folder / "spread.png")
    print(f"{table(groups)}written: {folder}/ (table.md, spread.png, a run for each member)")


if __name__ == "__main__":
    cli.run_main(main)
