import shutil
import threading
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import files, networks, noise, training
from jaxae.errors import UserError
from jaxae.runs.checkpoints import Checkpoints
from jaxae.runs.digest import tree_digest

# TensorStore reports a failed read once more, to an event loop that has ended
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TASK = training.Task(networks.build("cifar", "xla"), training.make_optimizer("plain", 0), 4)


def make_state(seed):
    return training.init(TASK, training.hyperparameters(seed, 1e-3, noise.parse("none")), (32, 32, 3))


def data_files(directory):
    return [path for path in directory.rglob("*") if path.is_file() and path.parent.name == "d"]


def test_a_state_comes_back_to_the_bit(tmp_path):
    state = make_state(0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, score=20.0)
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(1, make_state(1))
    assert tree_digest(restored) == tree_digest(state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)


def test_the_state_may_be_consumed_while_it_is_being_saved(tmp_path):
    state = make_state(0)
    before = tree_digest(state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, score=20.0)
        jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)(state)
    with Checkpoints(tmp_path) as checkpoints:
        assert tree_digest(checkpoints.restore(1, make_state(1))) == before


@pytest.mark.parametrize(("model", "recipe"), [("mnist", "plain"), ("cifar", "fast")])
def test_a_state_of_another_network_or_optimizer_is_refused(two, model, recipe):
    task = training.Task(networks.build(model, "xla"), training.make_optimizer(recipe, 10), 4)
    like = training.init(task, training.hyperparameters(0, 1e-3, noise.parse("none")), task.model.image_shape)
    with Checkpoints(two[0], read_only=True) as checkpoints, pytest.raises(UserError, match="of another network"):
        checkpoints.restore(1, like)


def test_a_state_of_as_many_bytes_in_another_structure_is_refused(two):
    like = make_state(0)
    with Checkpoints(two[0], read_only=True) as checkpoints, pytest.raises(UserError, match="not what was saved"):
        checkpoints.restore(1, like._replace(opt_state={"another": like.opt_state}))


def test_parameters_of_another_width_are_refused(two):
    wide = jax.tree.map(lambda leaf: jnp.zeros((*leaf.shape[:-1], 2 * leaf.shape[-1])), make_state(0).params)
    with Checkpoints(two[0], read_only=True) as checkpoints, pytest.raises(UserError, match="of another network"):
        checkpoints.restore_params(1, wide)


