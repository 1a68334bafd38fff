"""One object is a data set, wherever its images come from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import data
from jaxae.data import Images, check_images, dataset
from jaxae.errors import UserError
from tests.data.photographs import photograph

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 1), np.uint8)


def test_a_comma_belongs_to_the_path_of_a_folder(tmp_path):
    (tmp_path / "a,b").mkdir()
    for number in range(2):
        photograph(number, 40, 40).save(tmp_path / "a,b" / f"{number}.png")
    dataset = data.open(f"folder:{tmp_path}/x/../a,b")
    assert dataset.name == f"folder:{tmp_path}/a,b"
    assert dataset.load("train").count == 1


@pytest.fixture
def npz(tmp_path, monkeypatch):
    """A source of a third party, written with public names alone, and a file of it."""
    monkeypatch.setitem(dataset.SOURCES, "npz", None)  # undone afterwards

    @data.source("npz")
    class Npz(data.Dataset):
        def __init__(self, path: str, options: data.Options):
            self.arrays = np.load(path)

        def load(self, split: str) -> data.Images:
            return data.Images(self.arrays[split])

    np.savez(tmp_path / "images.npz", train=PIXELS, test=PIXELS[:2])
    monkeypatch.chdir(tmp_path)
    return data.open("npz:images.npz")


def test_a_source_of_a_third_party_needs_to_load_alone(npz, tmp_path):
    assert npz.name == f"npz:{tmp_path / 'images.npz'}"
    np.testing.assert_array_equal(npz.load("test").clean, PIXELS[:2])
    np.testing.assert_array_equal(npz.records("train", limit=3).clean, PIXELS[:3])
    assert npz.nbytes("train") == PIXELS.nbytes
    assert npz.load_labels("train") is None
    assert (npz.has_pairs, npz.is_local_files, npz.description) == (False, True, None)


def test_a_data_set_opened_twice_alike_is_the_same(npz):
    again, other = data.open(npz.name), data.open(npz.name, resize=False)
    assert len({npz, again, other}) == 2
    assert npz == again != other


def test_an_unknown_prefix_is_refused_with_those_known(npz):
    assert data.find_source("pairs:a,b").has_pairs
    with pytest.raises(
        UserError, match=r"is no data set's name: .* csv:PATH, folder:PATH, npz:PATH, pairs:PATH, parquet:PATH$"
    ):
        data.open("zip:a")


def test_paths_are_recorded_absolute(tmp_path, monkeypatch):
    for number in range(2):
        for folder in ("a, b", "noisy", "clean"):
            (tmp_path / folder).mkdir(exist_ok=True)
            photograph(number, 40, 40).save(tmp_path / folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.open("folder:a, b").name == f"folder:{tmp_path}/a, b"
    assert data.open("pairs:~/noisy,clean").name == f"pairs:{tmp_path}/noisy,{tmp_path}/clean"


def test_images_are_a_pytree_and_are_taken_together():
    pairs = data.Images(PIXELS, 255 - PIXELS)
    assert (pairs.count, pairs.shape, pairs.nbytes) == (6, PIXELS.shape, 2 * PIXELS.nbytes)
    assert pairs.input is pairs.noisy
    assert data.Images(PIXELS).input is PIXELS
    on_device = jax.tree.map(jnp.asarray, pairs)
    for taken in (pairs.take(np.array([3, 1])), jax.jit(data.Images.take)(on_device, jnp.array([3, 1]))):
        np.testing.assert_array_equal(taken.clean, PIXELS[[3, 1]])
        np.testing.assert_array_equal(taken.noisy, 255 - PIXELS[[3, 1]])
    assert data.Images(PIXELS).take(slice(2)).noisy is None


class Numbered:
    """Images that are read by index: each is its number."""

    shape = (7, 2, 2, 1)

    def __getitem__(self, indices):
        return np.broadcast_to(np.asarray(indices, np.uint8)[:, None, None, None], (len(indices), 2, 2, 1))


def test_a_part_of_images_that_are_read_by_index_has_its_own_numbers():
    part = Images(Numbered()).select(np.array([5, 3, 6]))
    assert part.shape == (3, 2, 2, 1)
    np.testing.assert_array_equal(part.take(np.array([2, 0])).clean[:, 0, 0, 0], [6, 5])


def test_the_images_of_a_pair_have_one_shape():
    clean, noisy = np.zeros((2, 4, 4, 1), np.uint8), np.zeros((2, 4, 5, 1), np.uint8)
    assert check_images(Images(clean, clean), "pairs").noisy is clean
    with pytest.raises(UserError, match="pairs gives images of uint8 and shape 2×4×5×1"):
        check_images(Images(clean, noisy), "pairs")
