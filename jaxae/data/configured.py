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


class RunImages(NamedTuple):
    """The images of a run.

    Attributes:
        train: NumPy arrays, or objects that are read by index.
        validation: the part of the training images to validate on, if any.
        test: NumPy arrays.
        streamed: whether the training images stay on the host.
    """

    train: Images
    validation: Images | None
    test: Images
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
def _load_shared(dataset: Dataset, _state: str, split: str) -> Images:
    """Load a split as read-only arrays, which later calls share."""
    images = dataset.load(split)
    for array in images:
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    return images


def load_configured(dataset: Dataset, config: DataConfig, placement: str, seed: int) -> RunImages:
    """Load the images of a run and split off the validation part; what the host's memory is too small for is opened.

    Args:
        dataset: see `open_configured`.
        config: the options.
        placement: "device", "stream", or "auto" for the device if the images fit.
        seed: draws the validation part.

    Raises:
        UserError: if they cannot be read, are no images, or are too few to validate on a part of them.
    """
    size = dataset.nbytes("train")
    streamed = placement == "stream" or (placement == "auto" and not fits_device(size))
    test = _load_shared(dataset, dataset.state(), "test")
    if streamed and not fits_host(size):
        train = dataset.records("train", config.limit)
    else:
        train = _load_shared(dataset, dataset.state(), "train").take(slice(config.limit))
        if streamed and train.clean.dtype != np.uint8:
            raise UserError(f"{dataset.name}: images of 16 bits are not streamed: use `placement` device")
    for images in (train, test):
        check_images(images, dataset.name)
    if config.validation is None:
        return RunImages(train, None, test, streamed)
    count = round(config.validation * train.count)
    if not 0 < count < train.count:
        raise UserError(
            f"`data.validation` {config.validation:g}: leaves {count} of {train.count} images to validate on"
        )
    order = np.random.default_rng(seed).permutation(train.count)
    validation, rest = (train.select(np.sort(part)) for part in (order[:count], order[count:]))
    return RunImages(rest, validation.load(), test, streamed)
