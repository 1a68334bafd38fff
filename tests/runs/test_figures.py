import jax.numpy as jnp
import numpy as np
import pytest

from jaxae.runs import figures


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
