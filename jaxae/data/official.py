"""Official data sets that are prepared here without TensorFlow: where they come from and whether they can be had."""

import hashlib
import importlib
import threading
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxae.data import layouts
from jaxae.errors import UserError

BUILDERS = {
    "mnist": "jaxae.data.idx:Mnist",
    "fashion_mnist": "jaxae.data.idx:FashionMnist",
    "kmnist": "jaxae.data.idx:Kmnist",
    "cifar10": "jaxae.data.cifar:Cifar10",
    "cifar100": "jaxae.data.cifar:Cifar100",
}
PROBE_SECONDS = 3.0
# `layouts.content` of each split, of the official files and of what TFDS prepares of them
CONTENT = {
    "mnist": {
        "train": "54e1ab866c9484947dd4821c52bb7a43938f555d6b046be6af55247f8e6ffc64",
        "test": "97b756d55950f1841ebd48df7379b9b2fc87a10d63e08d6213dad41d564e8508",
    },
    "cifar10": {
        "train": "6a3b2c04d0a79ce272dcdacaf0bc440275db5a8cbe3717521a28fada2ea0d2ed",
        "test": "65a6ffe079453e514083f99356b35e02cbfd581b4951e3937fae188974b79f39",
    },
}


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


def open_path(name: str, path: Path) -> layouts.Found | Path:
    """The official data set `name` in the folder or the file `path`, in whatever form; of official files their folder.

    Raises UserError where there is none there, or one that holds something else. Of a data set whose `CONTENT` is not
    known a warning says that it was taken as it is.
    """
    if not path.exists():
        raise UserError(f"there is no {path}; --from names the official files of {name}, or a folder that they are in")
    for folder in [path.parent] if path.is_file() else layouts.folders(path):
        if _are_original(name, folder) and (path.is_dir() or len(files(name)) == 1):
            return folder
    found = {}  # by what they hold: the same may lie there twice
    for each in layouts.find(name, path):
        found.setdefault(tuple(layouts.content(each.splits[split]) for split in ("train", "test")), each)
    if not found and path.is_file() and len(files(name)) > 1 and "ubyte" in path.name:
        raise UserError(f"{path} is one of the {len(files(name))} files of {name}: name the folder that they are in")
    if not found:
        urls = " and ".join(files(name))
        raise UserError(f"{path} holds no {name} in a form that is known (see docs/official.md); fetch {urls}")
    official = {tuple(digests.values()): other for other, digests in CONTENT.items()}
    for digests, each in found.items():
        if official.get(digests) == name:
            return each
    others = {digests: each for digests, each in found.items() if digests not in official}
    if not others or name in CONTENT:
        digests, each = next(iter((others or found).items()))
        what = f"is {official[digests]}" if digests in official else f"does not hold the official {name}"
        said = ", ".join(f"{split} {digest}" for split, digest in zip(("train", "test"), digests, strict=True))
        raise UserError(f"{each.where} {what} (SHA-256 of its content: {said}); fetch {' and '.join(files(name))}")
    return _only_one(name, list(others.values()))


def _only_one(name: str, found: list[layouts.Found]) -> layouts.Found:
    """The one of `found` that is `name`, as far as their folders' names tell."""
    called = name.replace("_", "")
    named = [each for each in found if called in (part.lower() for part in each.where.parts)]
    if len(named or found) > 1:
        raise UserError(f"{found[0].where} and {found[1].where} may both be {name}: name the one that is meant")
    chosen = (named or found)[0]
    warnings.warn(
        f"{chosen.where} is taken for {name} as it is: which images it must hold is not known here, as it is of "
        f"{' and '.join(CONTENT)}",
        stacklevel=3,
    )
    return chosen


def _are_original(name: str, folder: Path) -> bool:
    """Whether `folder` holds every official file of `name` with the recorded checksum."""
    for file_name, expected in files(name).values():
        if not (folder / file_name).is_file():
            return False
        with (folder / file_name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                return False
    return True


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
