"""A prepared TFDS data set of a test's own."""

from pathlib import Path


def write_tiny(
    data_dir: Path, features: dict, splits: dict[str, list[dict]], name: str = "tiny", file_format: str = "array_record"
) -> Path:
    """Write the data set `name` with the examples of each of `splits`; its directory."""
    import tensorflow_datasets as tfds

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
