"""Official data sets that are prepared without TensorFlow: their files, found, verified or out of reach."""

import hashlib
import threading
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

    Its `CONTENT` or the checksums of its files verify it. If neither is possible, a warning says so.

    Raises:
        UserError: There is no such data set, or it is not the official one.
    """
    if not path.exists():
        raise UserError(f"there is no {path}: name the official files of {name}, or a folder that they are in")
    found = {}  # by content: the same data may be there twice
    for each in layouts.find_layouts(name, path):
        found.setdefault(tuple(layouts.content_digest(each.splits[split]) for split in layouts.SPLITS), each)
    official = {digests: other for other, digests in CONTENT.items()}
    for digests, each in found.items():
        if official.get(digests) == name or _is_original(name, each.where):
            return each
    fetch = f"fetch {' and '.join(official_files(name))}"
    if not found:
        known = "in a form that is known: name the folder of all its files (see docs/official.md)"
        raise UserError(f"{path} holds no {name} {known}, or {fetch}")
    others = [each for digests, each in found.items() if digests not in official]
    if not others or name in CONTENT:
        digests, each = next(iter(found.items()))
        what = f"is {official[digests]}" if digests in official else f"does not hold the official {name}"
        raise UserError(f"{each.where} {what} (SHA-256 of its content: {' and '.join(digests)}); {fetch}")
    called = name.replace("_", "")
    chosen, *more = [each for each in others if called in str(each.where).lower().split("/")] or others
    if more:
        raise UserError(f"{chosen.where} and {more[0].where} may both be {name}: name the one that is meant")
    known = " and ".join(CONTENT)
    warnings.warn(f"{chosen.where} is taken for {name} as it is: only {known} can be verified", stacklevel=2)
    return chosen


def _is_original(name: str, where: Path) -> bool:
    """Whether `where` is the official file of `name`, or the folder of all of them, by the recorded checksums."""
    for file_name, expected in official_files(name).values():
        file = where / file_name if where.is_dir() else where
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            return False
    return True


def why_unreachable(name: str) -> str | None:
    """Why the official host of `name` cannot be reached, or None if it answers within `PROBE_SECONDS`.

    TFDS itself would retry for minutes. The request is made with the client that TFDS downloads with, so that the same
    proxies and certificates apply, and in a thread, because a name look-up has no time limit of its own.
    """
    import requests

    url = next(iter(official_files(name)))
    host = url.split("/")[2]
    outcome: list[str | None] = [f"{host} did not answer within {PROBE_SECONDS:.0f} s"]

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
