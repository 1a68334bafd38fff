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


def mean_psnr(place, low, high, write, read) -> tuple[float, float]:
    """The PSNR of eight noisy pictures whose values go about from `low` to `high`, and of their outputs."""
    random, clean = np.random.default_rng(0), []
    (place / "noisy").mkdir(parents=True)
    for number, values in enumerate(clean_pictures()):
        clean.append(low + (high - low) * (0.1 + 0.8 * values))
        write(place / "noisy" / str(number), np.rint(random.normal(clean[-1], 0.07 * (high - low))))
    config = Config(
        DataConfig(f"folder:{place / 'noisy'}"), NoiseConfig("none"), TrainConfig(epochs=40, target="self"), "fast"
    )
    with pytest.warns(UserWarning, match="lowest value") if write is as_tiff else np.errstate():
        running.run(cifar10_denoise.EXPERIMENT, config, Launch(run_dir=place / "run", devices=1))
        denoising.denoise_files(denoising.Arguments(place / "run", (place / "noisy",), place / "out"))
    return tuple(
        np.mean([
            peak_signal_noise_ratio(values, read(place / folder / str(number)), data_range=high - low)
            for number, values in enumerate(clean)
        ])
        for folder in ("noisy", "out")
    )  # fmt: skip


def as_tiff(path, values) -> None:
    tifffile.imwrite(path.with_suffix(".tif"), np.clip(values, 0, 65535).astype(np.uint16))


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high"), [(300, 9000), (100, 3500)])
def test_noisy_pictures_of_sixteen_bits_come_back_better_and_as_those_of_eight(tmp_path, low, high):
    ends = {}

    def as_png(path, values) -> None:
        ends[path.name] = values.min(), np.ptp(values)
        Image.fromarray(np.uint8(np.rint((values - values.min()) / np.ptp(values) * 255))).save(
            path.with_suffix(".png")
        )

    def read_png(path):
        least, span = ends[path.name]
        return least + np.asarray(Image.open(path.with_suffix(".png"))) / 255 * span

    given, restored = mean_psnr(
        tmp_path / "deep", low, high, as_tiff, lambda path: tifffile.imread(path.with_suffix(".tif")).astype(float)
    )
    assert restored > given + 3
    *_, of_eight = mean_psnr(tmp_path / "eight", low, high, as_png, read_png)
    assert restored == pytest.approx(of_eight, abs=0.3)
