"""Accelerators that JAX cannot start on or leaves unused, each in one line."""

import importlib.util
import os
import traceback
import warnings
from pathlib import Path

INSTALL = "pip install -e '.[{}]'"


def hide_missing_tpu(root: Path = Path("/")) -> None:
    """Keep JAX from loading libtpu if it is installed on a machine without a TPU: it prints a page of warnings.

    Args:
        root: the root of the file system in which devices are looked for.
    """
    asked = any(os.environ.get(name) for name in ("JAX_PLATFORMS", "TPU_ACCELERATOR_TYPE"))
    package = importlib.util.find_spec("libtpu")
    if asked or package is None or package.origin is None:
        return
    if any((root / "dev").glob("accel[0-9]*")) or any((root / "dev" / "vfio").glob("[0-9]*")):
        return
    library = os.environ.get("TPU_LIBRARY_PATH", "")
    if not library or Path(library).parent == Path(package.origin).parent:  # JAX has set it, not the user
        os.environ["TPU_LIBRARY_PATH"] = __file__  # which is no library: JAX continues with the next platform


def explain(error: BaseException) -> str | None:
    """Return a line for the error of a JAX that cannot start on the wanted platform; None for any other error."""
    places = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)]
    if places[-1:] != ["jax._src.xla_bridge"]:
        return None
    older = os.environ.get("JAX_PLATFORM_NAME")
    wanted = f"JAX_PLATFORM_NAME={older}" if older else f"JAX_PLATFORMS={_platforms()}"
    reason = str(error).partition(" (set JAX_PLATFORMS")[0].partition(": ")[2]
    if not reason or "list of known backends" in reason:
        reason = "no plugin of that name is installed"
    remedy = f"name cpu, or install what cuda ({INSTALL.format('gpu')}) or tpu ({INSTALL.format('tpu')}) needs"
    return f"{wanted}: JAX cannot start on it ({reason}); unset it, {remedy}"


def _platforms() -> str:
    import jax

    return jax.config.jax_platforms or ""  # pyright: ignore[reportAttributeAccessIssue]


def warn_if_unused(root: Path = Path("/")) -> None:
    """Warn if JAX runs on the CPU of a machine with an NVIDIA card or a TPU, unless the user has asked for the CPU.

    Args:
        root: the root of the file system in which devices are looked for.
    """
    import jax

    if jax.default_backend() != "cpu" or _platforms() or os.environ.get("JAX_PLATFORM_NAME"):
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
