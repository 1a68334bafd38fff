"""The names of the commands, and the words that start one: what messages, `--help` and records show."""

import importlib.util
import os
import sys

COMMANDS = {  # what follows `jaxae`, and the module that does it
    "train mnist-denoise": "jaxae.experiments.mnist_denoise",
    "train cifar10-denoise": "jaxae.experiments.cifar10_denoise",
    "train cifar10-reconstruct": "jaxae.experiments.cifar10_reconstruct",
    "train photo-denoise": "jaxae.experiments.photo_denoise",
    "sweep": "jaxae.experiments.sweep",
    "noise-grid": "jaxae.experiments.noise_grid",
    "denoise": "jaxae.denoising",
    "evaluate": "jaxae.evaluate",
    "report": "jaxae.report",
    "baselines": "jaxae.baselines",
    "embed": "jaxae.embed",
    "export": "jaxae.export",
    "weights": "jaxae.torch_weights",
    "data": "jaxae.data",
    "info": "jaxae.info",
    "completion": "jaxae.completion",
}


_started: list[str] | None = None  # how the one program for all commands was started, if it was


def program_module(module: str) -> str:
    """Return the module that holds the command of `module`, which may be a package."""
    spec = importlib.util.find_spec(module)
    return f"{module}.__main__" if spec is not None and spec.submodule_search_locations else module


def start_one(start: list[str], name: str, rest: list[str]) -> str:
    """Let this process be the command `name` with the words `rest` after it; returns its module."""
    global _started
    _started, sys.argv[1:] = start, rest
    return COMMANDS[name]


def words_for(module: str) -> list[str]:
    """Return the words that start the command of `module`, in the form in which this process was started."""
    name = next((name for name, each in COMMANDS.items() if each == module), None)
    return ["python", "-m", module] if _started is None or name is None else [*_started, *name.split()]


def own_words() -> list[str]:
    """Return the words that started this process, without options."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    return ["python", os.fspath(sys.argv[0])] if module is None else words_for(module.name.removesuffix(".__main__"))
