import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import networks, noise
from jaxae.data import Images
from jaxae.runs import figures
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.runs.samples import Samples
from jaxae.training import objectives

MODEL = networks.build("mnist")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_shows_each_image_in_its_place_with_its_psnr(channels):
    clean = np.random.default_rng(0).uniform(0.2, 0.8, (3, 24, 30, channels)).astype(np.float32)
    figure = figures.image_rows(
        {"original": jnp.asarray(clean), "darker": jnp.asarray(clean - 0.1)}, jnp.asarray(clean)
    )
    original, darker = figure.axes
    shown = np.asarray(darker.images[0].get_array()).reshape(24, -1, channels)
    for image, centre in zip(clean, darker.get_xticks(), strict=True):
        left = round(centre - 29 / 2)
        np.testing.assert_allclose(shown[:, left : left + 30], image - 0.1, atol=1e-6)
    assert [label.get_text() for label in darker.get_xticklabels()] == ["20.0 dB"] * 3
    assert [label.get_text() for label in original.get_xticklabels()] == [""] * 3
    assert darker.get_ylabel() == "darker"


@pytest.fixture
def drawn(monkeypatch):
    """The figures that `write_figures` saves, of grey test images: clean 0.2, noisy 0.4, restored 0.6."""
    saved = {}

    def restore_samples(model, params, images, indices, added):
        return Samples(*(np.full((len(indices), 12, 12, 1), grey, np.float32) for grey in (0.2, 0.4, 0.6)))

    monkeypatch.setattr(figures.samples, "restore_samples", restore_samples)
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: saved.update({path.name: figure}))
    return saved


@pytest.mark.parametrize(
    ("kind", "objective", "rows"),
    [
        ("salt", None, {"original": 0.2, "salt 0.2": 0.4, "restored": 0.6}),
        ("none", None, {"original": 0.2, "restored": 0.6}),
        ("none", objectives.Noise2Self(), {"input": 0.4, "restored": 0.6}),
    ],
)
def test_the_rows_are_what_the_test_has(tmp_path, drawn, kind, objective, rows):
    images = Images(np.zeros((3, 12, 12, 1), np.uint8))
    test = EvaluationSet("grey", images, noise.parse(kind), objective)
    figures.write_figures(tmp_path, MODEL, {}, test, [])
    assert drawn.keys() == {"images.png"}
    axes = drawn["images.png"].axes
    assert {axis.get_ylabel(): round(float(axis.images[0].get_array()[0, 0]), 3) for axis in axes} == rows
    assert len(axes[0].get_xticks()) in (0, 3)


def test_the_curves_are_the_loss_and_the_metrics_of_each_epoch(tmp_path, drawn):
    history = [{"epoch": n, "train_loss": 0.1 * n, "mse": 0.2 * n, "psnr": 20.0 + n} for n in (1, 2)]
    history = [record | {"validation_psnr": 30.0 + record["epoch"]} for record in history]
    test = EvaluationSet("grey", Images(np.zeros((3, 12, 12, 1), np.uint8)), noise.parse("none"))
    figures.write_figures(tmp_path, MODEL, {}, test, history)
    loss, psnr = (
        {line.get_label(): list(line.get_ydata()) for line in axis.lines} for axis in drawn["curves.png"].axes
    )
    assert loss == {"train": [0.1, 0.2], "test": [0.2, 0.4]}
    assert psnr == {"validation": [31.0, 32.0], "test": [21.0, 22.0]}
