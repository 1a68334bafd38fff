"""The machine that a program runs on: the model of its processor or card, and the versions that results depend on."""

import contextlib
import functools
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

PACKAGES = ("jaxae", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets")


def device() -> dict[str, Any]:
    """Return the platform, the model and the number of JAX's devices."""
    import jax

    devices = jax.devices()
    kind = processor() if devices[0].platform == "cpu" else devices[0].device_kind
    return {"platform": devices[0].platform, "kind": kind, "count": len(devices)}


@functools.cache
def processor() -> str:
    """Return the processor's model, such as ``AMD EPYC 9B14 (family 25, model 17)``, or its architecture if unknown.

    Virtual machines often show only a brand: family and model then identify the generation.
    """
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        pairs = (line.partition(":") for line in reversed(cpuinfo.read_text().splitlines()))
        facts = {name.strip(): value.strip() for name, _, value in pairs}
        if "model name" in facts:
            family = f" (family {facts['cpu family']}, model {facts['model']})" if "cpu family" in facts else ""
            return facts["model name"] + family
    return platform.processor() or platform.machine()


def free_memory(root: Path = Path("/")) -> int:
    """Return the free memory in bytes: of the machine, or of the control groups of this process if that is less.

    Args:
        root: the root of the file system in which the groups are looked for.
    """
    import psutil

    free, mount = psutil.virtual_memory().available, root / "sys/fs/cgroup"
    groups = root / "proc/self/cgroup"
    for line in groups.read_text().splitlines() if groups.exists() else ():
        _, kinds, place = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        top = mount / "memory" if kinds else mount
        limit, used = ("limit_in_bytes", "usage_in_bytes") if kinds else ("max", "current")
        for group in {top, *(top / place[1:]).parents, top / place[1:]}:
            with contextlib.suppress(OSError, ValueError, KeyError):  # no such group, no limit ("max")
                most = int((group / f"memory.{limit}").read_text())
                stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                cached = sum(int(stat[name]) for name in ("active_file", "inactive_file"))  # freed when needed
                free = min(free, most - int((group / f"memory.{used}").read_text()) + cached)
    return max(0, free)


def settings() -> dict[str, str]:
    """Return the environment variables of JAX and of its compiler, which may change results."""
    cache = "JAX_COMPILATION_CACHE_DIR"  # changes no result
    names = (name for name in sorted(os.environ) if name.startswith(("JAX_", "XLA_")) and name != cache)
    return {name: os.environ[name] for name in names}


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Return the versions of Python and of `packages`; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found
