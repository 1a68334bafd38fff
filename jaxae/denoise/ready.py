"""Networks that need no run of one's own: trained on embedded images, when first asked for."""

import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

from jaxae import files
from jaxae.errors import UserError
from jaxae.run import directory, trained

# By name, the experiment and its options; blind to how strong the noise is. So few steps want a higher rate.
READY: dict[str, tuple[str, ...]] = {
    "ready": (
        *("cifar10_denoise", "--data.name", "photo_patches_small", "--noise.factor", "0.02..0.2"),
        *("--train.learning-rate", "4e-2"),
    ),
    "ready-digits": ("mnist_denoise", "--data.name", "digits_small", "--noise.factor", "0.1..0.7"),
}
TRAINING = ("--recipe", "fast", "--train.epochs", "8")


def run_directory(name: Path) -> Path:
    """The run directory `name`; one of the names in `READY` is that of a run in the user's cache, made if need be.

    One that is damaged is made again. Leaves with the status of the training where that fails.
    """
    if str(name) not in READY or directory.is_run(name):
        return name
    run_dir = files.user_cache() / "ready" / name
    run_dir.mkdir(parents=True, exist_ok=True)
    with files.locked(run_dir.parent, wait=True):  # of several commands one trains, and the others wait
        if (run_dir / directory.SUMMARY).exists() and not _is_intact(run_dir):
            print(f"the network {name} in {run_dir} is damaged: it is trained again", file=sys.stderr, flush=True)
            shutil.rmtree(run_dir)
        if not (run_dir / directory.SUMMARY).exists():
            _train(name, run_dir)
    return run_dir


def _is_intact(run_dir: Path) -> bool:
    try:
        with warnings.catch_warnings(action="error"):
            trained.restore(run_dir)
    except (UserError, UserWarning):
        return False
    return True


def _train(name: Path, run_dir: Path) -> None:
    experiment, *options = READY[str(name)]
    command = ["-m", f"jaxae.experiments.{experiment}", *options, *TRAINING, "--run-dir", str(run_dir)]
    command += ["--resume"] if directory.is_run(run_dir) else []
    print(f"training the network {name}, once: python {shlex.join(command)}", file=sys.stderr, flush=True)
    # its own process, so that the device is free for this one; standard output belongs to the result
    status = subprocess.run([sys.executable, *command], stdout=sys.stderr, check=False).returncode
    if status:
        sys.exit(status)
