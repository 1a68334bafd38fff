"""How a data set that is missing is prepared, once and whole."""

import contextlib
import difflib
import errno
import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from jaxae.data import folder, official
from jaxae.data.layouts import Found
from jaxae.data.places import EMBEDDED, default_data_dir, find
from jaxae.errors import UserError
from jaxae.files import locked

RETRIES = 5  # of a request; with TFDS's own 10 it takes 200 s to see that the network is lost


def prepare(name: str, data_dir: Path | None = None, from_path: Path | None = None) -> Path:
    """Prepare the data set `name` in `data_dir`, by default `default_data_dir`, and return its directory.

    One that is prepared, in any of `data_dirs`, is left as it is.

    Official data is downloaded, or taken from the file or folder `from_path`, in any of the forms of
    `jaxae.data.layouts`; it is verified either way.
    UserError where the name is unknown, the files are missing, wrong or out of reach, or `data_dir` cannot be written.
    """
    asked, data_dir = data_dir, data_dir or default_data_dir()
    if name.startswith(folder.PREFIX):
        raise UserError(f"{name} needs no preparation: give it to --data.name as it is")
    if name in EMBEDDED and from_path is not None:
        raise UserError(f"data set {name} is made by this program: prepare it without --from")
    found = official.open_path(name, from_path) if name in official.BUILDERS and from_path is not None else None
    if directory := find(name, asked):
        return directory
    if name not in EMBEDDED and name not in official.BUILDERS:
        raise UserError(_why_not(name, data_dir))
    if name in official.BUILDERS and from_path is None and (trouble := official.unreachable(name)):
        raise UserError(
            f"data set {name} is not prepared in {data_dir} and {trouble}: connect to the network, or fetch its "
            f"official files and run `python -m jaxae.data prepare {name} --from PATH --data-dir {data_dir}`"
        )
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with _exclusive(data_dir / f".{name}.lock"):
            # Another process may have prepared it while this one waited.
            return find(name, data_dir) or _build(name, data_dir, found)
    except OSError as error:
        if error.errno is None:
            raise
        raise UserError(
            f"cannot prepare {name} in {data_dir}: {os.strerror(error.errno).lower()}; "
            "make room or rights there, or name another directory with --data-dir"
        ) from error


def _build(name: str, data_dir: Path, found: Found | Path | None) -> Path:
    import requests
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.util import DownloadError

    print(f"preparing data set {name} in {data_dir} (once)", file=sys.stderr)
    builder = _builder_class(name)(data_dir=str(data_dir), file_format="array_record")
    if isinstance(found, Found):
        builder.found = found
    final = Path(builder.data_dir)
    for unfinished in final.parent.glob(f"incomplete.*_{final.name}"):  # of a killed process: this one has the lock
        shutil.rmtree(unfinished)
    downloader.MAX_RETRIES = RETRIES
    config = tfds.download.DownloadConfig(manual_dir=found if isinstance(found, Path) else None, try_download_gcs=False)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces itself there
            builder.download_and_prepare(download_dir=str(data_dir / "downloads"), download_config=config)
    except NonMatchingChecksumError as error:
        raise UserError(f"a downloaded file of {name} is not the official one: {error}") from error
    except (requests.RequestException, DownloadError) as error:
        raise UserError(f"the download of {name} broke off ({error}); try again, or use --from PATH") from error
    except (RuntimeError, OSError) as error:  # ArrayRecord's writer loses the number, and TFDS has none for its own
        signs = (os.strerror(errno.ENOSPC), "Not enough disk space")
        if getattr(error, "errno", None) is not None or not any(sign in str(error) for sign in signs):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    return final


def _builder_class(name: str):
    if name in official.BUILDERS:
        return official.builder_class(name)
    from jaxae.data import embedded

    return embedded.builder_class(name)


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """One process at a time; the others wait and say so."""
    path.touch()
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(path))
        except BlockingIOError:
            print(f"another process prepares this data set: waiting for {path}", file=sys.stderr)
            held.enter_context(locked(path, wait=True))
        yield


def _why_not(name: str, data_dir: Path) -> str:
    import tensorflow_datasets as tfds

    base, _, config = name.partition("/")
    known = [*EMBEDDED, *official.BUILDERS]
    others = tfds.list_builders(with_community_datasets=False)
    if base in others:
        return (
            f"data set {name} is not prepared, and TFDS needs TensorFlow to prepare it: `pip install tensorflow`, then "
            f"`tfds build {name} --data_dir={data_dir} --file_format=array_record`"
        )
    close = difflib.get_close_matches(base, [*known, *others], n=1)
    meant = f"did you mean {close[0]}{'/' if config else ''}{config}?" if close else "`python -m jaxae.data list` helps"
    return f"there is no data set {name!r}; {meant}"
