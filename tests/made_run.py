"""A run for reports, made without training, and a reader of pages."""

from html.parser import HTMLParser

import numpy as np

from jaxae import networks, noise
from jaxae.config import Config, DataConfig, NoiseConfig, TrainConfig
from jaxae.data import Images
from jaxae.report import Run
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.runs.scores import Scores
from tests.small_run import random_params

EVIL = "<img src=x onerror=alert(1)>&amp;'\""


class Page(HTMLParser):
    """The texts, tags and attributes of a page as a browser reads them."""

    def __init__(self, content: bytes):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def made(name="run", kind="gaussian", shape=(28, 28, 1), count=40, epochs=3, **changes) -> Run:
    """A run that was never trained, on random pixels, which no PNG makes smaller."""
    network = "mnist" if shape[2] == 1 else "cifar"
    model, params = networks.build(network, "xla"), random_params(network)
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    added = noise.parse(kind)
    measured = {"mse": 0.0123, "psnr": 19.1, "ssim": 0.75}
    noisy = {f"noisy_{name}": value / 2 for name, value in measured.items()} if added.kinds else {}
    summary = {
        "experiment": "mnist_denoise",
        "test": measured | noisy,
        "data": {"name": "mnist", "reason": None, "train_size": 100, "test_size": count},
        "noise": noise.describe(added),
        "epochs": epochs,
        "throughput": {"images_per_second": 1234.0, "compile_seconds": 1.0},
        "device": {"platform": "cpu", "kind": "cpu", "count": 1},
        "versions": {"jax": "0"},
        "command": "python -m jaxae.experiments.mnist_denoise",
    } | changes
    history = [{"epoch": n + 1, "train_loss": 0.1 / (n + 1), "mse": 0.05, "psnr": 10.0 + n} for n in range(epochs)]
    psnr = np.random.default_rng(1).uniform(5, 30, count).astype(np.float32)
    scores = Scores({"mse": 0.1 ** (psnr / 10), "psnr": psnr, "ssim": psnr / 30})
    config = Config(
        DataConfig(name="mnist"), NoiseConfig(kind=kind), TrainConfig(epochs=epochs), recipe="plain", network=network
    )
    return Run(name, config, summary, history, model, params, EvaluationSet("mnist", Images(images), added), scores)
