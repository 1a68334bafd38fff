"""One training run from start to end: training, checkpoints, figures, summary."""

import contextlib
import dataclasses
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import tyro
from jaxtyping import PyTree

from jaxae import command, files, report
from jaxae.command import accelerator, machine, stopping
from jaxae.command.progress import Progress
from jaxae.config import Config, Launch, command_words, flags
from jaxae.data.stream import Stream, fits_device
from jaxae.errors import UserError
from jaxae.experiments.history import History, list_records, list_spreads
from jaxae.experiments.resolving import Experiment, ResolvedRun, resolve
from jaxae.experiments.saving import Saver, Saves
from jaxae.runs import directory, figures, health, summary
from jaxae.runs.checkpoints import Checkpoints
from jaxae.runs.scores import Scores, score, validation_score
from jaxae.training import (
    Best,
    Loop,
    RunState,
    TrainState,
    distributed,
    epochs_done,
    parallel,
    place_images,
    steps_per_epoch,
)
from jaxae.training.loop import CALL_SECONDS
from jaxae.training.recipes import RECIPES

Callback = Callable[[dict[str, Any], PyTree], None]

OUT_OF_MEMORY_REMEDY = "take a smaller `batch_size` or `data.limit`"


@dataclass(frozen=True)
class Arguments:
    """The command line of an experiment."""

    config: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)
    launch: Annotated[Launch, tyro.conf.arg(name="")] = field(default_factory=Launch)


def run_experiment(experiment: Experiment, description: str | None) -> None:
    """Run `experiment` as the command line says; a resumed run keeps the options that it leaves out."""
    given = command.parse_arguments(Arguments, description=description, default=Arguments(experiment.config))
    run_dir = given.launch.run_dir
    if given.launch.resume and run_dir is not None and directory.is_run(run_dir):
        place = dataclasses.replace(directory.load_launch(run_dir).data, placement="auto")
        started = Arguments(directory.load_config(run_dir), Launch(data=place))
        given = command.parse_arguments(Arguments, description=description, default=started)
    run_config(experiment, given.config, given.launch)


def run_config(experiment: Experiment, config: Config, launch: Launch) -> dict[str, Any]:
    """Train as `config` says and write the run's directory.

    Returns:
        The summary; empty in processes other than the first.
    """
    parallel.request_cpu_devices(launch.devices)
    with distributed.joined(launch.distributed), contextlib.ExitStack() as claimed:
        if jax.process_count() > 1 and launch.run_dir is None:
            raise UserError("several processes need `run_dir`: one directory that all of them can write to")
        resolved = resolve(experiment, config, launch, parallel.find_devices(launch.devices, launch.parallel))
        stopping.set_advice(f"continue with: {resume_command(experiment, resolved.launch)}")
        distributed.check_same(f"{flags(resolved.config)} {describe_share(resolved)} {resolved.run_dir}")

        def claim() -> None:
            claimed.enter_context(directory.locked_run(resolved.run_dir))
            claim_run(resolved)

        distributed.first_then_all(claim)
        return train_and_report(experiment, resolved)


def claim_run(resolved: ResolvedRun) -> None:
    """Make the run's directory, which is locked, that of `resolved`."""
    directory.claim(
        resolved.run_dir,
        resolved.config,
        resolved.launch,
        resolved.data,
        may_prolong=not RECIPES[resolved.config.recipe].has_schedule,
        may_move=resolved.dataset.is_local_files,
    )


def resume_command(experiment: Experiment, launch: Launch) -> str:
    """Return the command that continues the run in `launch.run_dir` on the same devices."""
    start = Launch(data=dataclasses.replace(Launch().data, dir=launch.data.dir))  # the run records that
    words = command_words(dataclasses.replace(launch, resume=True), start)
    return shlex.join([*command.module_words(f"jaxae.experiments.{experiment.name}"), *words])


