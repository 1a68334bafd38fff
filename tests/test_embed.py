from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxae import embed, networks
from jaxae.config import Config, DataOverride
from jaxae.data import Images
from jaxae.errors import UserError
from jaxae.runs import trained
from jaxae.runs.digest import tree_digest
from jaxae.runs.trained import TrainedRun
from tests.process import command, refused
from tests.small_run import add_checkpoint, random_params, write_run


def test_principal_components_are_those_of_the_covariance():
    codes = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32) * np.array([5, 1, 1, 3, 1, 1], np.float32)
    points = embed.principal_components(codes)
    values, vectors = np.linalg.eigh(np.cov(codes.T, bias=True))
    expected = (codes - codes.mean(0)) @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-3)
    np.testing.assert_allclose(points.var(0), values[::-1][:2], rtol=1e-3)


@pytest.mark.parametrize("name", ["mnist", "cifar"])
def test_codes_are_the_encoders(name):
    model = networks.build(name, "xla")
    images = np.random.default_rng(0).integers(0, 256, (embed.BATCH_SIZE + 2, *model.image_shape), np.uint8)
    params = random_params(name)
    codes = embed.encode_images(TrainedRun(Path("run"), Config(), model, params, 1), Images(images))
    encode = jax.jit(lambda images: model.apply({"params": params}, images, method="encode"))
    last = encode(jnp.asarray(images[-2:] / np.float32(255)))
    assert codes.shape == (len(images), *last.shape[1:])
    np.testing.assert_allclose(codes[-2:], last, atol=1e-5)


def test_the_figure_shows_points_with_and_without_labels():
    points = np.random.default_rng(0).normal(size=(50, 2))
    for labels, groups in ((None, 1), (np.arange(50) % 10, 10)):
        figure = embed.draw_points(points, labels, "title")
        assert sum(len(drawn.get_offsets()) for drawn in figure.axes[0].collections) == 50
        assert len(figure.axes[0].collections) == groups
        shown = points if labels is None else points[labels == 0]
        np.testing.assert_array_equal(figure.axes[0].collections[0].get_offsets(), shown)


def test_pairs_are_encoded_from_their_noisy_images():
    model = networks.build("cifar", "xla")
    clean, noisy = np.random.default_rng(0).integers(0, 256, (2, 3, *model.image_shape), np.uint8)
    run = TrainedRun(Path("run"), Config(), model, random_params("cifar"), 1)
    np.testing.assert_array_equal(
        embed.encode_images(run, Images(clean, noisy)), embed.encode_images(run, Images(noisy))
    )


def test_a_network_without_an_encoder_is_refused():
    class Same(networks.Network):
        def forward(self, x):
            return x

    run = TrainedRun(Path("run"), Config(network="same"), Same(), {}, 1)
    with pytest.raises(UserError, match="the same network has no encoder"):
        embed.encode_images(run, Images(np.zeros((3, 8, 8, 1), np.uint8)))


def test_the_codes_are_of_the_split_and_the_checkpoint_that_are_named(tmp_path, monkeypatch, capsys):
    best = write_run(tmp_path / "run", "cifar", backend="xla")
    add_checkpoint(tmp_path / "run", "cifar", 4, seed=1, score=9.0)
    for split, count in (("train", 4), ("test", 3)):
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
            place = tmp_path / "images" / split / f"class {number % 2}" / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place)
    options = ["--data.name", f"folder:{tmp_path / 'images'}", "--split", "train", "--checkpoint", "best"]
    monkeypatch.setattr("sys.argv", ["embed", str(tmp_path / "run"), *options, "--out", str(tmp_path / "out")])
    embed.main()
    assert "4×28×28×8 float32, labels" in capsys.readouterr().out
    [figure] = (tmp_path / "out" / "figures").iterdir()
    stored = np.load(tmp_path / "out" / f"{figure.stem}.npz")
    assert sorted(stored["labels"]) == [0, 0, 1, 1]
    run = trained.load_run(tmp_path / "run", "best")
    images = trained.open_data(run, DataOverride(options[1])).load("train")
    assert tree_digest(run.params) == tree_digest(best)
    np.testing.assert_array_equal(stored["codes"], embed.encode_images(run, images))


def test_fewer_than_three_images_are_refused_in_one_line(tmp_path):
    write_run(tmp_path / "run", "mnist")
    for split, count in (("train", 3), ("test", 2)):
        (tmp_path / "images" / split).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (28, 28), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / split / f"{number}.png")
    line = refused(command("jaxae.embed", tmp_path / "run", "--data.name", f"folder:{tmp_path / 'images'}"))
    assert "at least 3 images" in line
    assert not (tmp_path / "run" / "figures").exists()
