"""A trained network as one file that runs without jaxae: a `jax.export` artifact, or ONNX.

    python -m jaxae.export RUN_DIR OUT.jax
    python -m jaxae.export RUN_DIR OUT.onnx

Either is a function of images [batch, height, width, channels], float32 in [0, 1], to restored images of the same
shape, computed in float32. Batch, height and width are free; MNIST's network takes sizes from 20 on in steps of 4,
CIFAR's from 5 on.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import linen as nn

from jaxae import command, files, ops
from jaxae.errors import UserError
from jaxae.layers import ConvTranspose
from jaxae.run import trained
from jaxae.run.trained import TrainedRun
from jaxae.torch_weights import to_torch

PLATFORMS = ("cpu", "cuda", "tpu")
# Old enough for runtimes of the last years (ONNX Runtime 1.13), and all that these layers need.
OPSET, IR_VERSION = 17, 8


def to_jax(run: TrainedRun) -> bytes:
    """The serialized `jax.export.Exported`, for `PLATFORMS`; ``jax.export.deserialize(data).call(images)`` runs it."""
    from jax import export

    model = run.model.clone(way="xla", dtype=jnp.dtype("float32"))
    step = model.size_step
    size = f"{step}*h, {step}*w" if step > 1 else "h, w"
    least = -(-model.least_size // step)
    shape = export.symbolic_shape(f"b, {size}, {model.image_shape[2]}", constraints=[f"h >= {least}", f"w >= {least}"])
    restore = ops.jit(lambda images: model.apply({"params": run.params}, images))
    exported = export.export(restore, platforms=PLATFORMS)(jax.ShapeDtypeStruct(shape, jnp.float32))
    return bytes(exported.serialize())


def to_onnx(run: TrainedRun) -> bytes:
    """The serialized ONNX model, input ``images`` and output ``restored``."""
    from onnx import TensorProto, checker, helper, numpy_helper

    model = run.model.clone(way="xla").bind({"params": run.params})
    weights = to_torch(jax.device_get(run.params))  # ONNX lays kernels out as PyTorch does
    nodes = [helper.make_node("Transpose", ["images"], ["enter"], perm=[0, 3, 1, 2])]
    margin, constants = model.margin, {}
    if margin:
        constants = {"around": [0, 0, margin, margin] * 2, "from": [margin] * 2, "to": [-margin] * 2, "axes": [2, 3]}
        nodes.append(helper.make_node("Pad", ["enter", "around"], ["mirrored"], mode="reflect"))
    for part in ("encoder", "decoder"):
        layers = getattr(model, part)
        for number, layer in enumerate(layers):
            name = f"{part}.{2 * number}"
            inputs = [nodes[-1].output[0], f"{name}.weight", f"{name}.bias"]
            nodes.append(_convolution(helper, layer, inputs, name))
            last = part == "decoder" and number == len(layers) - 1
            nodes.append(helper.make_node("Sigmoid" if last else "Relu", [name], [f"{part}.{2 * number + 1}"]))
    if margin:
        nodes.append(helper.make_node("Slice", [nodes[-1].output[0], "from", "to", "axes"], ["inside"]))
    nodes.append(helper.make_node("Transpose", [nodes[-1].output[0]], ["restored"], perm=[0, 2, 3, 1]))
    arrays = weights | {name: np.array(values, np.int64) for name, values in constants.items()}
    shape = ["batch", "height", "width", model.image_shape[2]]
    graph = helper.make_graph(
        nodes,
        f"jaxae {run.config.model}",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in arrays.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    said = f"images and restored: float32 [batch, height, width, {model.image_shape[2]}] in [0, 1]"
    proto = helper.make_model(
        graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="jaxae", doc_string=said
    )
    helper.set_model_props(proto, {"layout": "NHWC", "range": "0..1"})
    checker.check_model(proto, full_check=True)
    return proto.SerializeToString()


def _convolution(helper, layer: nn.Module, inputs: list[str], output: str):
    # kernel_shape could be left out, but OpenCV and ncnn refuse a layer without it
    how = {"kernel_shape": [layer.kernel_size] * 2, "strides": [layer.stride] * 2, "pads": [layer.padding] * 4}
    if not isinstance(layer, ConvTranspose):
        return helper.make_node("Conv", inputs, [output], **how)
    return helper.make_node("ConvTranspose", inputs, [output], output_padding=[layer.output_padding] * 2, **how)


# by the suffix of the file: what makes it, and the package that this needs
FORMATS: dict[str, tuple[Callable[[TrainedRun], bytes], str]] = {
    ".jax": (to_jax, "flatbuffers"),
    ".onnx": (to_onnx, "onnx"),
}


@dataclass(frozen=True)
class Arguments:
    """Export a trained network as one file: .jax (jax.export, for CPU, CUDA and TPU) or .onnx."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    out: Annotated[Path, tyro.conf.Positional]
    """The file to write, replaced where there is one; its suffix decides the format."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which of the run's checkpoints: the last epoch's, or that with the highest test PSNR."""


def main() -> None:
    """Export as the command line says."""
    arguments = command.parse(Arguments)
    out = arguments.out
    if out.suffix not in FORMATS:
        raise UserError(f"{out}: exports end in {' or '.join(FORMATS)}")
    make, package = FORMATS[out.suffix]
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{out.suffix} files need the package {package}: pip install 'jaxae[export]'")
    run = trained.restore(arguments.run_dir, arguments.checkpoint)
    data = make(run)
    files.write_bytes(out, data)
    height, width, channels = run.model.image_shape
    print(
        f"written: {out} ({len(data) / 1e3:,.0f} kB), the {run.config.model} network after epoch {run.epoch}: "
        f"float32 [batch, height, width, {channels}] in [0, 1], trained on {height}×{width}"
    )


if __name__ == "__main__":
    command.run_main(main)
