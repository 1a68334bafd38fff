"""Preparation by download, from a server of the test's own in place of the official host."""

import functools
import gzip
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from jaxae.data import layouts, official, prepare
from jaxae.errors import UserError
from tests.data.loading import load
from tests.stress import official_layouts

# Never shut down: after an error TFDS goes on with its other downloads in threads that the interpreter waits for at its
# end, and without an answer each would try for three minutes.
SERVERS = []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def serve(monkeypatch):
    """`serve(folder)`: the official files of Fashion-MNIST, with the checksums known for them, come from `folder`."""
    from tensorflow_datasets.core.download import checksums
    from tensorflow_datasets.image_classification import FashionMNIST

    def start(folder, known=None):
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        SERVERS.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        monkeypatch.setattr(FashionMNIST, "URL", url)
        names = [name for name, _ in official.official_files("fashion_mnist").values()]
        found = {url + name: checksums.compute_url_info((known or folder) / name) for name in names}
        everything = checksums.get_all_url_infos() | found
        monkeypatch.setattr(official, "official_files", lambda _: {url + name: (name, "") for name in names})
        monkeypatch.setattr(checksums, "get_all_url_infos", lambda: everything)
        monkeypatch.setattr(official, "why_unreachable", lambda name: None)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    return start


@pytest.fixture
def files(tmp_path):
    """The folder of a small data set in the format of Fashion-MNIST."""
    random = np.random.default_rng(0)

    def split(count):
        labels = random.integers(0, 10, (count, 1), np.uint8)
        return layouts.LabeledImages(random.integers(0, 256, (count, 28, 28, 1), np.uint8), labels)

    made = official_layouts.idx_files({"train": split(6), "test": split(4)})
    packed = {f"{name}.gz": gzip.compress(content) for name, content in made.items()}
    return official_layouts.write(tmp_path / "files", packed)


def test_a_download_gives_the_same_as_a_folder(tmp_path, files, serve, capsys):
    serve(files)
    assert prepare("fashion_mnist", tmp_path).parent == tmp_path / "fashion_mnist"
    images = load("fashion_mnist", "test", tmp_path)
    expected = layouts.read_idx((files / "t10k-images-idx3-ubyte.gz").read_bytes(), "images")
    assert {image.tobytes() for image in images} == {image.tobytes() for image in expected}
    assert capsys.readouterr().out == ""  # a command's standard output stays its own


def test_a_download_that_is_not_the_official_file(tmp_path, files, serve):
    wrong = official_layouts.write(tmp_path / "wrong", {file.name: b"wrong" for file in files.iterdir()})
    serve(wrong, known=files)
    with pytest.raises(UserError, match=r"downloaded file of fashion_mnist is not the official one"):
        prepare("fashion_mnist", tmp_path / "data")
    assert not list((tmp_path / "data").glob("fashion_mnist/*"))


def test_a_download_that_breaks_off(tmp_path, files, serve, monkeypatch):
    import requests

    serve(files)

    def broken(*args, **kwargs):
        raise requests.ConnectionError("connection reset")

    monkeypatch.setattr(requests.Session, "get", broken)
    with pytest.raises(UserError, match=r"download of fashion_mnist broke off"):
        prepare("fashion_mnist", tmp_path)


def test_a_server_that_lacks_the_file(tmp_path, files, serve):
    (tmp_path / "empty").mkdir()
    serve(tmp_path / "empty", known=files)
    with pytest.raises(UserError, match=r"download of fashion_mnist broke off .*404"):
        prepare("fashion_mnist", tmp_path / "data")
