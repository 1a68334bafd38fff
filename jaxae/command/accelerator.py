"""Accelerators that JAX cannot start on or leaves unused, each in one line."""

import os
import traceback
import warnings
from pathlib import Path

INSTALL = "pip install -e '.[{}]'"


def explain(error: BaseException) -> str | None:
    """Return a line for the error of a JAX that cannot start on the wanted platform; None for any other error."""
    places = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)]
    if places[-1:] != ["jax._src.xla_bridge"]:
        return None
    name = "JAX_PLATFORM_NAME" if os.environ.get("JAX_PLATFORM_NAME") else "JAX_PLATFORMS"
    reason = str(error).partition(" (set JAX_PLATFORMS")[0].partition(": ")[2]
    if not reason or "list of known backends" in reason:
        reason = "no plugin of that name is installed"
    remedy = f"name cpu, or install what cuda ({INSTALL.format('gpu')}) or tpu ({INSTALL.format('tpu')}) needs"
    return f"{name}={os.environ.get(name, '')}: JAX cannot start on it ({reason}); unset it, {remedy}"


def warn_if_unused(root: Path = Path("/")) -> None:
    """Warn if JAX runs on the CPU of a machine with an NVIDIA card or a TPU, unless the user has asked for the CPU.

    Args:
        root: the root of the file system in which devices are looked for.
    """
    import jax

    asked = jax.config.jax_platforms or os.environ.get("JAX_PLATFORM_NAME")  # pyright: ignore[reportAttributeAccessIssue]
    if jax.default_backend() != "cpu" or asked:
        return
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if not hidden and any((root / "dev" / name).exists() for name in ("nvidia0", "dxg")):
        found, extra, platform = "an NVIDIA card", "gpu", "cuda"
    elif (root / "dev/accel0").exists() or "TPU_ACCELERATOR_TYPE" in os.environ:
        found, extra, platform = "a TPU", "tpu", "tpu"
    else:
        return
    remedy = f"{INSTALL.format(extra)}; if that is installed, JAX_PLATFORMS={platform} says why"
    warnings.warn(f"this machine has {found}, but JAX runs on the CPU, many times slower: {remedy}", stacklevel=2)
