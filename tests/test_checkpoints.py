import jax
import jax.numpy as jnp
import optax
import pytest

from jaxae import models, noise, train
from jaxae.checkpoints import Checkpoints
from jaxae.digest import digest
from jaxae.errors import UserError

# TensorStore reports a failed read once more, to an event loop that has ended
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TASK = train.Task(models.build("cifar", "xla"), optax.adam(1.0), noise.parse("none"), 4)


def make_state(seed):
    return train.init(TASK, train.make_member(TASK, seed, 1e-3), (32, 32, 3))


def data_files(directory):
    return [path for path in directory.rglob("*") if path.is_file() and path.parent.name == "d"]


def test_a_state_comes_back_to_the_bit(tmp_path):
    state = make_state(0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, psnr=20.0)
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(1, make_state(1))
    assert digest(restored) == digest(state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)


def test_the_state_may_be_consumed_while_it_is_being_saved(tmp_path):
    state = make_state(0)
    before = digest(state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, psnr=20.0)
        jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)(state)
    with Checkpoints(tmp_path) as checkpoints:
        assert digest(checkpoints.restore(1, make_state(1))) == before


def test_the_latest_two_and_the_best_are_kept(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for epoch, psnr in enumerate([18.0, 20.0, 19.0, 19.5, 19.8], start=1):
            checkpoints.save(epoch, make_state(epoch), psnr)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.epochs == [2, 4, 5]
        assert checkpoints.best_epoch == 2


def test_parameters_come_back_alone(tmp_path):
    state = make_state(0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, psnr=20.0)
    for path in data_files(tmp_path / "checkpoints" / "1" / "rest"):
        path.unlink()
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert digest(checkpoints.restore_params(1, state.params)) == digest(state.params)
        with pytest.raises(UserError, match=r"checkpoint 1 .*cannot be read"):
            checkpoints.restore(1, state)


def test_a_flipped_bit_is_found(tmp_path):
    state = make_state(0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, psnr=20.0)
    found = 0
    for path in data_files(tmp_path / "checkpoints" / "1" / "params"):
        good = path.read_bytes()
        for position in range(0, len(good), max(1, len(good) // 5)):
            bad = bytearray(good)
            bad[position] ^= 1
            path.write_bytes(bad)
            with Checkpoints(tmp_path, read_only=True) as checkpoints:
                try:
                    assert digest(checkpoints.restore_params(1, state.params)) == digest(state.params)
                except UserError:
                    found += 1
        path.write_bytes(good)
    assert found > 0


def test_a_state_of_another_network_is_refused(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, make_state(0), psnr=20.0)
    task = TASK._replace(model=models.build("mnist", "xla"))
    other = train.init(task, train.make_member(task, 0, 1e-3), (28, 28, 1))
    with Checkpoints(tmp_path, read_only=True) as checkpoints, pytest.raises(UserError, match="cannot be read"):
        checkpoints.restore_params(1, other.params)


def test_what_a_killed_run_was_writing_is_ignored(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, make_state(0), psnr=20.0)
    unfinished = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "half").write_text("written")
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.epochs == [1]
        checkpoints.save(2, jax.tree.map(jnp.copy, make_state(2)), psnr=21.0)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.epochs == [1, 2]
