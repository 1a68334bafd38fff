"""Preparing a data set that is missing, once and completely."""

import contextlib
import difflib
import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxae.data import official
from jaxae.data.dataset import find_source
from jaxae.data.layouts import OfficialData
from jaxae.data.places import EMBEDDED, default_data_dir, find_prepared
from jaxae.errors import UserError
from jaxae.files import locked

RETRIES = 5  # of a request; TFDS's own 10 take minutes to notice that the network is lost


def prepare(name: str, data_dir: Path | None = None, from_path: Path | None = None) -> Path:
    """Prepare a data set, unless it is prepared, and return its directory.

    Args:
        name: The data set.
        data_dir: Where it is prepared, by default `default_data_dir`.
        from_path: The official files, or a folder that holds them, in any of the forms of `jaxae.data.layouts`. By
            default they are downloaded. They are verified either way.

    Raises:
        UserError: The name is unknown, the files are missing, wrong or out of reach, or `data_dir` cannot be written.
    """
    place, is_official, found = data_dir or default_data_dir(), name in official.OFFICIAL, None
    if find_source(name).prefix:
        raise UserError(f"{name} needs no preparation: give it to `data.name` as it is")
    if name in EMBEDDED and from_path is not None:
        raise UserError(f"data set {name} is made by this program: it takes no official files")
    if is_official and from_path is not None:
        found = official.find_official(name, from_path)
    if directory := find_prepared(name, data_dir):
        return directory
    if not is_official and name not in EMBEDDED:
        raise UserError(_why_not(name, place))
    if is_official and found is None and (trouble := official.why_unreachable(name)):
        by_hand = f"`python -m jaxae.data prepare {name} --from PATH --data-dir {place}`"
        missing = f"data set {name} is not prepared in {place} and {trouble}"
        raise UserError(f"{missing}: connect to the network, or fetch its official files and run {by_hand}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _exclusive(place / f".{name}.lock"):
            # Another process may have prepared it while this one waited.
            return find_prepared(name, place) or _build(name, place, found)
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "No space left on device" not in str(error):  # how ArrayRecord says it
            raise
        raise UserError(f"cannot prepare {name} in {place}: {error}; name another directory") from error


def _build(name: str, data_dir: Path, found: OfficialData | None) -> Path:
    import requests
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.util import DownloadError

    from jaxae.data import builders

    print(f"preparing data set {name} in {data_dir} (once)", file=sys.stderr)
    builder: Any = builders.find_builder(name)(data_dir=str(data_dir), file_format="array_record")
    builder.found = found
    final = Path(builder.data_dir)
    for unfinished in final.parent.glob(f"incomplete.*_{final.name}"):  # of a killed process: this one has the lock
        shutil.rmtree(unfinished)
    downloader.MAX_RETRIES = RETRIES
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces itself there
            builder.download_and_prepare(download_dir=str(data_dir / "downloads"), download_config=config)
    except NonMatchingChecksumError as error:
        raise UserError(f"a downloaded file of {name} is not the official one: {error}") from error
    except (requests.RequestException, DownloadError) as error:
        raise UserError(f"the download of {name} broke off ({error}); try again, or fetch its files") from error
    return final


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold the lock `path`; a process that has to wait for it says so."""
    path.touch()
    try:
        with locked(path):
            pass
    except BlockingIOError:
        print(f"another process prepares this data set: waiting for {path}", file=sys.stderr)
    with locked(path, wait=True):
        yield


def _why_not(name: str, data_dir: Path) -> str:
    base, slash, config = name.partition("/")
    close = difflib.get_close_matches(base, [*EMBEDDED, *official.OFFICIAL], n=1)
    meant = f" (did you mean {close[0]}{slash}{config}?)" if close else ""
    build = f"`pip install tensorflow`, then `tfds build {name} --data_dir={data_dir} --file_format=array_record`"
    return f"there is no data set {name!r} in {data_dir}{meant}; TensorFlow prepares those of TFDS: {build}"
