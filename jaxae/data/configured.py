"""The data set and the images that the options of a run stand for."""

import functools
from typing import NamedTuple

import numpy as np

from jaxae.config import DataConfig, DataPlace
from jaxae.data.dataset import Dataset
from jaxae.data.dataset import open as open_dataset
from jaxae.data.images import Images, check_images
from jaxae.data.pictures.picture import parse_value_range
from jaxae.data.stream import fits_device, fits_host
from jaxae.errors import UserError


class TrainingData(NamedTuple):
    """The images to train on.

    Attributes:
        train: NumPy arrays, or objects that are read by index.
        validation: the part of the training images to validate on, if any.
        streamed: whether the training images stay on the host.
    """

    train: Images
    validation: Images | None
    streamed: bool


def open_configured(
    config: DataConfig,
    place: DataPlace,
    own: str,
    fallback: str,
    image_shape: tuple[int, int, int],
    resize: bool,
) -> tuple[Dataset, str | None]:
    """Open the data set of a run.

    Args:
        config: the options; the name "auto" stands for `own`.
        place: where prepared data sets are.
        own: the experiment's own data set.
        fallback: the embedded data set that takes its place if it cannot be had.
        image_shape: what images of any size are made to.
        resize: whether they may be resized.

    Returns:
        The data set, and the reason if it is the fallback.
    """
    value_range = parse_value_range(config.range)

    def open_named(name: str) -> Dataset:
        options = {"value_range": value_range, "resize": resize, "test_split": config.test_split}
        return open_dataset(name, place.dir, image_shape=image_shape, **options)

    if config.name != "auto":
        return open_named(config.name), None
    try:
        return open_named(own), None
    except UserError as error:
        return open_named(fallback), str(error)


@functools.lru_cache(maxsize=2)  # the members of a sweep share their images
def load_shared(dataset: Dataset, split: str) -> Images:
    """Load a split as read-only arrays, which later calls share."""
    images = check_images(dataset.load(split), dataset.name)
    for array in images:
        if array is not None:
            array.setflags(write=False)
    return images


def load_training(dataset: Dataset, config: DataConfig, placement: str, seed: int) -> TrainingData:
    """Load the training images, or open them if the host's memory is too small, and split off the validation part.

    Args:
        dataset: see `open_configured`.
        config: the options.
        placement: "device", "stream", or "auto" for the device if the images fit.
        seed: draws the validation part.
    """
    size = dataset.nbytes("train")
    streamed = placement == "stream" or (placement == "auto" and not fits_device(size))
    if streamed and not fits_host(size):
        images = check_images(dataset.records("train", config.limit), dataset.name)
    else:
        images = load_shared(dataset, "train").take(slice(config.limit))
        if streamed and images.clean.dtype != np.uint8:
            raise UserError(f"{dataset.name}: images of 16 bits are not streamed: use `placement` device")
    if config.validation is None:
        return TrainingData(images, None, streamed)
    count = round(config.validation * images.count)
    if not 0 < count < images.count:
        raise UserError(
            f"`data.validation` {config.validation:g}: leaves {count} of {images.count} images to validate on"
        )
    order = np.random.default_rng(seed).permutation(images.count)
    validation, train = (images.select(np.sort(part)) for part in (order[:count], order[count:]))
    return TrainingData(train, validation.load(), streamed)
