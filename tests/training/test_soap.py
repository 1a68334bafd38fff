import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxae.training.soap import scale_by_soap


@pytest.fixture(autouse=True)
def _standard_promotion():
    with jax.numpy_dtype_promotion("standard"):  # as in `train_step`
        yield


@functools.partial(jax.jit, static_argnames=("b2", "refresh_every"))
def last_update(gradients, **settings):
    """The update after all of `gradients` [steps, *shape]."""
    optimizer = scale_by_soap(**settings)

    def step(state, gradient):
        update, state = optimizer.update(gradient, state)
        return state, update

    return jax.lax.scan(step, optimizer.init(gradients[0]), gradients)[1][-1]


def reference(gradients, b1=0.9, b2=0.95, eps=1e-8, refresh_every=5):
    """The same in NumPy and float64, for gradients of matrices."""
    mean = square = 0
    moments, bases = [0, 0], [np.eye(size) for size in gradients[0].shape]
    for number, gradient in enumerate(np.asarray(gradients, np.float64)):
        sides = gradient @ gradient.T, gradient.T @ gradient
        moments = [b2 * moment + (1 - b2) * side for moment, side in zip(moments, sides, strict=True)]
        if number % refresh_every == 0:
            bases = [np.linalg.qr(moment @ basis)[0] for moment, basis in zip(moments, bases, strict=True)]
        left, right = bases
        mean = b1 * mean + (1 - b1) * gradient
        square = b2 * square + (1 - b2) * (left.T @ gradient @ right) ** 2
    mean, square = mean / (1 - b1 ** len(gradients)), square / (1 - b2 ** len(gradients))
    return left @ (left.T @ mean @ right / (np.sqrt(square) + eps)) @ right.T


@pytest.mark.parametrize("settings", [{}, {"b2": 0.8, "refresh_every": 2}])
def test_it_is_the_algorithm_of_the_paper(settings):
    gradients = jax.random.normal(jax.random.key(0), (8, 3, 3)) * jnp.float32([1, 2, 5])[None, :, None]
    update = last_update(gradients, **settings)
    np.testing.assert_allclose(update, reference(gradients, **settings), atol=1e-4)


def rotation(key, size):
    return jnp.linalg.qr(jax.random.normal(key, (size, size)))[0]


@pytest.mark.parametrize("shape", [(1, 1), (4,)], ids=["one number", "a vector"])
def test_where_nothing_can_be_turned_it_is_adam(shape):
    gradients = jax.random.normal(jax.random.key(0), (25, *shape))
    adam = optax.scale_by_adam(0.9, 0.95)
    update = jax.jit(adam.update)
    state = adam.init(gradients[0])
    for gradient in gradients:
        expected, state = update(gradient, state)
    np.testing.assert_allclose(last_update(gradients), expected, rtol=1e-5)


def test_rotated_gradients_give_rotated_updates():
    key = jax.random.key(0)
    scale = jnp.outer(jnp.arange(1.0, 7), jnp.arange(1.0, 5) ** 2)
    gradients = jax.random.normal(key, (1000, 6, 4)) * scale[None]
    settings = {"b2": 0.999, "refresh_every": 1}  # so that the eigenvectors are found
    left, right = rotation(jax.random.fold_in(key, 1), 6), rotation(jax.random.fold_in(key, 2), 4)
    update = last_update(gradients, **settings)
    rotated = last_update(jnp.einsum("ab,sbc,dc->sad", left, gradients, right), **settings)
    np.testing.assert_allclose(rotated, left @ update @ right.T, atol=2e-2)
    assert np.abs(rotated - update).max() > 0.1  # so that the test can fail


def test_goes_down_a_valley_that_adam_crosses_slowly():
    turn = rotation(jax.random.key(0), 8)
    hessian = turn @ jnp.diag(jnp.logspace(0, -4, 8)) @ turn.T

    def loss_after(scaler, steps=300):
        optimizer = optax.chain(scaler, optax.scale_by_learning_rate(optax.linear_schedule(0.05, 0.0, steps)))

        def step(carry, _):
            x, state = carry
            update, state = optimizer.update(hessian @ x, state)
            return (x + update, state), None

        (x, _), _ = jax.lax.scan(step, (jnp.ones((8, 1)), optimizer.init(jnp.ones((8, 1)))), length=steps)
        return (x.T @ hessian @ x).item()

    assert loss_after(scale_by_soap()) < 0.1 * loss_after(optax.scale_by_adam(0.9, 0.95))


def test_kernels_keep_their_shape_and_share_a_matrix_for_their_pixels():
    params = {"kernel": jnp.ones((5, 3, 4, 2)), "last": jnp.ones((3, 3, 4, 1)), "bias": jnp.ones(2)}
    optimizer = scale_by_soap()
    state = optimizer.init(params)
    assert [m.shape for m in state.moments["kernel"]] == [(15, 15), (4, 4), (2, 2)]
    assert [m.shape for m in state.moments["last"]] == [(9, 9), (4, 4)]
    assert [m.shape for m in state.moments["bias"]] == []
    updates, _ = jax.jit(optimizer.update)(params, state)
    assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(updates))


def test_the_basis_is_refreshed_every_so_many_steps():
    optimizer = scale_by_soap(refresh_every=3)
    update = jax.jit(optimizer.update)
    gradients = jax.random.normal(jax.random.key(0), (7, 4, 3))
    state = optimizer.init(gradients[0])
    bases = [state.bases[0]]
    for gradient in gradients:
        _, state = update(gradient, state)
        bases.append(state.bases[0])
    changed = [not np.array_equal(old, new) for old, new in itertools.pairwise(bases)]
    assert changed == [True, False, False, True, False, False, True]
