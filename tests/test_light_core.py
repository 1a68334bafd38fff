"""The core runs on any bare machine with an accelerator: it needs JAX, Flax, Optax, NumPy and jaxtyping alone."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = """
import importlib.abc, sys
import jax, flax.linen, optax, numpy, jaxtyping  # with whatever these need themselves

ALLOWED = {allowed!r}

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names and top not in sys.modules:
            raise ImportError(f"the core imports {{name}}")

sys.meta_path.insert(0, Block())
{body}
"""
ALLOWED = {"jax", "jaxlib", "flax", "optax", "numpy", "jaxtyping", "wadler_lindig", "jaxae", "benchmarks", "scipy"}


def run(body):
    program = PROGRAM.format(allowed=ALLOWED, body=body)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_it_trains_with_nothing_else():
    run(
        """
import numpy as np
from jaxae import metrics, networks, noise, training
task = training.Task(networks.build("mnist", "xla"), training.make_optimizer("plain", 1), 4)
hyper = training.hyperparameters(0, 1e-3, noise.parse("gaussian", 0.5))
images = training.place_images(np.zeros((4, 28, 28, 1), np.uint8))
for epoch in training.train_epochs(task, hyper, training.init(task, hyper, (28, 28, 1)), images, epochs=1):
    assert np.isfinite(epoch.loss)
from jaxae.training import distributed, parallel, ensemble, recipes
"""
    )


def test_benchmarks_load_with_nothing_else():
    run("from benchmarks import common, competitors, ensemble, roofline, scaling, throughput, tpu_compile")


def test_the_block_blocks():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(allowed=ALLOWED, body="import PIL")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the core imports PIL" in done.stderr
