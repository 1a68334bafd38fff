"""The encoder's codes of a data split, and a picture of them.

python -m jaxae.embed RUN_DIR [--data.name NAME] [--split test]
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float, Integer, PyTree, UInt8

from jaxae import command, ops
from jaxae.config import DataOverride
from jaxae.data import halves
from jaxae.files import replacing
from jaxae.models import Autoencoder
from jaxae.run import figures, trained
from jaxae.run.trained import TrainedRun
from jaxae.training import to_float

BATCH_SIZE = 500


@dataclass(frozen=True)
class Arguments:
    """Write the codes of a data split, and a picture of them in two dimensions."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    data: DataOverride = field(default_factory=DataOverride)
    split: Literal["train", "test"] = "test"
    """Which images."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which of the run's checkpoints."""
    out: Path | None = None
    """The directory that they are written into; by default the run's own."""


def encode(run: TrainedRun, images: UInt8[np.ndarray, "n h w stored"]) -> Float[np.ndarray, "n rows columns features"]:
    """The codes of `images`, float32."""
    encode_batch = ops.jit(_encode_batch, run.model.way, static_argnums=0)
    starts = range(0, len(images), BATCH_SIZE)
    batches = (jnp.asarray(images[start : start + BATCH_SIZE]) for start in starts)
    return np.concatenate([np.asarray(encode_batch(run.model, run.params, batch)) for batch in batches])


def _encode_batch(model: Autoencoder, params: PyTree, images: Array) -> Array:
    source, _ = halves.split(to_float(images))
    return model.apply({"params": params}, source, method="encode")


def principal_components(codes: Float[np.ndarray, "n size"], count: int = 2) -> Float[np.ndarray, "n count"]:
    """The coordinates of `codes` along the `count` directions in which they vary most, the first most of all."""
    from scipy.sparse.linalg import svds

    centred = codes - codes.mean(axis=0)
    left, values, _ = svds(centred, k=count, random_state=0)
    order = np.argsort(-values)
    return left[:, order] * values[order]


def picture(points: Float[np.ndarray, "n 2"], labels: Integer[np.ndarray, " n"] | None, title: str):
    """A figure of `points`, coloured by label where there are labels."""
    plt = figures.pyplot()
    figure, axis = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
    kinds = [None] if labels is None else np.unique(labels)
    colours = plt.get_cmap("tab10" if len(kinds) <= 10 else "turbo", max(10, len(kinds)))
    for number, kind in enumerate(kinds):
        chosen = slice(None) if kind is None else labels == kind
        axis.scatter(*points[chosen].T, s=4, alpha=0.6, lw=0, color=colours(number), label=kind)
    if labels is not None and len(kinds) <= 20:
        axis.legend(title="label", markerscale=3, frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_xlabel("first principal component", fontsize=9)
    axis.set_ylabel("second principal component", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Embed as the command line says."""
    arguments = command.parse(Arguments)
    run = trained.restore(arguments.run_dir, arguments.checkpoint)
    name, images = trained.open_images(run, arguments.data, arguments.split)
    labels = trained.open_labels(run, arguments.data, arguments.split)

    codes = encode(run, images)
    stem = f"codes-{name.replace('/', '-').replace(':', '-')}-{arguments.split}"
    out = arguments.out or arguments.run_dir
    path = out / f"{stem}.npz"
    (out / "figures").mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        np.savez(temporary, codes=codes, **({} if labels is None else {"labels": labels}))
    points = principal_components(codes.reshape(len(codes), -1))
    title = f"codes of {len(codes):,} {arguments.split} images of {name}, epoch {run.epoch}"
    figures.save(picture(points, labels, title), out / "figures" / f"{stem}.png")
    shape = "×".join(map(str, codes.shape))
    print(f"written: {path} (codes {shape} float32{', labels' if labels is not None else ''}), figures/{stem}.png")


if __name__ == "__main__":
    command.run_main(main)
