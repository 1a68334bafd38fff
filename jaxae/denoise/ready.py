"""Networks that need no run of one's own: trained on drawn images, when first asked for."""

import shlex
import subprocess
import sys
from pathlib import Path

from jaxae.run import directory

# by name, the experiment and its options; blind to how strong the noise is
READY: dict[str, tuple[str, ...]] = {
    "ready": ("cifar10_denoise", "--data.name", "dead_leaves_small", "--noise.factor", "0.02..0.2"),
    "ready-digits": ("mnist_denoise", "--data.name", "digits_small", "--noise.factor", "0.1..0.7"),
}
TRAINING = ("--recipe", "fast", "--train.epochs", "8")


def run_directory(name: Path) -> Path:
    """The run directory `name`; one of the names in `READY` is that of a run below `runs/`, trained now if need be.

    Leaves with the status of the training where that fails.
    """
    if str(name) not in READY or directory.is_run(name):
        return name
    run_dir = Path("runs") / name
    if not (run_dir / directory.SUMMARY).exists():
        experiment, *options = READY[str(name)]
        command = ["-m", f"jaxae.experiments.{experiment}", *options, *TRAINING, "--run-dir", str(run_dir)]
        command += ["--resume"] if directory.is_run(run_dir) else []
        print(f"training the network {name}, once: python {shlex.join(command)}", file=sys.stderr, flush=True)
        # its own process, so that the device is free for this one; standard output belongs to the result
        status = subprocess.run([sys.executable, *command], stdout=sys.stderr, check=False).returncode
        if status:
            sys.exit(status)
    return run_dir
