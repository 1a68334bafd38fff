from pathlib import Path

import numpy as np
import pytest

from tests.tiny_data_set import write_tiny


@pytest.fixture
def offline(monkeypatch):
    """No official host answers, whatever network the machine has."""
    from jaxae.data import official

    monkeypatch.setattr(official, "unreachable", lambda name: "its host cannot be reached")


@pytest.fixture
def taken_for_official(monkeypatch):
    """`taken_for_official(name, folder)`: the checksums of the files in `folder` become the official ones of `name`."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import checksums

    def replace(name: str, folder: Path) -> None:
        urls = tfds.builder_cls(name).url_infos
        known = checksums.get_all_url_infos()
        found = {url: checksums.compute_url_info(folder / url.rsplit("/", 1)[1]) for url in urls}
        monkeypatch.setattr(checksums, "get_all_url_infos", lambda: known | found)

    return replace


@pytest.fixture(scope="session")
def tiny_data_set():
    """Writes a prepared TFDS data set of the caller's own: see `write_tiny`."""
    return write_tiny


@pytest.fixture(scope="session")
def grey_images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 5, 6, 1), np.uint8)
