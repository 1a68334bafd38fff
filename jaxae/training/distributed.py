"""Several processes that train one network together, through JAX's runtime: joining, agreeing and failing clearly.

Every process runs the same program with the same options. Only process 0 writes files and prints.
"""

import atexit
import contextlib
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

import jax
import numpy as np

from jaxae import command
from jaxae.config import DistributedConfig
from jaxae.errors import UserError

LAST_SECONDS = 1.0  # from a process's last line to its end: JAX aborts the others as soon as process 0 has ended
HEARTBEAT_SECONDS = 20  # how long a process may be silent before JAX considers it dead


def environment(variables: Mapping[str, str] = os.environ) -> str | None:
    """Return the system that started this process as one of several, judged by its environment variables.

    It is None for a process on its own, which includes a shell in an allocation of Slurm, a single pod and a single TPU
    host.
    """

    def several(name: str) -> bool:
        return variables.get(name, "").isdecimal() and int(variables[name]) > 1

    if several("SLURM_NTASKS") and {"SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST"} <= variables.keys():
        return "Slurm"
    if several("OMPI_COMM_WORLD_SIZE") or several("PMI_SIZE"):
        return "MPI"
    if {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= variables.keys():
        return "Kubernetes"
    if "," in variables.get("TPU_WORKER_HOSTNAMES", "") or "MEGASCALE_COORDINATOR_ADDRESS" in variables:
        return "Cloud TPU"
    return None


@contextlib.contextmanager
def joined(settings: DistributedConfig) -> Iterator[None]:
    """Join the other processes, if there are any, for the block; call before JAX starts.

    If they do not arrive within ``settings.timeout`` seconds, the process ends with one line.

    Raises:
        UserError: if JAX cannot join them.
    """
    found = None if settings.off else environment()
    if not (settings.coordinator or settings.detect or found):
        yield
        return
    _initialize(settings, found)
    try:
        with contextlib.ExitStack() as stack:
            if not is_first():
                silence = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(contextlib.redirect_stdout(silence))
            yield
    except BaseException as error:  # however this process ends, the others must not wait for it
        number = getattr(error, "number", 2)
        status = 128 + number if isinstance(error, KeyboardInterrupt) else 2 if isinstance(error, Exception) else 1
        atexit.register(_leave, status)
        raise


@contextlib.contextmanager
def leaving_if_alone() -> Iterator[None]:
    """End this process with one line if another is lost in the block: nothing, not even a save, could be completed."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        signs = ("Gloo", "NCCL", "closed by peer", "heartbeat", "unhealthy", "coordination", "Connection reset")
        if jax.process_count() == 1 or not any(sign in str(error) for sign in signs):
            raise
        _give_up("another process has ended, and this one cannot go on alone: start all of them again with --resume")


def _initialize(settings: DistributedConfig, found: str | None) -> None:
    given = settings.coordinator is not None
    at = settings.coordinator or f"the coordinator that {found or 'JAX'} names"
    missing = f"not all processes came to {at} within {settings.timeout} s: start each of them, with the same address"
    alone = "" if given else ", or `distributed.off` if each is to train alone"
    if settings.coordinator is not None:
        os.environ.setdefault("no_grpc_proxy", settings.coordinator.rpartition(":")[0])  # a proxy serves the web only
        jax.config.update("jax_check_proxy_envs", False)  # JAX would warn of a proxy
    # When JAX gives up, it aborts the process with pages of text: give up just before.
    watch = threading.Timer(settings.timeout, _give_up, (missing + alone,))
    watch.daemon = True
    watch.start()
    try:
        jax.distributed.initialize(
            settings.coordinator,
            settings.num_processes,
            settings.process_id,
            cluster_detection_method="deactivate" if given else "mpi4py" if _only_mpi4py(found) else None,
            initialization_timeout=settings.timeout + 30,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(
            f"JAX cannot join the other processes ({error}); give `coordinator` HOST:PORT, "
            f"`num_processes` and `process_id`{alone}"
        ) from error
    finally:
        watch.cancel()


def _only_mpi4py(found: str | None) -> bool:
    """Whether JAX detects this MPI only through mpi4py: any but Open MPI before version 5."""
    return found == "MPI" and "OMPI_MCA_orte_hnp_uri" not in os.environ


def _give_up(message: str) -> None:
    print(f"error: {command.with_options(message)}", file=sys.stderr, flush=True)
    _leave(2)


def _leave(status: int) -> NoReturn:
    """End the process without JAX's shutdown, which waits for the others, who may be waiting for this one."""
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(LAST_SECONDS)
    os._exit(status)


def is_first() -> bool:
    """Return whether this is process 0, or the only one."""
    return jax.process_index() == 0


def from_first(value: float | None) -> float | None:
    """Return the value of process 0; it must be None in all processes or in none."""
    return value if value is None or jax.process_count() == 1 else float(_broadcast(np.float32(value)))


def any_says(value: bool) -> bool:
    """Return whether `value` is true in any process."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.asarray(value)).any())


def check_same(text: str) -> None:
    """Wait for all processes, and compare a text.

    Raises:
        UserError: in all processes, if `text` differs between any of them.
    """
    here = np.frombuffer(hashlib.sha256(os.fsencode(text)).digest(), np.uint32)
    if any_says(not np.array_equal(here, _broadcast(here))):
        raise UserError("the processes were given different options: start all of them with the same")


def first_then_all(function: Callable[[], None]) -> None:
    """Call `function` in process 0 while the others wait.

    Raises:
        UserError: in the others, if it fails.
    """
    failure: BaseException | None = None
    if is_first():
        try:
            function()
        except Exception as error:  # of any kind: the others must not wait for ever
            failure = error
    failed = any_says(failure is not None)
    if failure is not None:
        raise failure
    if failed:
        raise UserError("process 0 cannot start the run: see its error")


def _broadcast(value: np.ndarray | np.generic) -> np.ndarray:
    if jax.process_count() == 1:
        return np.asarray(value)
    from jax.experimental import multihost_utils

    return multihost_utils.broadcast_one_to_all(np.asarray(value))
