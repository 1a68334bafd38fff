"""Write the latent codes of a data split, and a figure of them.

python -m jaxae.embed RUN_DIR [--data.name NAME] [--split test]
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float, Integer, PyTree

from jaxae import command, ops
from jaxae.config import DataOverride
from jaxae.data import Images
from jaxae.errors import UserError
from jaxae.files import replacing
from jaxae.networks import Autoencoder
from jaxae.runs import figures, trained
from jaxae.runs.trained import TrainedRun
from jaxae.training import to_float

BATCH_SIZE = 500


@dataclass(frozen=True)
class Arguments:
    """Write the codes of a data split, and a figure of them in two dimensions."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    data: DataOverride = field(default_factory=DataOverride)
    split: Literal["train", "test"] = "test"
    """Which images."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint of the run; best: the highest validation score."""
    out: Path | None = None
    """The directory to write to; by default the run's own."""


def encode_images(run: TrainedRun, images: Images) -> Float[np.ndarray, "n rows columns features"]:
    """Return the codes of `images`, float32.

    Raises:
        UserError: if the network is not an autoencoder.
    """
    if not isinstance(run.network, Autoencoder):
        raise UserError(f"the {run.config.network} network has no encoder: name a run of an autoencoder")
    encode_batch = ops.jit(_encode_batch, run.network.backend, static_argnums=0)
    starts = range(0, images.count, BATCH_SIZE)
    batches = (jnp.asarray(images.take(slice(start, start + BATCH_SIZE)).input) for start in starts)
    return np.concatenate([np.asarray(encode_batch(run.network, run.params, batch)) for batch in batches])


def _encode_batch(model: Autoencoder, params: PyTree, images: Array) -> Any:
    return model.apply({"params": params}, to_float(images), method="encode")


def principal_components(codes: Float[np.ndarray, "n size"], count: int = 2) -> Float[np.ndarray, "n count"]:
    """Return the coordinates of `codes` along the `count` directions of most variance, in descending order."""
    from scipy.sparse.linalg import svds

    centred = codes - codes.mean(axis=0)
    left, values, _ = svds(centred, k=count, random_state=0)  # pyright: ignore[reportCallIssue] (stubs lack it)
    order = np.argsort(-values)
    return left[:, order] * values[order]


def draw_points(points: Float[np.ndarray, "n 2"], labels: Integer[np.ndarray, " n"] | None, title: str):
    """Draw a figure of `points`, coloured by label if there are labels."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure((6.4, 5.6), layout="constrained")
    axis = figure.subplots()
    kinds = [None] if labels is None else np.unique(labels)
    colours = matplotlib.colormaps["tab10" if len(kinds) <= 10 else "turbo"].resampled(max(10, len(kinds)))
    for number, kind in enumerate(kinds):
        chosen = slice(None) if kind is None else labels == kind
        axis.scatter(*points[chosen].T, s=4, alpha=0.6, lw=0, color=colours(number), label=kind)
    if labels is not None and len(kinds) <= 20:
        axis.legend(title="label", markerscale=3, frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axis.set_title(title, fontsize=10, loc="left")
    axis.set(xlabel="first principal component", ylabel="second principal component")
    return figure


def main() -> None:
    """Embed as the command line says."""
    arguments = command.parse_arguments(Arguments)
    run = trained.load_run(arguments.run_dir, arguments.checkpoint)
    dataset = trained.open_data(run, arguments.data)
    images, labels = dataset.load(arguments.split), dataset.load_labels(arguments.split)
    codes = encode_images(run, images)
    if min(len(codes), codes[0].size) < 3:
        raise UserError(
            f"two principal components take at least 3 images with codes of at least 3 numbers; {dataset.name} has "
            f"{len(codes)} {arguments.split} images with codes of {codes[0].size}: name another data set or run"
        )
    points = principal_components(codes.reshape(len(codes), -1))
    arrays: dict[str, Any] = {"codes": codes} | ({} if labels is None else {"labels": labels})
    stem = f"codes-{dataset.name.replace('/', '-').replace(':', '-')}-{arguments.split}"
    out = arguments.out or arguments.run_dir
    (out / "figures").mkdir(parents=True, exist_ok=True)
    with replacing(out / f"{stem}.npz") as temporary:
        np.savez(temporary, **arrays)
    title = f"codes of {len(codes):,} {arguments.split} images of {dataset.name}, epoch {run.epoch}"
    figures.save_figure(draw_points(points, labels, title), out / "figures" / f"{stem}.png")
    what = f"codes {'×'.join(map(str, codes.shape))} float32{'' if labels is None else ', labels'}"
    print(f"written: {out / stem}.npz ({what}), figures/{stem}.png")


if __name__ == "__main__":
    command.run_main(main)