def test_the_latest_two_and_the_best_by_validation_are_kept(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for epoch, psnr in enumerate([18.0, 20.0, 19.0, 19.5, 19.8], start=1):
            checkpoints.save(epoch, make_state(epoch), psnr)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.epochs == [2, 4, 5]
        assert checkpoints.best_epoch == 2


def test_the_best_up_to_a_checkpoint_is_kept_with_it(tmp_path):
    states = {epoch: make_state(epoch) for epoch in range(1, 6)}
    with Checkpoints(tmp_path) as checkpoints:
        for epoch, psnr in enumerate([20.0, 18.0, 19.0, 18.5, 21.0], start=1):
            checkpoints.save(epoch, states[epoch], psnr)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.epochs == [1, 4, 5]  # 1 is the best up to 4
        for last, best in ((5, 5), (4, 1)):
            score, state = checkpoints.restore_best(last, make_state(0))
            assert score == {1: 20.0, 5: 21.0}[best]
            assert tree_digest(state) == tree_digest(states[best])


def test_without_validation_the_latest_two_are_kept_and_none_is_the_best(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for epoch in range(1, 5):
            checkpoints.save(epoch, make_state(epoch))
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.epochs == [3, 4]
        assert checkpoints.best_epoch is None
        assert checkpoints.restore_chosen("latest", make_state(0).params)[0] == 4
        with pytest.raises(UserError, match="no validation part"):
            checkpoints.restore_chosen("best", make_state(0).params)


def test_a_save_leaves_no_thread_behind(tmp_path):
    state, threads = make_state(0), []
    with Checkpoints(tmp_path) as checkpoints:
        for epoch in range(1, 10):
            checkpoints.save(epoch, state, score=20.0)
            checkpoints.wait()
            threads.append(threading.active_count())
    assert threads[-1] < threads[0] + 5  # they end on their own, the last perhaps not yet


def test_a_state_on_the_host_is_saved_too(tmp_path):
    state = make_state(0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, jax.device_get(state), score=20.0)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert tree_digest(checkpoints.restore(1, make_state(1))) == tree_digest(state)


def test_parameters_come_back_alone(tmp_path):
    state = make_state(0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, score=20.0)
    for path in data_files(tmp_path / "checkpoints" / "1" / "rest"):
        path.unlink()
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert tree_digest(checkpoints.restore_params(1, state.params)) == tree_digest(state.params)
        with pytest.raises(UserError, match=r"checkpoint 1 .*cannot be read"):
            checkpoints.restore(1, state)


def test_what_comes_back_makes_the_same_programs(tmp_path):
    state = make_state(0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, score=20.0)
        checkpoints.wait()
        restored = checkpoints.restore(1, state)
    double = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + leaf, tree))
    assert double.lower(restored).as_text() == double.lower(state).as_text()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A directory with checkpoints of two epochs, and the digests of what they hold."""
    run_dir = tmp_path_factory.mktemp("two")
    states = {epoch: make_state(epoch) for epoch in (1, 2)}
    with Checkpoints(run_dir) as checkpoints:
        for epoch, state in states.items():
            checkpoints.save(epoch, state, score=20.0 - epoch)
    return run_dir, {epoch: tree_digest(state) for epoch, state in states.items()}


def files_of(run_dir, epoch):
    return sorted(path for path in (run_dir / "checkpoints" / str(epoch)).rglob("*") if path.is_file())


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_flipped_bit_anywhere_leaves_the_state_or_brings_the_one_before(two, tmp_path):
    run_dir, digests = two
    like, rng, found, refusals = make_state(0), np.random.default_rng(0), 0, []
    files = [path for path in files_of(run_dir, 2) if path.stat().st_size]
    for path in files * 4:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(run_dir, tmp_path / "run")
        flip(tmp_path / "run" / path.relative_to(run_dir), int(rng.integers(8 * path.stat().st_size)))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                with Checkpoints(tmp_path / "run") as checkpoints:
                    restored = tree_digest(checkpoints.restore_latest(like))
                    left = checkpoints.epochs
            except UserError as error:  # where Orbax cannot even list it
                found += 1
                refusals.append(str(error))
                continue
        said = [str(warning.message) for warning in caught if "checkpoint" in str(warning.message)]
        assert restored == digests[2 if not said else 1], (path, said)
        assert left == ([1] if said else [1, 2])
        assert all("checkpoint 2 in" in text and "going on from checkpoint 1" in text for text in said)
        found += bool(said)
    assert found > len(files)
    assert all("checkpoint 2 in" in text and "rename it to 2.damaged" in text for text in refusals)


def test_what_is_put_aside_does_not_hinder_the_epoch_that_comes_again(two, tmp_path):
    run_dir = shutil.copytree(two[0], tmp_path / "run")
    for _ in range(2):
        for path in data_files(run_dir / "checkpoints" / "2" / "params"):
            path.write_bytes(b"")
        with Checkpoints(run_dir) as checkpoints:
            with pytest.warns(UserWarning, match=r"checkpoint 2 .* cannot be read"):
                checkpoints.restore_latest(make_state(0))
            checkpoints.save(2, make_state(2), score=20.0)
    with Checkpoints(run_dir, read_only=True) as checkpoints:
        assert tree_digest(checkpoints.restore(2, make_state(0))) == two[1][2]
    assert (run_dir / "checkpoints" / "2.damaged").is_dir()


def test_the_parameters_of_the_next_checkpoint_take_the_place_of_damaged_ones(two, tmp_path):
    run_dir = shutil.copytree(two[0], tmp_path / "run")
    params = make_state(0).params
    with Checkpoints(run_dir, read_only=True) as checkpoints:
        assert [checkpoints.restore_chosen(choice, params)[0] for choice in ("latest", "best")] == [2, 1]
    shutil.rmtree(run_dir / "checkpoints" / "1" / "params")
    said = r"checkpoint 1 .*; in its place is checkpoint 2"
    with Checkpoints(run_dir, read_only=True) as checkpoints, pytest.warns(UserWarning, match=said):
        assert checkpoints.restore_chosen("best", params)[0] == 2


def test_a_forged_record_makes_no_checkpoint_the_best(two, tmp_path):
    run_dir = shutil.copytree(two[0], tmp_path / "run")
    metadata = run_dir / "checkpoints" / "2" / "_CHECKPOINT_METADATA"
    metadata.write_text(metadata.read_text().replace('"score": 18.0', '"score": 28.0'))
    with Checkpoints(run_dir, read_only=True) as checkpoints:
        assert checkpoints.best_epoch == 1


def test_no_intact_checkpoint_is_an_error_that_names_each(two, tmp_path):
    run_dir = shutil.copytree(two[0], tmp_path / "run")
    for epoch in (1, 2):
        for path in files_of(run_dir, epoch):
            path.write_bytes(b"")
    with (
        Checkpoints(run_dir) as checkpoints,
        pytest.raises(UserError, match=r"checkpoint 2 .*checkpoint 1 .*no intact checkpoint is left"),
    ):
        checkpoints.restore_latest(make_state(0))
    assert (run_dir / "checkpoints" / "2").is_dir()


def test_a_checkpoint_whose_record_cannot_be_read_is_put_aside(two, tmp_path):
    run_dir = shutil.copytree(two[0], tmp_path / "run")
    record = run_dir / "checkpoints" / "2" / "_CHECKPOINT_METADATA"
    record.write_text(record.read_text().replace("item_handlers", "htem_handlers"))
    with Checkpoints(run_dir) as checkpoints, pytest.warns(UserWarning, match=r"checkpoint 2 .* cannot be read"):
        restored = checkpoints.restore_latest(make_state(0))
    assert tree_digest(restored) == two[1][1]
    assert (run_dir / "checkpoints" / "2.damaged").is_dir()


def test_what_a_killed_run_was_writing_is_ignored(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, make_state(0), score=20.0)
    unfinished = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "half").write_text("written")
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.epochs == [1]
        checkpoints.save(2, jax.tree.map(jnp.copy, make_state(2)), score=21.0)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.epochs == [1, 2]


def test_a_checkpoint_is_on_the_disk_when_the_next_one_begins_or_the_last_has_been_waited_for(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        files, "sync", lambda path: synced.append(path.relative_to(tmp_path / "checkpoints").as_posix())
    )
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, make_state(0), score=20.0)
        assert not synced
        checkpoints.save(2, make_state(0), score=20.0)
        assert {"1/_CHECKPOINT_METADATA", "1/params", "1"} < set(synced)
        assert synced[-1] == "."
        checkpoints.wait()
        assert synced[-2:] == ["2", "."]
