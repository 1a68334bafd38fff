"""Networks that need no run of the user's: trained on embedded images, on first use."""

import shlex
import shutil
import sys
import warnings
from pathlib import Path

from jaxae import files
from jaxae.command import stopping
from jaxae.errors import UserError
from jaxae.runs import directory, trained

# The experiment and its options by name. The noise has a range of strengths. So few steps need a higher learning rate.
READY = {
    "ready": "cifar10_denoise --data.name photo_patches_small --noise.factor 0.02..0.2 --train.learning-rate 4e-2",
    "ready-digits": "mnist_denoise --data.name digits_small --noise.factor 0.1..0.7",
}
TRAINING = "--recipe fast --train.epochs 8"


def run_directory(name: Path) -> Path:
    """Return the run directory `name`; a name in `READY` stands for a run in the user's cache.

    It is trained if it is missing or damaged. If training fails, the process ends with the status of the training.
    """
    if str(name) not in READY or directory.is_run(name):
        return name
    run_dir = files.user_cache() / "ready" / name
    run_dir.mkdir(parents=True, exist_ok=True)
    with files.locked(run_dir.parent, wait=True):  # one command trains, and others wait
        if (run_dir / directory.SUMMARY).exists():
            try:
                with warnings.catch_warnings(action="error"):
                    trained.load_run(run_dir)
                return run_dir
            except (UserError, UserWarning):
                print(f"the network {name} in {run_dir} is damaged: it is trained again", file=sys.stderr, flush=True)
                shutil.rmtree(run_dir)
        _train(name, run_dir)
    return run_dir


def _train(name: Path, run_dir: Path) -> None:
    experiment, *options = f"{READY[str(name)]} {TRAINING}".split()
    command = ["-m", f"jaxae.experiments.{experiment}", *options, "--run-dir", str(run_dir)]
    command += ["--resume"] if directory.is_run(run_dir) else []
    print(f"training the network {name}, once: python {shlex.join(command)}", file=sys.stderr, flush=True)
    # in its own process, since it holds the device; standard output is for the result
    status = stopping.run_program([sys.executable, *command], stdout=sys.stderr)
    if status:
        sys.exit(status)
