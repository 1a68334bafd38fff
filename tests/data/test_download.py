"""Preparation by download, from a server of the test's own in place of the official host."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from jaxae.data import idx, layouts, load, official, prepare
from jaxae.errors import UserError

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

    def start(folder, known=None):
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        SERVERS.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        monkeypatch.setattr(idx.FashionMnist, "URL", url)
        found = {url + file.name: checksums.compute_url_info(known / file.name) for file in folder.iterdir()}
        everything = checksums.get_all_url_infos() | found
        monkeypatch.setattr(checksums, "get_all_url_infos", lambda: everything)
        monkeypatch.setattr(official, "unreachable", lambda name: None)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    return start


def test_a_download_gives_the_same_as_a_folder(tmp_path, real_data, serve, capsys):
    serve(real_data / "mnist", known=real_data / "mnist")
    assert prepare("fashion_mnist", tmp_path).parent == tmp_path / "fashion_mnist"
    images = load("fashion_mnist", "test", tmp_path)
    expected = layouts.read_idx((real_data / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes(), "images")
    assert {image.tobytes() for image in images} == {image.tobytes() for image in expected}
    assert capsys.readouterr().out == ""  # a command's standard output stays its own


def test_a_download_that_is_not_the_official_file(tmp_path, real_data, serve):
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for file in (real_data / "mnist").iterdir():
        (wrong / file.name).write_bytes(np.random.default_rng(0).bytes(100))
    serve(wrong, known=real_data / "mnist")
    with pytest.raises(UserError, match=r"downloaded file of fashion_mnist is not the official one"):
        prepare("fashion_mnist", tmp_path / "data")
    assert not list((tmp_path / "data").glob("fashion_mnist/*"))


def test_a_download_that_breaks_off(tmp_path, real_data, serve, monkeypatch):
    import requests

    serve(real_data / "mnist", known=real_data / "mnist")

    def broken(*args, **kwargs):
        raise requests.ConnectionError("connection reset")

    monkeypatch.setattr(requests.Session, "get", broken)
    with pytest.raises(UserError, match=r"download of fashion_mnist broke off"):
        prepare("fashion_mnist", tmp_path)


def test_a_server_that_lacks_the_file(tmp_path, real_data, serve):
    (tmp_path / "empty").mkdir()
    serve(tmp_path / "empty")
    with pytest.raises(UserError, match=r"download of fashion_mnist broke off .*404"):
        prepare("fashion_mnist", tmp_path / "data")
