"""The competitors of `throughput.py`, each run as ``python -m benchmarks.competitors SPEC`` in a process of its own.

Answers lines of JSON on standard input: ``{"do": "losses"}`` trains a few steps on given batches, ``{"do": "compile"}``
gets the timed program ready, ``{"do": "burst", "steps": n}`` times n steps.
"""

import json
import os
import sys
import time

import numpy as np

IMAGES, NOISE, LEARNING_RATE = 8192, 0.5, 1e-3
SHAPES = {"mnist": (28, 28, 1), "cifar": (32, 32, 3), "photo": (64, 64, 3)}


def pixels(network: str, count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPES[network]), np.uint8)


def given_batches(network: str, steps: int = 5, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Clean and noisy images, [steps, size, height, width, channels]."""
    clean = pixels(network, steps * size).reshape(steps, size, *SHAPES[network]).astype(np.float32) / 255
    return clean, clean + NOISE * np.random.default_rng(1).normal(size=clean.shape).astype(np.float32)


def first_weights(path: str, prefix: str) -> dict[str, np.ndarray]:
    """The weights that all start from, by name; the parent process made the file, so that PyTorch's need no JAX."""
    with np.load(path) as arrays:
        return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}


def flax_params(path: str) -> dict:
    import jax.numpy as jnp
    from flax.traverse_util import unflatten_dict

    return unflatten_dict({name: jnp.array(value) for name, value in first_weights(path, "flax/").items()}, "/")


class Jaxae:
    """`jaxae.training`: the epoch as one program."""

    def __init__(self, network: str, batch_size: int, precision: str, weights: str, **_):
        import optax

        from jaxae import networks, noise, training

        self.network, self.batch_size, self.weights = network, batch_size, weights
        self.model = networks.build(network, precision=precision)
        self.task = training.Task(self.model, optax.adam(1.0), batch_size)
        self.hyper = training.hyperparameters(0, LEARNING_RATE, noise.parse("gaussian", NOISE))
        self.programs = {}

    def start(self):
        from jaxae import training

        return training.start_from(self.task, flax_params(self.weights))

    def losses(self) -> list[float]:
        from jaxae import ops, training

        clean, noisy = given_batches(self.network)
        state, losses = self.start(), []
        step = ops.jit(training.train_step, self.model.backend, static_argnums=0)
        for target, image in zip(clean, noisy, strict=True):
            state, loss = step(self.task, self.hyper, state, (image, target))
            losses.append(float(loss))
        return losses

    def program(self, steps: int):
        from jaxae import training

        images = training.place_images(pixels(self.network, steps * self.batch_size))
        return images.compile(self.task, self.hyper, self.state)

    def compile(self) -> None:
        self.state = self.start()
        self.programs[2] = self.program(2)

    def burst(self, steps: int) -> float:
        import jax

        if steps not in self.programs:
            self.programs[steps] = self.program(steps)
        start = time.perf_counter()
        self.state, losses = self.programs[steps](self.hyper, self.state)
        jax.block_until_ready((self.state, losses))
        return time.perf_counter() - start


class JaxaeStream(Jaxae):
    """The same with the images on the host, streamed to the device: `--data.placement stream`."""

    def epochs(self, steps: int):
        from jaxae import training
        from jaxae.data import Images
        from jaxae.data.stream import Stream

        images = training.place_images(Stream(Images(pixels(self.network, steps * self.batch_size))))
        return training.train_epochs(self.task, self.hyper, self.start(), images, epochs=10**6)

    def compile(self) -> None:
        self.programs[2] = self.epochs(2)
        next(self.programs[2])

    def burst(self, steps: int) -> float:
        if steps not in self.programs:
            self.programs[steps] = self.epochs(steps)
        return next(self.programs[steps]).seconds


class Linen:
    """The networks as anyone would write them in Linen: `nn.Conv`, a jitted step, a Python loop."""

    def __init__(self, network: str, batch_size: int, precision: str, weights: str, **_):
        import jax
        import jax.numpy as jnp
        import optax

        from benchmarks import linen_models

        self.network, self.batch_size, self.weights = network, batch_size, weights
        self.model = linen_models.NETWORKS[network](dtype=jnp.dtype(precision))
        self.optimizer = optax.adam(LEARNING_RATE)

        def update(params, opt_state, noisy, target):
            def loss_fn(params):
                return jnp.mean(jnp.square(self.model.apply({"params": params}, noisy) - target))

            loss, grads = jax.value_and_grad(loss_fn)(params)
            updates, opt_state = self.optimizer.update(grads, opt_state)
            return optax.apply_updates(params, updates), opt_state, loss

        def step(params, opt_state, key, images):
            index_key, noise_key = jax.random.split(key)
            clean = images[jax.random.randint(index_key, (batch_size,), 0, len(images))].astype(jnp.float32) / 255
            noisy = clean + NOISE * jax.random.normal(noise_key, clean.shape)
            return update(params, opt_state, noisy, clean)

        self.update, self.step = jax.jit(update), jax.jit(step, donate_argnums=(0, 1))

    def start(self):
        params = flax_params(self.weights)
        return params, self.optimizer.init(params)

    def losses(self) -> list[float]:
        losses, (params, opt_state) = [], self.start()
        for target, noisy in zip(*given_batches(self.network), strict=True):
            params, opt_state, loss = self.update(params, opt_state, noisy, target)
            losses.append(float(loss))
        return losses

    def compile(self) -> None:
        import jax

        self.images = jax.device_put(pixels(self.network, max(IMAGES, self.batch_size)))
        self.state, self.key = self.start(), jax.random.key(0)
        self.compiled = self.step.lower(*self.state, self.key, self.images).compile()

    def burst(self, steps: int) -> float:
        import jax

        start = time.perf_counter()
        params, opt_state = self.state
        for number in range(steps):
            key = jax.random.fold_in(self.key, number)
            params, opt_state, loss = self.compiled(params, opt_state, key, self.images)
        self.state = jax.block_until_ready((params, opt_state))
        jax.block_until_ready(loss)
        return time.perf_counter() - start


