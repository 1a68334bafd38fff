"""One training run from start to end: training, checkpoints, figures, summary."""

import contextlib
import math
import shlex
import sys
from typing import Any

import jax
import numpy as np

from jaxae import cli, distributed, figures, noise, parallel, report, runs, stopping, tensorboard
from jaxae.checkpoints import Checkpoints
from jaxae.config import Config, options
from jaxae.data.stream import Stream
from jaxae.digest import digest
from jaxae.errors import UserError
from jaxae.plan import OPEN, Experiment, Plan, make_plan
from jaxae.progress import Progress
from jaxae.scores import Scores, means_with_noisy, score
from jaxae.train import TrainState, epochs_done, fit, init, make_member, steps_per_epoch


def main(experiment: Experiment, description: str) -> None:
    """Run `experiment` as the command line says."""
    run(experiment, cli.parse(Config, description=description, default=experiment.config))


def run(experiment: Experiment, config: Config) -> dict[str, Any]:
    """Train as `config` says, write the run's directory, and return its summary; in process 0, where there are more."""
    cli.enable_compilation_cache()
    config.check()
    parallel.request_cpu_devices(config.devices)
    with distributed.joined(config.distributed), contextlib.ExitStack() as claimed:
        if jax.process_count() > 1 and config.run_dir is None:
            raise UserError("several processes need --run-dir: one directory that all of them see")
        plan = make_plan(experiment, config, parallel.find(config.devices, config.parallel))
        run_dir = plan.config.run_dir
        stopping.advise(f"go on with: {resume_command(experiment, plan.config)}")
        same = options(plan.config) | {"--data.dir": None, "--data.placement": share(plan), "--run-dir": str(run_dir)}
        distributed.check_same(str(same))

        def claim() -> None:
            claimed.enter_context(runs.locked(run_dir))
            runs.claim(plan.config)

        distributed.first_then_all(claim)
        return carry_out(experiment, plan)


def resume_command(experiment: Experiment, config: Config) -> str:
    """The command that goes on with the run of the settled `config`; what it leaves out is taken from the run."""
    words = ["python", "-m", f"jaxae.experiments.{experiment.name}", "--run-dir", str(config.run_dir), "--resume"]
    start = options(experiment.config)
    for option, value in options(config).items():
        if value != start[option] and option.rpartition(".")[2].strip("-").replace("-", "_") not in OPEN:
            words += [option] if value is True else [option, str(value)]
    return shlex.join(words)


def carry_out(experiment: Experiment, plan: Plan) -> dict[str, Any]:
    """Train as `plan` says in its directory, which is claimed, and return the summary."""
    run_dir = plan.config.run_dir
    with (
        Checkpoints(run_dir) as checkpoints,
        Progress(plan.config.train.epochs) as progress,
        stopping.gently(checkpoints.wait),
        distributed.leaving_if_alone(),
    ):
        about = f"{len(plan.train_images):,} training and {len(plan.test_images):,} test images"
        progress.say(f"data: {plan.config.data.name}, {about}")
        if plan.data_reason:
            progress.say(f"      (embedded images, in place of {experiment.data}: {plan.data_reason})")
        progress.say(f"run: {run_dir} on {whereabouts(plan)}, noise: {noise.describe(plan.task.noise)}")
        state, scores = train(plan, checkpoints, progress)
    if not distributed.is_first():
        return {}
    summary = finish(plan, state, scores, experiment.name).summary
    test = summary["test"]
    before = f" (noisy input {test['noisy_psnr']:.2f})" if "noisy_psnr" in test else ""
    print(
        f"test: mse {test['mse']:.5f}, psnr {test['psnr']:.2f} dB{before}, ssim {test['ssim']:.4f}\n"
        f"written: {run_dir}/ (report.html, summary.json, figures/)"
    )
    return summary


def share(plan: Plan) -> dict[str, Any]:
    """How many devices and processes train, and how they get their part of a batch."""
    devices = plan.task.devices
    return {
        "devices": 1 if devices is None else devices.count,
        "processes": jax.process_count(),
        "parallel": plan.config.parallel,
        "placement": "stream" if isinstance(plan.train_images, Stream) else "device",
    }


def whereabouts(plan: Plan) -> str:
    """The devices in words."""
    how = share(plan)
    words = runs.device()["kind"]
    if how["devices"] > 1 or how["parallel"] == "pmap":
        of = f" of {how['processes']} processes" if how["processes"] > 1 else ""
        words = f"{how['devices']} × {words}{of} ({how['parallel']})"
    return words + (", images streamed" if how["placement"] == "stream" else "")


