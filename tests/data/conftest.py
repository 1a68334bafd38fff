from pathlib import Path

import numpy as np
import pytest


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
    """Writes a prepared TFDS data set of the caller's own: `tiny_data_set(data_dir, features, {split: examples})`."""
    import tensorflow_datasets as tfds

    def write(data_dir: Path, features: dict, splits: dict[str, list[dict]], name="tiny", file_format="array_record"):
        with tfds.core.registered.skip_registration():

            class Tiny(tfds.core.GeneratorBasedBuilder):
                VERSION = tfds.core.Version("1.0.0")

                def _info(self):
                    return tfds.core.DatasetInfo(
                        builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
                    )

                def _split_generators(self, dl_manager):
                    return {split: self._generate_examples(examples) for split, examples in splits.items()}

                def _generate_examples(self, examples):
                    yield from enumerate(examples)

        Tiny.name = name
        builder = Tiny(data_dir=str(data_dir), file_format=file_format)
        builder.download_and_prepare()
        return Path(builder.data_dir)

    return write


@pytest.fixture(scope="session")
def grey_images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 5, 6, 1), np.uint8)
