import numpy as np
from PIL import Image

from benchmarks import quality_figure

CLASSICAL = {"rows": {name: {"psnr": psnr} for name, psnr in (("median", 14.4), ("wavelet", 15.9), ("network", 20.8))}}


def test_the_best_methods_come_first_and_the_network_is_none():
    assert quality_figure.best(CLASSICAL, 1) == [("wavelet", 15.9)]
    assert quality_figure.best(CLASSICAL, 5) == [("wavelet", 15.9), ("median", 14.4)]


def test_names_of_lines_that_lie_close_are_joined():
    lines = [("a", 26.0), ("b", 25.4), ("c", 25.3)]
    assert quality_figure.joined(lines, 0.2) == [("a", 26.0), ("b, c", 25.4)]


def test_curves_and_lines_are_drawn(tmp_path):
    curve = [{"seconds": 5.0, "psnr": 18.0}, {"seconds": 9.0, "psnr": 20.0}]
    programs = ("PyTorch original", "jaxae plain, first start", "jaxae fast, second start", "jaxae fast, 1 epoch, …")
    record = {"rows": [{"program": name, "curve": curve} for name in programs], "machine": {"processor": "some"}}
    quality_figure.draw(record, CLASSICAL, 2, tmp_path / "figure.png")
    pixels = np.asarray(Image.open(tmp_path / "figure.png").convert("RGB")).astype(int)
    assert pixels.shape == (540, 1080, 3)
    for colour in [(214, 39, 40), (31, 119, 180), (44, 160, 44), (127, 127, 127)]:
        assert (np.abs(pixels - colour).max(-1) < 8).any(), colour
