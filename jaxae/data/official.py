"""Official data sets that are prepared without TensorFlow: their files, found, verified or out of reach."""

import warnings
from pathlib import Path
from typing import Any

from jaxae.data import layouts
from jaxae.errors import UserError

OFFICIAL = ("mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100")
PROBE_SECONDS = 3.0
# `layouts.content_digest` of the splits train and test, of the official files and of what TFDS prepares from them
CONTENT = {
    "mnist": (
        "54e1ab866c9484947dd4821c52bb7a43938f555d6b046be6af55247f8e6ffc64",
        "97b756d55950f1841ebd48df7379b9b2fc87a10d63e08d6213dad41d564e8508",
    ),
    "cifar10": (
        "6a3b2c04d0a79ce272dcdacaf0bc440275db5a8cbe3717521a28fada2ea0d2ed",
        "65a6ffe079453e514083f99356b35e02cbfd581b4951e3937fae188974b79f39",
    ),
}


def official_files(name: str) -> dict[str, tuple[str, str]]:
    """The official files of `name`: `{url: (file name, SHA-256 in hex)}`, as TFDS records them."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import checksums

    recorded: Any = checksums.get_all_url_infos()
    urls: Any = tfds.builder_cls(name).url_infos
    return {url: (recorded[url].filename, recorded[url].checksum) for url in urls}


def find_official(name: str, path: Path) -> layouts.OfficialData:
    """Find an official data set in a file, or in a folder and those in it.

    Its `CONTENT` verifies it. A data set without one is taken as it is, and a warning says so.

    Raises:
        UserError: There is no such data set, it is not the official one, or there are several.
    """
    if not path.exists():
        raise UserError(f"there is no {path}: name the official files of {name}, or a folder that they are in")
    found = {}  # by content: the same data may be there twice
    for each in layouts.find_layouts(name, path):
        found.setdefault(tuple(layouts.content_digest(each.splits[split]) for split in layouts.SPLITS), each)
    fetch = f"fetch {' and '.join(official_files(name))}"
    if not found:
        known = "in a form that is known: name the folder of all its files (see docs/official.md)"
        raise UserError(f"{path} holds no {name} {known}, or {fetch}")
    if name in CONTENT:
        if CONTENT[name] not in found:
            digests = " and ".join(next(iter(found)))
            raise UserError(f"{path} does not hold the official {name} (SHA-256 of its content: {digests}); {fetch}")
        return found[CONTENT[name]]
    others = [each for digests, each in found.items() if digests not in CONTENT.values()]
    if len(others) != 1:
        raise UserError(f"{path} holds {len(others)} data sets that may be {name}: name the folder of its files alone")
    known = " and ".join(CONTENT)
    warnings.warn(f"{others[0].where} is taken for {name} as it is: only {known} can be verified", stacklevel=2)
    return others[0]


def why_unreachable(name: str) -> str | None:
    """Why the official host of `name` cannot be reached, or None if it answers within `PROBE_SECONDS`.

    TFDS itself would retry for minutes. The request is made with the client that TFDS downloads with, so that the same
    proxies and certificates apply.
    """
    import requests

    url = next(iter(official_files(name)))
    host = url.split("/")[2]
    try:
        status = requests.head(url, timeout=PROBE_SECONDS, allow_redirects=True).status_code
    except requests.RequestException:
        return f"{host} cannot be reached"
    return None if status < 400 else f"{host} answered with HTTP status {status}"