def train(plan: Plan, checkpoints: Checkpoints, progress: Progress) -> tuple[TrainState, Scores]:
    """Train from the latest checkpoint, or from fresh weights where there is none, to the last epoch.

    Returns the state there, and the scores of the test images.
    """
    config, task, run_dir = plan.config, plan.task, plan.config.run_dir
    member, images = make_member(task, config.seed, config.train.learning_rate), plan.train_images
    state = init(task, member, images.shape[1:])
    member, state = parallel.put((member, state), task.devices)
    if not isinstance(images, Stream):
        images = parallel.put(images, task.devices)
    state = checkpoints.restore_latest(state)
    done = epochs_done(task, state, images)
    lines = [line for line in runs.read_metrics(run_dir) if line["epoch"] <= done]
    if done:
        progress.say(f"going on after epoch {done}")
    for line in lines[-1:]:
        progress.epoch(line)
    writes = distributed.is_first()
    if config.log.tensorboard and writes:
        tensorboard.record(run_dir, lines)  # drops what a stopped run has logged of the epoch it did not finish
    trained = steps_per_epoch(len(images), task.batch_size) * task.batch_size

    def test_scores(state: TrainState) -> Scores:
        variables = {"params": parallel.one_copy(state.params)}
        return score(task.model.apply, variables, plan.test_images, task.noise)

    scores = None
    for epoch in fit(task, member, state, images, config.train.epochs):
        state = epoch.state
        scores = test_scores(state)
        test = scores.means()
        for what, value in (("training loss", epoch.loss), ("test error", test["mse"])):
            if not math.isfinite(value):
                raise UserError(
                    f"the {what} is {value} in epoch {epoch.number}: the run stopped, {run_dir} holds "
                    "the state before it; try a lower --train.learning-rate"
                )
        speed = {"images_per_second": trained / epoch.seconds, "compile_seconds": epoch.compile_seconds}
        lines.append({"epoch": epoch.number, "train_mse": epoch.loss} | test | speed)
        if writes:
            runs.write_metrics(run_dir, lines)  # before the checkpoint: a line too many is dropped when resuming
        if config.log.tensorboard and writes:
            params = parallel.one_copy(state.params)
            picture = tensorboard.picture(task.model, params, plan.test_images, task.noise)
            tensorboard.record(run_dir, lines, picture)
        checkpoints.save(epoch.number, state, distributed.from_first(test["psnr"]))  # all keep the same ones
        progress.epoch(lines[-1])
        if distributed.any_says(stopping.asked()):
            break
    checkpoints.wait()
    return parallel.one_copy(state), scores or test_scores(state)


def finish(plan: Plan, state: TrainState, scores: Scores, experiment: str) -> report.Run:
    """Write the figures, the summary and the page of a run that has ended in `state`, with `scores` of its test."""
    config, task, run_dir = plan.config, plan.task, plan.config.run_dir
    variables, lines = {"params": state.params}, runs.read_metrics(run_dir)
    if not lines or lines[-1]["epoch"] != config.train.epochs:  # a person has changed the file
        raise UserError(f"{run_dir / runs.METRICS} lacks the last epoch: put the line back, or train one epoch more")
    summary = {
        "experiment": experiment,
        "model": config.model,
        "test": means_with_noisy(scores, plan.test_images, task.noise),
        "train": {"mse": lines[-1]["train_mse"]},
        "data": {
            "name": config.data.name,
            "reason": plan.data_reason,
            "train_size": len(plan.train_images),
            "test_size": len(plan.test_images),
        },
        "noise": noise.describe(task.noise),
        "epochs": lines[-1]["epoch"],
        "throughput": throughput(lines),
        "device": runs.device(),
        "share": share(plan),
        "versions": runs.versions(),
        "params_digest": digest(state.params),
        "command": shlex.join(["python", "-m", f"jaxae.experiments.{experiment}", *sys.argv[1:]]),
    }
    figures.write(run_dir, task.model.apply, variables, plan.test_images, task.noise, lines)
    runs.write_json(run_dir / runs.SUMMARY, summary)
    images, psnr = plan.test_images, scores.psnr
    run = report.Run(str(run_dir), config, summary, lines, task.model, state.params, images, task.noise, psnr)
    report.write_or_warn(run_dir / report.REPORT, report.page, run)
    return run


def throughput(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Training images per second, the median over epochs, and seconds of compiling."""
    return {
        "images_per_second": float(np.median([line["images_per_second"] for line in lines])),
        "compile_seconds": float(max(line["compile_seconds"] for line in lines)),
    }
