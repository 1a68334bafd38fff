"""One training run from start to end: training, checkpoints, figures, summary."""

import contextlib
import dataclasses
import math
import shlex
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

import jax
import tyro

from jaxae import command, data, files, report
from jaxae.command import accelerator, machine, stopping
from jaxae.command.progress import Progress
from jaxae.config import Config, Launch, command_words, flags
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.experiments.plan import Experiment, Plan, make_plan
from jaxae.run import directory, figures, health, summary, tensorboard
from jaxae.run.checkpoints import Checkpoints
from jaxae.run.scores import Losses, Scores, merit, score
from jaxae.training import TrainState, distributed, epochs_done, fit, parallel, source, steps_per_epoch

LESS = "take a smaller --train.batch-size or --data.limit"  # what to do where memory is out


@dataclass(frozen=True)
class Arguments:
    """The command line of an experiment."""

    config: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)
    launch: Annotated[Launch, tyro.conf.arg(name="")] = field(default_factory=Launch)


def main(experiment: Experiment, description: str) -> None:
    """Run `experiment` as the command line says; of a run that is resumed, what it leaves out is the run's own."""
    given = command.parse(Arguments, description=description, default=Arguments(experiment.config))
    run_dir = given.launch.run_dir
    if given.launch.resume and directory.is_run(run_dir):
        place = directory.load_launch(run_dir).data
        started = Arguments(directory.load_config(run_dir), Launch(data=dataclasses.replace(place, placement="auto")))
        given = command.parse(Arguments, description=description, default=started)
    run(experiment, given.config, given.launch)


def run(experiment: Experiment, config: Config, launch: Launch) -> dict[str, Any]:
    """Train as `config` says, write the run's directory, and return its summary; in process 0, where there are more."""
    command.enable_compilation_cache()
    parallel.request_cpu_devices(launch.devices)
    with distributed.joined(launch.distributed), contextlib.ExitStack() as claimed:
        if jax.process_count() > 1 and launch.run_dir is None:
            raise UserError("several processes need --run-dir: one directory that all of them see")
        plan = make_plan(experiment, config, launch, parallel.find(launch.devices, launch.parallel))
        config, launch = plan.config, plan.launch
        stopping.advise(f"go on with: {resume_command(experiment, launch)}")
        distributed.check_same(f"{flags(config)} {share(plan)} {launch.run_dir}")

        def claim() -> None:
            claimed.enter_context(directory.locked(launch.run_dir))
            directory.claim(config, launch, plan.trained_on)

        distributed.first_then_all(claim)
        return carry_out(experiment, plan)


def resume_command(experiment: Experiment, launch: Launch) -> str:
    """The command that goes on with the run in `launch.run_dir`, on the same devices."""
    start = Launch(data=dataclasses.replace(Launch().data, dir=launch.data.dir))  # that is on record in the run
    words = command_words(dataclasses.replace(launch, resume=True), start)
    return shlex.join(["python", "-m", f"jaxae.experiments.{experiment.name}", *words])


def carry_out(experiment: Experiment, plan: Plan) -> dict[str, Any]:
    """Train as `plan` says in its directory, which is claimed, and return the summary."""
    run_dir = plan.launch.run_dir
    accelerator.warn_if_unused()
    with (
        Checkpoints(run_dir) as checkpoints,
        Progress(plan.config.train.epochs) as progress,
        distributed.leaving_if_alone(),
    ):
        about = f"{len(plan.train_images):,} training and {len(plan.test.images):,} test images"
        progress.say(f"data: {plan.config.data.name}, {about}")
        if how_split := data.describe(plan.config.data.name):
            progress.say(f"      ({how_split})")
        if plan.data_reason:
            progress.say(f"      (embedded images, in place of {experiment.data}: {plan.data_reason})")
        if plan.start is not None:
            progress.say(f"starting from the parameters of {plan.config.init_from}")
        progress.say(f"run: {run_dir} on {whereabouts(plan)}, noise: {plan.test.describe_noise()}")
        state, scores = train(plan, checkpoints, progress)
    if not distributed.is_first():
        return {}
    done = finish(plan, state, scores, experiment.name).summary
    print(f"test: {summary.line(done['test'])}\nwritten: {run_dir}/ (report.html, summary.json, figures/)")
    return done


def share(plan: Plan) -> dict[str, Any]:
    """How many devices and processes train, and how they get their part of a batch."""
    devices = plan.task.devices
    return {
        "devices": 1 if devices is None else devices.count,
        "processes": jax.process_count(),
        "parallel": plan.launch.parallel,
        "placement": "stream" if isinstance(plan.train_images, Stream) else "device",
    }


