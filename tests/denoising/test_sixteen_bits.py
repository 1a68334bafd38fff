"""Noisy pictures of 16 bits alone, from training to output, without an option that names their range."""

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from jaxae.config import Config, DataConfig, Launch, NoiseConfig, TrainConfig
from jaxae.denoising import __main__ as denoising
from jaxae.experiments import cifar10_denoise, running

NAMES = "astronaut", "coffee", "chelsea", "rocket"
SIDE = 160


def clean_pictures() -> list[np.ndarray]:
    """Eight gray pictures, values from 0 to 1."""
    pictures = []
    for name in NAMES:
        whole = np.asarray(Image.fromarray(getattr(skimage.data, name)()[..., :3]).convert("L")) / 255
        pictures += [whole[60 : 60 + SIDE, left : left + SIDE] for left in (0, whole.shape[1] - SIDE)]
    return pictures


def mean_psnr(place, low, high, dtype) -> tuple[float, float]:
    """The PSNR of eight noisy pictures whose values go about from `low` to `high`, and of their outputs."""
    random, psnr = np.random.default_rng(0), {"noisy": [], "out": []}
    (place / "noisy").mkdir(parents=True)
    pictures = {}
    for number, values in enumerate(clean_pictures()):
        clean = low + (high - low) * (0.1 + 0.8 * values)
        noisy = np.clip(np.rint(random.normal(clean, 0.07 * (high - low))), 0, 65535)
        least, step = (noisy.min(), np.ptp(noisy) / 255) if dtype == np.uint8 else (0, 1)
        tifffile.imwrite(place / "noisy" / f"{number}.tif", np.rint((noisy - least) / step).astype(dtype))
        pictures[number] = clean, least, step
    train = TrainConfig(epochs=8, target="self")
    config = Config(DataConfig(f"folder:{place / 'noisy'}"), NoiseConfig("none"), train, "fast")
    running.run_config(cifar10_denoise.EXPERIMENT, config, Launch(run_dir=place / "run", devices=1))
    denoising.denoise_files(denoising.Arguments(place / "run", (place / "noisy",), place / "out"))
    for number, (clean, least, step) in pictures.items():
        for folder, values in psnr.items():
            written = least + step * tifffile.imread(place / folder / f"{number}.tif").astype(float)
            values.append(peak_signal_noise_ratio(clean, written, data_range=high - low))
    return np.mean(psnr["noisy"]), np.mean(psnr["out"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*its lowest value is taken for black")
def test_noisy_pictures_of_sixteen_bits_come_back_better_and_as_those_of_eight(tmp_path):
    _, of_eight = mean_psnr(tmp_path / "eight", 100, 3500, np.uint8)
    given, restored = mean_psnr(tmp_path / "sixteen", 100, 3500, np.uint16)
    assert restored > given + 3
    assert restored == pytest.approx(of_eight, abs=0.3)
    given, restored = mean_psnr(tmp_path / "other", 300, 9000, np.uint16)
    assert restored > given + 3
