"""Training from Python: `jaxae.train`, a run in a directory or in none."""

import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from jaxae.command.progress import Progress
from jaxae.config import Launch
from jaxae.data import Dataset, Images, Options
from jaxae.errors import UserError
from jaxae.experiments import running
from jaxae.experiments.catalog import EXPERIMENTS
from jaxae.experiments.resolving import resolve
from jaxae.runs import directory, summary
from jaxae.runs.checkpoints import Checkpoints
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.runs.trained import TrainedRun
from jaxae.training import parallel

Split = Images | np.ndarray | jax.Array


class TrainResult(NamedTuple):
    """The result of `train`.

    Attributes:
        model: the trained network; see `TrainedRun`.
        history: the metrics of each epoch, such as ``{"epoch": 1, "train_loss": 0.02, "psnr": 18.1, ...}``.
        metrics: the means over the test images, and those of the noisy images as ``noisy_psnr`` and so on.
        test: the test images and their noise.
    """

    model: TrainedRun
    history: list[dict[str, Any]]
    metrics: dict[str, float]
    test: EvaluationSet


def train(
    experiment: str,
    data: str | tuple[Split, Split] = "auto",
    *,
    optimizer: optax.GradientTransformation | None = None,
    callback: Callable[[dict[str, Any], TrainedRun], None] | None = None,
    run_dir: Path | str | None = None,
    **options: Any,
) -> TrainResult:
    """Train a network as the command `jaxae train` does, and test it.

    Args:
        experiment: "mnist-denoise", "cifar10-denoise", "cifar10-reconstruct" or "photo-denoise": the defaults of all
            options.
        data: the name of a data set, or training and test images: each an array, uint8 or uint16 [n, height, width] or
            [n, height, width, channels], or `jaxae.data.Images`, with noisy ones.
        optimizer: of Optax, with its learning rate or schedule; by default the recipe's.
        callback: called after each epoch with its metrics, as in `TrainResult.history`, and the model as it is then.
        run_dir: the directory of the run, as the command writes it, with checkpoints and a report; by default none.
        **options: the options of the command with underscores, without `train` and a last `name` or `kind`:
            `epochs=3` is --train.epochs 3, `noise="salt"` is --noise.kind salt, and `noise_factor=0.2` is
            --noise.factor 0.2.

    Raises:
        TypeError: for an unknown option.
        UserError: a ValueError, as for the command: for an invalid option and for images that no network takes.
    """
    chosen, given = EXPERIMENTS[experiment.replace("-", "_")], None if isinstance(data, str) else _Given.of(*data)
    if optimizer is not None:
        if run_dir is not None:
            raise UserError("`optimizer`: a run's directory records a recipe: omit `run_dir`, or register a recipe")
        options = {"learning_rate": 1.0} | options
    with contextlib.ExitStack() as stack:
        folder = run_dir or stack.enter_context(tempfile.TemporaryDirectory(prefix="jaxae-"))
        options |= {"data": data if given is None else "auto", "run_dir": Path(folder)}
        config, launch = (_with_options(each, options) for each in (chosen.config, Launch()))
        if options:
            raise TypeError(f"train() has no options called {', '.join(options)}")
        resolved = resolve(chosen, config, launch, parallel.find_devices(launch.devices, launch.parallel), given)
        if optimizer is not None:
            resolved = resolved._replace(task=resolved.task._replace(optimizer=optimizer))

        def model(params: PyTree, epoch: int) -> TrainedRun:
            here = jax.tree.map(jnp.asarray, jax.device_get(params))
            return TrainedRun(resolved.run_dir, resolved.config, resolved.task.model, here, epoch)

        stack.enter_context(directory.locked_run(resolved.run_dir))
        running.claim_run(resolved)
        follow = callback and (lambda record, params: callback(record, model(params, record["epoch"])))
        progress = _LoggedProgress(resolved.config.train.epochs or 0)
        with Checkpoints(resolved.run_dir) as checkpoints:
            state, scores = running.train_resolved(resolved, checkpoints, progress, follow)
        history = directory.read_history(resolved.run_dir)
        if run_dir is not None:
            running.finish_run(resolved, state, scores, chosen.name)
    means = summary.means_with_noisy(scores, resolved.test)
    return TrainResult(model(state.params, history[-1]["epoch"]), history, means, resolved.test)


class _LoggedProgress(Progress):
    """Logs what the command prints, as INFO of the logger "jaxae"."""

    def say(self, text: str) -> None:
        logging.getLogger("jaxae").info(text)


class _Given(Dataset):
    """The images that a caller has; equal to itself alone, since all have one name."""

    splits: dict[str, Images]
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @classmethod
    def of(cls, train: Split, test: Split) -> "_Given":
        both = (split if isinstance(split, Images) else Images(split) for split in (train, test))
        # views, since what is loaded is marked as read-only
        views = jax.tree.map(lambda x: np.asarray(x[..., None] if x.ndim == 3 else x).view(), tuple(both))
        given = cls("arrays", Options())
        given.splits, given.has_pairs = {"train": views[0], "test": views[1]}, views[0].noisy is not None
        return given

    def load(self, split: str) -> Images:
        return self.splits[split]


def _with_options(value: Any, options: dict[str, Any], prefix: str = "") -> Any:
    """Return the dataclass `value` with all `options` that are fields of it or its parts, which are taken out."""
    new = {}
    for field in dataclasses.fields(value):
        name, old = field.name, getattr(value, field.name)
        option = prefix.rstrip("_") if name in ("name", "kind") else prefix + name
        if dataclasses.is_dataclass(old):
            new[name] = _with_options(old, options, "" if name == "train" else f"{name}_")
        elif option in options:
            given = options.pop(option)
            new[name] = Path(given) if isinstance(given, str) and field.type == Path | None else given
    return dataclasses.replace(value, **new)
