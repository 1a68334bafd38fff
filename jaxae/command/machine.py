"""What a program runs on: the processor or card by its model, and the versions that its figures depend on."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = ("jaxae", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets")


def device() -> dict[str, Any]:
    """The devices that JAX shows: their platform, the model of the card or processor, and how many there are."""
    import jax

    devices = jax.devices()
    kind = processor() if devices[0].platform == "cpu" else devices[0].device_kind
    return {"platform": devices[0].platform, "kind": kind, "count": len(devices)}


@functools.cache
def processor() -> str:
    """The processor's model, such as ``AMD EPYC 9B14 (family 25, model 17)``; that of its architecture where unknown.

    Rented machines often give no more than a brand as the name: family and model then tell the generation.
    """
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        pairs = (line.partition(":") for line in reversed(cpuinfo.read_text().splitlines()))
        facts = {name.strip(): value.strip() for name, _, value in pairs}
        if "model name" in facts:
            family = f" (family {facts['cpu family']}, model {facts['model']})" if "cpu family" in facts else ""
            return facts["model name"] + family
    if platform.system() == "Darwin":
        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def settings() -> dict[str, str]:
    """What the environment says to JAX and to its compiler, which may change the numbers that come out."""
    cache = "JAX_COMPILATION_CACHE_DIR"  # changes none
    names = (name for name in sorted(os.environ) if name.startswith(("JAX_", "XLA_")) and name != cache)
    return {name: os.environ[name] for name in names}


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """The versions of Python and of `packages`; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found
