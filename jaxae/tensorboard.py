"""The figures and test images of a run for TensorBoard, in the run's `tensorboard/`: what `--log.tensorboard` writes.

The one event file there always holds the epochs that `metrics.jsonl` holds, each once: what a stopped run has written
of an epoch that is trained again is cut off first.
"""

import functools
import importlib.util
import io
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, PyTree, UInt8

from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.scores import clipped, corrupt

FILE = Path("tensorboard", "events.out.tfevents.jaxae")
COLUMNS, SCALE = 8, 3


def require() -> None:
    """Raise UserError where the package is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError("--log.tensorboard needs the package tensorboard: pip install 'jaxae[tensorboard]'")


def record(run_dir: Path, lines: list[dict[str, Any]], image: UInt8[np.ndarray, "height width channels"] | None = None):
    """Bring the event file up to date with `lines`, those of `metrics.jsonl`: a scalar for each figure, by epoch.

    image: what `picture` gives, shown with the last epoch.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    path = run_dir / FILE
    path.parent.mkdir(exist_ok=True)
    path.touch()
    last = lines[-1]["epoch"] if lines else 0
    end, logged = 0, -1
    with path.open("r+b") as file:
        for data in _records(file):
            try:
                event = Event.FromString(data)
            except DecodeError:  # a damaged file: its rest is written anew
                break
            if event.step > last:
                break
            end, logged = file.tell(), event.step
        file.seek(end)
        file.truncate()
        writer = RecordWriter(file)
        if end == 0:
            writer.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        for line in lines:
            if line["epoch"] > logged:
                figures = {name: value for name, value in line.items() if name != "epoch"}
                values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
                if line["epoch"] == last and image is not None:
                    values.append(Summary.Value(tag="test images", image=_encoded(image)))
                event = Event(wall_time=time.time(), step=line["epoch"], summary=Summary(value=values))
                writer.write(event.SerializeToString())


def _records(file: io.BufferedRandom) -> Iterator[bytes]:
    """The whole records of an event file: each its length, a checksum, the data, a checksum."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    while len(head := file.read(12)) == 12:
        (length,) = struct.unpack("<Q", head[:8])
        if file.tell() + length + 4 > size:
            return
        data = file.read(length)
        file.read(4)
        yield data


def _encoded(image: UInt8[np.ndarray, "height width channels"]):
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    height, width, channels = image.shape
    png = io.BytesIO()
    Image.fromarray(image.squeeze()).save(png, "png")
    return Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png.getvalue())


def picture(
    model: nn.Module, params: PyTree, images: UInt8[np.ndarray, "n h w c"], noise: Noise
) -> UInt8[np.ndarray, "height width channels"]:
    """Three rows in one picture: the first of `images` with noise on them, restored, and clean."""
    # computed apart from training: on one device, and in the way that compiles fastest
    rows = _rows(model.clone(way="xla"), noise, jax.device_get(params), images[:COLUMNS])
    _, columns, height, width, channels = rows.shape
    image = np.asarray(rows).transpose(0, 2, 1, 3, 4).reshape(3 * height, columns * width, channels)
    return np.rint(255 * image).astype(np.uint8).repeat(SCALE, axis=0).repeat(SCALE, axis=1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _rows(model: nn.Module, noise: Noise, params: PyTree, images: UInt8[Array, "n h w c"]) -> Float[Array, "3 n h w c"]:
    clean, noisy = corrupt(noise, images, jnp.arange(len(images), dtype=jnp.uint32))
    return jnp.stack([clipped({}, noisy), model.apply({"params": params}, noisy), clean])