def train_and_report(experiment: Experiment, resolved: ResolvedRun) -> dict[str, Any]:
    """Train in the run's directory, which is claimed, and return the summary."""
    accelerator.warn_if_unused()
    epochs = resolved.config.train.epochs or 0
    with Checkpoints(resolved.run_dir) as checkpoints, Progress(epochs) as progress, distributed.leaving_if_alone():
        for line in introduction(experiment, resolved):
            progress.say(line)
        state, scores = train_resolved(resolved, checkpoints, progress)
    if not distributed.is_first():
        return {}
    done = finish_run(resolved, state, scores, experiment.name).summary
    print(f"test: {summary.format_test(done['test'])}")
    print(f"written: {resolved.run_dir}/ (report.html, summary.json, figures/)")
    return done


def introduction(experiment: Experiment, resolved: ResolvedRun) -> list[str]:
    """Return lines about the run, to show before it starts."""
    dataset, share, device = resolved.dataset, describe_share(resolved), machine.device()
    counts = f"{resolved.train.count:,} training and {resolved.test.images.count:,} test images"
    if resolved.validation is not None:
        counts += f", {resolved.validation.images.count:,} to validate on"
    lines = [f"data: {dataset.name}, {counts}"]
    if dataset.description:
        lines.append(f"      ({dataset.description})")
    if resolved.fallback_reason:
        lines.append(f"      (embedded images, instead of {experiment.data}: {resolved.fallback_reason})")
    if resolved.start is not None:
        lines.append(f"starting from the parameters of {resolved.config.init_from}")
    where = device["kind"] + (", images streamed" if resolved.streamed else "")
    if share["devices"] > 1 or share["parallel"] == "pmap":
        of = f" of {share['processes']} processes" if share["processes"] > 1 else ""
        where = f"{share['devices']} {device['platform'].upper()} devices{of} ({share['parallel']}), {where}"
    return [*lines, f"run: {resolved.run_dir} on {where}, noise: {resolved.test.noise_description}"]


def describe_share(resolved: ResolvedRun) -> dict[str, Any]:
    """Return how many devices and processes train, and how they get their part of a batch."""
    devices = resolved.task.devices
    return {
        "devices": 1 if devices is None else devices.count,
        "processes": jax.process_count(),
        "parallel": resolved.launch.parallel,
        "placement": "stream" if resolved.streamed else "device",
    }


def train_resolved(
    resolved: ResolvedRun, checkpoints: Checkpoints, progress: Progress, callback: Callback | None = None
) -> tuple[TrainState, Scores]:
    """Train from the latest checkpoint, or from the start, to the last epoch.

    Args:
        resolved: the run, whose directory is claimed.
        checkpoints: those of its directory.
        progress: what is told of it.
        callback: called with the metrics of each epoch and the parameters after it.

    Returns:
        The final state and the scores of the test images.
    """
    task, launch, patience = resolved.task, resolved.launch, resolved.config.train.patience
    images = place_images(Stream(resolved.train) if resolved.streamed else resolved.train, task.devices)
    state = checkpoints.restore_latest(resolved.initial_state())
    done, epochs = epochs_done(task, state, len(images)), resolved.config.train.epochs or 0
    history = History(resolved, done)
    if done:
        progress.say(f"continuing after epoch {done}")
    if history.last is not None:
        progress.show_epoch(history.last)
    test, validation = resolved.test.images, None if resolved.validation is None else resolved.validation.images
    restored = checkpoints.restore_best(done, state)
    best = None if restored is None else Best(restored[1], jnp.float32(restored[0]))
    loop = Loop(
        *(task, resolved.hyper, state, images, test, validation),
        best=best,
        patience=patience,
        tests_on_device=not distributed.any_says(not tests_fit_device(resolved)),
        call_seconds=0.0 if callback else min(CALL_SECONDS, launch.checkpoint_seconds),
    )
    trained = steps_per_epoch(len(images), task.batch_size) * task.batch_size
    last, was_collapsed = None, False
    with Saver(checkpoints, launch.checkpoint_seconds) as saver:
        for call in loop.calls(done, epochs):
            last = parallel.one_copy(call.run) if task.devices else call.run
            records = history.add(list_records(call, done, trained), lambda run=last: run.state.params)
            done += len(records)
            saver.offer(call.seconds * len(records), lambda run=call.run: list_saves(resolved, run, history.last))
            for record, spread in zip(records, list_spreads(call), strict=False):
                progress.show_epoch(record)
                scores = Scores({}, spread)
                if health.is_collapsed(scores) and not was_collapsed:
                    progress.say(health.collapse_warning(scores))
                was_collapsed = health.is_collapsed(scores)
                if callback is not None:
                    callback(record, last.state.params)
            history.check()
        if done < epochs:
            progress.say(f"stopping: no better validation score in {patience} epochs")
    if last is None:
        return state, score(task.model, state.params, resolved.test)
    values, _, spread = jax.device_get(last.measured)
    return last.state, Scores({name: each[: test.count] for name, each in values.items()}, float(spread))


