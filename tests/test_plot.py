import numpy as np
import pytest

import jaxae
from jaxae import plot


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pictures_are_shown_in_a_column_with_their_psnr(dtype):
    white = 255 if dtype == np.uint8 else 1
    clean, noisy, restored = (np.full((2, 16, 20), level * white, dtype) for level in (0.4, 0.6, 0.4))
    figure = plot.compare_pictures(noisy, restored, clean)
    shown = [[axis.images[0].get_array()[0, 0] for axis in figure.axes[row : row + 2]] for row in (0, 2, 4)]
    np.testing.assert_allclose(shown, [[0.4] * 2, [0.6] * 2, [0.4] * 2], atol=1e-6)
    assert [axis.get_xlabel() for axis in figure.axes[2:4]] == ["14.0 dB"] * 2
    assert figure.axes[4].get_xlabel() == "100.0 dB"
    assert figure._repr_png_().startswith(b"\x89PNG")  # how a notebook shows it
    without = plot.compare_pictures(noisy, restored)
    assert [axis.get_ylabel() for axis in without.axes[::2]] == ["noisy", "restored"]
    assert not any(axis.get_xlabel() for axis in without.axes)


def test_what_a_package_offers_is_found_when_it_is_used():
    assert jaxae.plot is plot
    assert {"denoise", "load", "plot", "save", "train", "__version__"} <= set(dir(jaxae))
    with pytest.raises(AttributeError, match="module 'jaxae' has no attribute 'denois'"):
        _ = jaxae.denois
