"""Accelerators and settings of JAX that a command cannot work with, in one line each."""

import importlib.util
import os
import traceback
import warnings
from pathlib import Path

INSTALL = {"cuda": "pip install -e '.[gpu]'", "tpu": "pip install -e '.[tpu]'"}
# What is set to debug, and under which programs that are compiled whole do not run.
IMPOSSIBLE = {
    "jax_disable_jit": "its programs are compiled whole",
    "jax_debug_infs": "infinity is among the numbers that it computes with",
    "jax_transfer_guard": "it moves arrays to and from the device",
}


def hide_missing_tpu(root: Path = Path("/")) -> None:
    """Keep libtpu, where it is installed without a TPU, from being asked for one: it says no in a page of warnings.

    root: below which the machine's devices are looked for.
    """
    chips = [*(root / "dev").glob("accel[0-9]*"), *(root / "dev" / "vfio").glob("[0-9]*")]
    said = any(os.environ.get(name) for name in ("JAX_PLATFORMS", "TPU_ACCELERATOR_TYPE"))
    library, package = os.environ.get("TPU_LIBRARY_PATH", ""), importlib.util.find_spec("libtpu")
    if chips or said or package is None or package.origin is None:
        return
    if not library or Path(library).parent == Path(package.origin).parent:  # JAX has set it, and not the user
        os.environ["TPU_LIBRARY_PATH"] = __file__  # JAX goes on to the next platform when it finds no library there


def refuse_impossible() -> str | None:
    """What is wrong with how JAX is set up, in one line; None where a command can work with it."""
    import jax

    for name, why in IMPOSSIBLE.items():
        value = getattr(jax.config, name)
        if value and value not in ("allow", "log", "log_explicit"):
            return f"{name.upper()}={value} is set, and jaxae cannot work under it: {why}; unset it"
    return None


def explain(error: BaseException) -> str | None:
    """The one line for an error with which JAX has not started on what it was asked for; None for any other error."""
    places = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not places or places[-1] != "jax._src.xla_bridge":
        return None
    import jax

    older = os.environ.get("JAX_PLATFORM_NAME")
    name, value = ("JAX_PLATFORM_NAME", older) if older else ("JAX_PLATFORMS", jax.config.jax_platforms or "")
    said = str(error).partition(" (set JAX_PLATFORMS")[0].partition(": ")[2]
    if not said or "list of known backends" in said:
        said = "no plugin of that name is installed"
    jax.config.update("jax_platforms", None)
    jax.config.update("jax_platform_name", "")
    try:
        devices = jax.devices()
    except Exception:  # nor does it start by itself
        shown = "it starts on nothing else either"
    else:
        shown = f"without {name} it shows {len(devices)} {devices[0].platform.upper()} device{'s'[: len(devices) > 1]}"
    wanted = "tpu" if "tpu" in value else "cuda" if {"cuda", "gpu"} & set(value.split(",")) else None
    if wanted is None:
        return f"{name}={value}: JAX cannot start on it ({said}); {shown}: unset it, or name cpu, cuda or tpu"
    needed = f"install what it needs ({INSTALL[wanted]}) and {_check(wanted)}"
    return f"{name}={value}: JAX cannot start on it ({said}); {shown}: unset it, or {needed}"


def _check(wanted: str) -> str:
    return {
        "cuda": "see with nvidia-smi that the driver works and the card is free and not hidden by CUDA_VISIBLE_DEVICES",
        "tpu": "end other programs that hold the TPU, such as another notebook",
    }[wanted]


def warn_if_unused(root: Path = Path("/")) -> None:
    """Warn where JAX runs on the CPU of a machine that has an NVIDIA card or a TPU, unless the user wants that.

    root: below which the machine's devices are looked for.
    """
    import jax

    asked = jax.config.jax_platforms or os.environ.get("JAX_PLATFORM_NAME")
    if jax.default_backend() != "cpu" or asked:
        return
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if not hidden and any(
        (root / place).exists() for place in ("dev/nvidia0", "dev/dxg", "proc/driver/nvidia/version")
    ):
        found, wanted = "an NVIDIA card", "cuda"
    elif (root / "dev/accel0").exists() or "TPU_ACCELERATOR_TYPE" in os.environ:
        found, wanted = "a TPU", "tpu"
    else:
        return
    plugins = {"cuda": ("jax_cuda13_plugin", "jax_cuda12_plugin"), "tpu": ("libtpu",)}[wanted]
    installed = any(importlib.util.find_spec(plugin) for plugin in plugins)
    mend = f"JAX_PLATFORMS={wanted} says why; {_check(wanted)}" if installed else INSTALL[wanted]
    warnings.warn(f"this machine has {found}, but JAX runs on the CPU, many times slower: {mend}", stacklevel=2)