def tests_fit_device(resolved: ResolvedRun) -> bool:
    """Return whether the images that are tested on fit the device, beside the training images if they are there."""
    sets = [each.images for each in (resolved.test, resolved.validation) if each is not None]
    sets += [] if resolved.streamed else [resolved.train]
    return resolved.launch.data.placement == "device" or fits_device(sum(images.nbytes for images in sets))


def list_saves(resolved: ResolvedRun, run: RunState, last: dict[str, Any] | None) -> Saves:
    """Return the best state, and then the latest, after the epoch with the metrics `last`; none before any epoch."""
    states = [] if run.best is None else [(run.best.state, float(run.best.score))]
    states += [] if last is None else [(run.state, validation_score(last))]
    found = [(epochs_done(resolved.task, state, resolved.train.count), state, value) for state, value in states]
    return [each for each in found if each[0] > 0]


def finish_run(resolved: ResolvedRun, state: TrainState, scores: Scores, experiment: str) -> report.Run:
    """Write the figures, the summary and the page of a run that has ended in `state`, with the `scores` of its test."""
    config, task, run_dir = resolved.config, resolved.task, resolved.run_dir
    history = directory.read_history(run_dir)
    if not history or history[-1]["epoch"] != epochs_done(task, state, resolved.train.count):
        raise UserError(f"{run_dir / directory.HISTORY} lacks the last epoch: put it back, or train one epoch more")
    done = summarize_run(resolved, state.params, scores, experiment)
    tested = done["test"]
    done |= {
        "test": tested | {name: history[-1][name] for name in tested if name in history[-1]},
        "train": {"loss": history[-1]["train_loss"]},
        "epochs": history[-1]["epoch"],
        "throughput": summary.throughput(history),
        "share": describe_share(resolved),
    }
    figures.write_figures(run_dir, task.model, state.params, resolved.test, history)
    files.write_json(run_dir / directory.SUMMARY, done)
    run = report.Run(str(run_dir), config, done, history, task.model, state.params, resolved.test, scores)
    report.write_or_warn(run_dir / report.REPORT, report.run_page, run)
    return run


def summarize_run(resolved: ResolvedRun, params: Any, scores: Scores, experiment: str) -> dict[str, Any]:
    """Return what the summary of every run has, however it was made.

    Args:
        resolved: the run.
        params: its parameters.
        scores: of its test images.
        experiment: the name of the experiment.
    """
    of_test = summary.summarize_test(params, resolved.test, scores)
    training = {"reason": resolved.fallback_reason, "train_size": resolved.train.count}
    return of_test | {
        "experiment": experiment,
        "network": resolved.config.network,
        "data": of_test["data"] | training,
        "versions": machine.versions(),
        "environment": machine.settings(),
        "health": health.measure_health(resolved.task.model, params, resolved.test, scores),
        "started_from": str(resolved.config.init_from) if resolved.start is not None else None,
        "command": command.command_line(),
    }
