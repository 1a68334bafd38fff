"""Write a trained run as one file, which denoise and other commands and `jaxae.load` take.

python -m jaxae.weights RUN_DIR FILE.safetensors
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxae import command
from jaxae.runs import trained


@dataclass(frozen=True)
class Arguments:
    """Write a trained run as one file: its parameters, with its configuration as metadata."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    file: Annotated[Path, tyro.conf.Positional]
    """The file to write, .safetensors; an existing one is replaced."""
    dtype: Literal["float32", "float16"] = "float32"
    """The dtype of the parameters in the file; they are read as float32."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint of the run; best: the highest validation score."""


def main() -> None:
    """Write the file that the command line names."""
    arguments = command.parse_arguments(Arguments)
    run = trained.load_run(arguments.run_dir, arguments.checkpoint)
    trained.save_weights(run, arguments.file, arguments.dtype)
    content = arguments.file.read_bytes()
    print(f"written: {arguments.file}, {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    command.run_main(main)
