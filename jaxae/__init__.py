"""Small convolutional autoencoders in JAX, trained fast."""

import sys

TYPE_CHECKING = False  # where `typing` has it, without the time that its import takes
if TYPE_CHECKING:
    from jaxae import plot
    from jaxae.denoising.arrays import denoise
    from jaxae.experiments.from_python import train
    from jaxae.runs.trained import load_run as load
    from jaxae.runs.trained import save_weights as save

__version__ = "0.1.0"
__all__ = ["denoise", "load", "plot", "save", "train"]

_FOUND_IN = {  # imported when they are first used: importing jaxae itself takes no time
    "denoise": "jaxae.denoising.arrays:denoise",
    "load": "jaxae.runs.trained:load_run",
    "plot": "jaxae.plot:",
    "save": "jaxae.runs.trained:save_weights",
    "train": "jaxae.experiments.from_python:train",
}

# A command imports this module first: from here on, and through seconds of imports, no signal is lost.
_module = sys.orig_argv[-len(sys.argv)].removeprefix("-m") if sys.argv[:1] == ["-m"] else ""
if _module.partition(".")[0] == "jaxae" or sys.argv[0].endswith(("/bin/jaxae", "\\jaxae.exe")):
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))  # until `install` allows them
    from jaxae.command import stopping

    stopping.install()


def __getattr__(name: str) -> object:
    if name not in _FOUND_IN:
        raise AttributeError(f"module 'jaxae' has no attribute {name!r}")
    import pkgutil

    return pkgutil.resolve_name(_FOUND_IN[name])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