class Torch:
    """The original programs, eager or compiled; images gathered on the device, or by a `DataLoader`."""

    def __init__(
        self, network: str, batch_size: int, precision: str, device: str, competitor: str, data: str, weights: str
    ):
        import torch

        from benchmarks import torch_models

        self.torch, self.network, self.batch_size, self.device, self.data = torch, network, batch_size, device, data
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")
        self.make = torch_models.NETWORKS[network]
        self.weights = {name: torch.from_numpy(array) for name, array in first_weights(weights, "torch/").items()}
        self.competitor = competitor

    def start(self, compiled: bool) -> None:
        torch = self.torch
        self.model = self.make()
        self.model.load_state_dict(self.weights)
        self.model.to(self.device)
        if self.competitor == "torch_channels_last":
            self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        mode = "reduce-overhead" if self.competitor == "torch_cudagraphs" else None
        compiles = compiled and self.competitor in ("torch_compile", "torch_cudagraphs", "torch_channels_last")
        self.forward = torch.compile(self.model, mode=mode) if compiles else self.model

    def update(self, noisy, target):
        if self.competitor == "torch_channels_last":
            noisy = noisy.to(memory_format=self.torch.channels_last)
        with self.autocast:
            output = self.forward(noisy)
        loss = self.torch.nn.functional.mse_loss(output.float(), target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def losses(self) -> list[float]:
        self.start(compiled=False)
        losses = []
        for clean, noisy in zip(*given_batches(self.network), strict=True):
            clean, noisy = (self.torch.from_numpy(a).permute(0, 3, 1, 2).to(self.device) for a in (clean, noisy))
            losses.append(float(self.update(noisy.contiguous(), clean.contiguous())))
        return losses

    def compile(self) -> None:
        images = self.torch.from_numpy(pixels(self.network, max(IMAGES, self.batch_size)))
        self.images = images.permute(0, 3, 1, 2).contiguous()
        if self.data == "device":
            self.images = self.images.to(self.device)
        self.start(compiled=True)
        self.burst(3)

    def batches(self, steps: int):
        """Clean images, drawn on the device; or as the original programs load them, image by image on the host."""
        torch = self.torch
        if self.data == "loader":

            class Images(torch.utils.data.Dataset):
                def __len__(data):
                    return len(self.images)

                def __getitem__(data, index):
                    return self.images[index].float() / 255  # what torchvision's ToTensor does to an image

            loader = torch.utils.data.DataLoader(Images(), self.batch_size, shuffle=True, drop_last=True)
            while True:
                for clean in loader:
                    yield clean.to(self.device)
                    if (steps := steps - 1) == 0:
                        return
        for _ in range(steps):
            index = torch.randint(len(self.images), (self.batch_size,), device=self.device)
            yield self.images[index].float() / 255

    def burst(self, steps: int) -> float:
        start = time.perf_counter()
        for clean in self.batches(steps):
            loss = self.update(clean + NOISE * self.torch.randn_like(clean), clean)
        float(loss)  # waits for the device
        return time.perf_counter() - start


def main() -> None:
    spec = json.loads(sys.argv[1])
    os.environ["JAX_PLATFORMS"] = spec["device"]
    answers, sys.stdout = sys.stdout, sys.stderr
    kind = {"jaxae": Jaxae, "jaxae_stream": JaxaeStream, "linen": Linen}.get(spec["competitor"], Torch)
    competitor = kind(**spec)
    for line in sys.stdin:
        question = json.loads(line)
        if question["do"] == "losses":
            answer = {"losses": competitor.losses()}
        elif question["do"] == "compile":
            start = time.perf_counter()
            competitor.compile()
            answer = {"seconds": time.perf_counter() - start}
        else:
            answer = {"seconds": competitor.burst(question["steps"])}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
