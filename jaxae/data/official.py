"""Official data sets that are prepared here without TensorFlow: where they come from and whether they can be had."""

import hashlib
import importlib
import threading
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxae.errors import UserError

BUILDERS = {
    "mnist": "jaxae.data.idx:Mnist",
    "fashion_mnist": "jaxae.data.idx:FashionMnist",
    "kmnist": "jaxae.data.idx:Kmnist",
    "cifar10": "jaxae.data.cifar:Cifar10",
    "cifar100": "jaxae.data.cifar:Cifar100",
}
PROBE_SECONDS = 3.0


def builder_class(name: str):
    """The TFDS builder class for the official data set `name`, one of `BUILDERS`."""
    module, attribute = BUILDERS[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def files(name: str) -> dict[str, tuple[str, str]]:
    """The official files of `name`: `{url: (file name, SHA-256 in hex)}`, as TFDS records them."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import checksums

    recorded = checksums.get_all_url_infos()
    return {url: (recorded[url].filename, recorded[url].checksum) for url in tfds.builder_cls(name).url_infos}


def png(image: UInt8[np.ndarray, "height width *channels"]) -> bytes:
    """The image, grey or RGB, as PNG: what TFDS uses TensorFlow for."""
    import cv2

    return cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()


def check_folder(name: str, folder: Path) -> None:
    """UserError unless `folder` holds every official file of `name` with the recorded checksum."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; --from names the folder with the official files of {name}")
    for url, (file_name, expected) in files(name).items():
        path = folder / file_name
        if not path.is_file():
            raise UserError(f"{path} is missing; fetch it from {url}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise UserError(
                f"{path} has the wrong checksum: SHA-256 {found}, expected {expected}; fetch it again from {url}"
            )


def unreachable(name: str) -> str | None:
    """Why the official host of `name` cannot be reached right now, or None where it answers; at most 3 seconds.

    TFDS itself would retry for more than three minutes. The request is made with the client that TFDS downloads with,
    so proxies and certificates count alike, and in a thread, because a name look-up has no time limit of its own.
    """
    import requests

    url = next(iter(files(name)))
    host = url.split("/")[2]
    outcome = [f"{host} did not answer within {PROBE_SECONDS:.0f} s"]

    def ask() -> None:
        try:
            status = requests.head(url, timeout=PROBE_SECONDS, allow_redirects=True).status_code
            outcome[0] = None if status < 400 else f"{host} answered with HTTP status {status}"
        except requests.RequestException:
            outcome[0] = f"{host} cannot be reached"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return outcome[0]
