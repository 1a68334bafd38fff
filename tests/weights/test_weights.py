"""The weights that ship are those of their cards, and reach what the cards say."""

import hashlib
import re

import jax
import numpy as np
import pytest

import jaxae
from jaxae.runs.trained import SHIPPED
from tests.weights.measuring import measure_row

NAMES = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def test_there_are_weights_for_photographs_and_for_digits():
    assert {"ready", "ready-digits"} <= set(NAMES)
    assert {path.stem for path in SHIPPED.glob("*.md")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_tells_of_its_file(name):
    card, model = (SHIPPED / f"{name}.md").read_text(), jaxae.load(name)
    assert hashlib.sha256((SHIPPED / f"{name}.safetensors").read_bytes()).hexdigest() in card
    assert f"`{model.config.network}`" in card
    assert f"{sum(leaf.size for leaf in jax.tree.leaves(model.params)):,} parameters" in card
    assert str(model.config.noise.factor) in card
    assert "icence" in card
    assert re.search(rf"python -m jaxae\.weights \S+ jaxae/weights/{name}\.safetensors", card)


@pytest.mark.parametrize("name", NAMES)
def test_weights_reach_what_their_card_says(name):
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", (SHIPPED / f"{name}.md").read_text(), re.M)
    assert rows
    for picture, sigma, *recorded in rows:
        measured = measure_row(name, picture, float(sigma)).strip("| ").split(" | ")[2:]
        np.testing.assert_allclose(np.float64(measured), np.float64(recorded), atol=0.02, err_msg=picture)
        assert float(measured[1]) > float(measured[0])
