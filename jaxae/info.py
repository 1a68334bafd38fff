"""Print versions, devices and directories: what a report of a bug needs.

jaxae info
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from jaxae import command, files
from jaxae.command import machine, output
from jaxae.data import default_data_dir


@dataclass(frozen=True)
class Arguments:
    """Print versions, devices and directories."""

    json: bool = False
    """Print a JSON object instead of lines."""


def collect() -> dict[str, Any]:
    """Return what is known of the installation and the machine, as JSON types."""
    device = machine.device()
    return {
        "versions": machine.versions((*machine.PACKAGES, "torch", "onnx", "safetensors")),
        "device": f"{device['count']} {device['platform']}: {device['kind']}",
        "cores": os.cpu_count(),
        "free memory": f"{machine.free_memory() / 2**30:.1f} GiB",
        "environment": machine.settings(),
        "package": str(Path(command.__file__).parents[1]),
        "data": str(default_data_dir()),
        "compiled programs": str(jax.config.jax_compilation_cache_dir),  # pyright: ignore[reportAttributeAccessIssue]
        "cache": str(files.user_cache()),
    }


def main() -> None:
    """Print as the command line says."""
    arguments = command.parse_arguments(Arguments)
    found = collect()
    if arguments.json:
        output.print_json(found)
        return
    for name, value in found.items():
        text = " ".join(f"{key} {each or '-'}" for key, each in value.items()) if isinstance(value, dict) else value
        print(f"{name}: {text or '-'}")


if __name__ == "__main__":
    command.run_main(main)