def whereabouts(plan: Plan) -> str:
    """The devices in words."""
    how, device = share(plan), machine.device()
    words = device["kind"]
    if how["devices"] > 1 or how["parallel"] == "pmap":
        of = f" of {how['processes']} processes" if how["processes"] > 1 else ""
        words = f"{how['devices']} {device['platform'].upper()} devices{of} ({how['parallel']}), {words}"
    return words + (", images streamed" if how["placement"] == "stream" else "")


def train(plan: Plan, checkpoints: Checkpoints, progress: Progress) -> tuple[TrainState, Scores | Losses]:
    """Train from the latest checkpoint, or from fresh weights where there is none, to the last epoch.

    Returns the state there, and the scores of the test images.
    """
    task, run_dir, writes = plan.task, plan.launch.run_dir, distributed.is_first()
    images = source(plan.train_images, task.devices)
    hyper, state = parallel.put((plan.hyper, plan.initial_state()), task.devices)
    state = checkpoints.restore_latest(state)
    done = epochs_done(task, state, len(images))
    history = [record for record in directory.read_history(run_dir) if record["epoch"] <= done]
    if done:
        progress.say(f"going on after epoch {done}")
    for record in history[-1:]:
        progress.epoch(record)
    trained = steps_per_epoch(len(images), task.batch_size) * task.batch_size
    with contextlib.ExitStack() as stack:
        log = None
        if plan.launch.log.tensorboard and writes:
            log = stack.enter_context(tensorboard.Log(run_dir, history))
        scores, alike = None, False
        for epoch in fit(task, hyper, state, images, plan.config.train.epochs):
            state, params = epoch.state, parallel.one_copy(epoch.state.params)
            scores = score(task.model, params, plan.test)
            speed = {"images_per_second": trained / epoch.seconds, "compile_seconds": epoch.compile_seconds}
            record = {"epoch": epoch.number, "train_mse": epoch.loss} | scores.means() | speed
            check_finite(record, run_dir)
            history.append(record)
            if writes:
                directory.write_history(run_dir, history)  # before the checkpoint: one too many is dropped on resuming
            if log is not None:
                log.write(record, tensorboard.picture(task.model, params, plan.test))
            checkpoints.save(epoch.number, state, distributed.from_first(merit(record)))  # all keep the same ones
            progress.epoch(record)
            if health.are_alike(scores) and not alike:
                progress.say(health.warning(scores))
            alike = health.are_alike(scores)
    checkpoints.wait()
    params = parallel.one_copy(state.params)
    return parallel.one_copy(state), scores or score(task.model, params, plan.test)


def check_finite(record: dict[str, Any], run_dir: Any) -> None:
    """Raise UserError where the training loss or the test error of an epoch is not finite."""
    for what, name in (("training loss", "train_mse"), ("test error", "mse"), ("test loss", "loss")):
        if not math.isfinite(record.get(name, 0)):
            raise UserError(
                f"the {what} is {record[name]} in epoch {record['epoch']}: the run stopped, {run_dir} holds "
                "the state before it; try a lower --train.learning-rate"
            )


def finish(plan: Plan, state: TrainState, scores: Scores | Losses, experiment: str) -> report.Run:
    """Write the figures, the summary and the page of a run that has ended in `state`, with `scores` of its test."""
    config, task, run_dir = plan.config, plan.task, plan.launch.run_dir
    history = directory.read_history(run_dir)
    if not history or history[-1]["epoch"] != config.train.epochs:  # a person has changed the file
        raise UserError(f"{run_dir / directory.HISTORY} lacks the last epoch: put it back, or train one epoch more")
    words = ["python", "-m", f"jaxae.experiments.{experiment}", *sys.argv[1:]]
    done = describe(plan, state.params, scores, experiment, words) | {
        "train": {"mse": history[-1]["train_mse"]},
        "epochs": history[-1]["epoch"],
        "throughput": summary.throughput(history),
        "share": share(plan),
    }
    figures.write(run_dir, task.model, state.params, plan.test, history)
    files.write_json(run_dir / directory.SUMMARY, done)
    run = report.Run(str(run_dir), config, done, history, task.model, state.params, plan.test, scores)
    report.write_or_warn(run_dir / report.REPORT, report.page, run)
    return run


def describe(plan: Plan, params: Any, scores: Scores | Losses, experiment: str, words: list[str]) -> dict[str, Any]:
    """What the summary of every run has, however it came about; `words` are the command's."""
    of_test = summary.of_test(params, plan.test, scores)
    trained_on = {"reason": plan.data_reason, "train_size": len(plan.train_images)}
    return of_test | {
        "experiment": experiment,
        "model": plan.config.model,
        "data": of_test["data"] | trained_on,
        "versions": machine.versions(),
        "environment": machine.settings(),
        "health": health.describe(plan.task.model, params, plan.test, scores),
        "started_from": str(plan.config.init_from) if plan.start is not None else None,
        "command": shlex.join(words),
    }
