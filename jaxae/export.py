"""A trained network as one file that runs without jaxae: a `jax.export` artifact or an ONNX model.

    python -m jaxae.export RUN_DIR OUT.jax
    python -m jaxae.export RUN_DIR OUT.onnx

Either is a function from images [batch, height, width, channels], float32 in [0, 1], to restored images of the same
shape, computed in float32. The batch is free, and so are height and width as far as the network takes other sizes,
unless its code compares them; the command says if they are fixed.
"""

import importlib.util
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxae import command, files, ops
from jaxae.errors import UserError
from jaxae.networks import Network
from jaxae.runs import trained

PLATFORMS = ("cpu", "cuda", "tpu")
# Old enough for runtimes of the last years (ONNX Runtime 1.13), and all that these layers need.
OPSET, IR_VERSION = 17, 8
TOLERANCE = 1e-4  # of outputs in [0, 1]


def to_jax(network: Network, params: Any) -> tuple[bytes, bool]:
    """The serialized `jax.export.Exported`, for `PLATFORMS`, and whether it takes images of other sizes.

    ``jax.export.deserialize(data).call(images)`` runs it.
    """
    from jax import export

    images, free_size = _input(network, params)
    exported = export.export(ops.jit(partial(_apply, network, params)), platforms=PLATFORMS)(images)
    return bytes(exported.serialize()), free_size


def to_onnx(network: Network, params: Any) -> tuple[bytes, bool]:
    """The serialized ONNX model, input ``images`` and output ``restored``, and whether it takes images of other sizes.

    Raises:
        UserError: The network uses operations that cannot be converted, or the model does not compute what the
            network does.
    """
    from onnx import checker, helper

    from jaxae import jaxpr_to_onnx

    images, free_size = _input(network, params)
    graph = jaxpr_to_onnx.convert(partial(_apply, network), jax.device_get(params), images)
    about = f"images and restored: float32 [batch, height, width, {images.shape[3]}] in [0, 1]"
    versions = {"opset_imports": [helper.make_opsetid("", OPSET)], "ir_version": IR_VERSION}
    model = helper.make_model(graph, producer_name="jaxae", doc_string=about, **versions)
    helper.set_model_props(model, {"layout": "NHWC", "range": "0..1", "network": type(network).__name__})
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    _check_outputs(content, network, params, free_size)
    return content, free_size


def _apply(network: Network, params: Any, images: Any) -> Any:
    return network.apply({"params": params}, images)


def _input(network: Any, params: Any) -> tuple[jax.ShapeDtypeStruct, bool]:
    """Shape and dtype of the images, and whether their size is free: only if no code in the network compares sizes."""
    from jax import export

    (height, width, channels), step = network.image_shape, network.size_multiple
    least, size = -(-network.min_size // step), f"{step}*h, {step}*w" if step > 1 else "h, w"
    shape = export.symbolic_shape(f"b, {size}, {channels}", constraints=[f"h >= {least}", f"w >= {least}"])
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    try:
        jax.eval_shape(partial(_apply, network), params, images)
    except jax.errors.InconclusiveDimensionOperation:
        shape = export.symbolic_shape(f"b, {height}, {width}, {channels}")
        return jax.ShapeDtypeStruct(shape, jnp.float32), False
    return images, True


def _check_outputs(model: bytes, network: Any, params: Any, free_size: bool) -> None:
    """Raise UserError unless `model` computes what the network does, within rounding."""
    if importlib.util.find_spec("onnxruntime"):
        from onnxruntime import InferenceSession as Runtime
    else:
        from onnx.reference import ReferenceEvaluator as Runtime
    (height, width, channels), step = network.image_shape, network.size_multiple * free_size
    for shape in ((1, height, width, channels), (2, height + step, width + 2 * step, channels)):
        images = np.random.default_rng(0).random(shape, np.float32)
        with jax.default_matmul_precision("float32"):
            expected = np.asarray(ops.jit(partial(_apply, network))(params, images))
        session: Any = Runtime(model)
        [restored] = session.run(None, {"images": images})
        if restored.shape != expected.shape or not np.abs(restored - expected).max() <= TOLERANCE:
            raise UserError("the ONNX model does not compute what the network does: export to .jax instead")


# by the suffix of the file: what makes it, and the package that this needs
FORMATS = {".jax": (to_jax, "flatbuffers"), ".onnx": (to_onnx, "onnx")}


@dataclass(frozen=True)
class Arguments:
    """Export a trained network as one file: .jax (jax.export, for CPU, CUDA and TPU) or .onnx."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    out: Annotated[Path, tyro.conf.Positional]
    """The file to write; its suffix decides the format. An existing one is replaced."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which of the run's checkpoints: the last epoch's, or the one with the highest validation score."""


def main() -> None:
    """Export as the command line says."""
    arguments = command.parse_arguments(Arguments)
    out = arguments.out
    if out.suffix not in FORMATS:
        raise UserError(f"{out}: exports end in {' or '.join(FORMATS)}")
    make, package = FORMATS[out.suffix]
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{out.suffix} files need the package {package}: pip install -e '.[export]'")
    run = trained.load_run(arguments.run_dir, arguments.checkpoint)
    network = run.network.clone(backend=ops.REFERENCE, dtype=jnp.dtype("float32"))
    content, free_size = make(network, run.params)
    files.write_bytes(out, content)
    height, width, channels = run.network.image_shape
    size, fixed = ("height, width", "trained on") if free_size else (f"{height}, {width}", "fixed at")
    print(
        f"written: {out} ({len(content) / 1e3:,.0f} kB), the {run.config.network} network after epoch {run.epoch}: "
        f"float32 [batch, {size}, {channels}] in [0, 1], {fixed} {height}×{width}"
    )


if __name__ == "__main__":
    command.run_main(main)
