"""What training and testing compute, over every objective, recipe, network and backend: `golden.json` beside this file.

    python -m tests.golden make          # replace golden.json: only where a number was meant to change
    python -m tests.golden check [FILE]  # compare all cases with golden.json, and their digests with those in FILE

`tests/test_golden.py` compares a part of the cases, in which every two of these meet, with losses and test metrics
within the tolerance of the backend. Digests of the final parameters are equal bit by bit on one machine only: FILE,
written by the first check that names it, tells whether a change of the code moved anything there.
"""

import itertools
import json
import sys
from pathlib import Path
from typing import NamedTuple

import tests.conftest  # noqa: F401  JAX on 8 fake devices, before it is imported

import jax  # isort: skip
import jax.numpy as jnp  # isort: skip
import numpy as np  # isort: skip

from jaxae import networks, noise, training  # isort: skip
from jaxae.data.images import Images  # isort: skip
from jaxae.data.stream import Stream  # isort: skip
from jaxae.runs.digest import tree_digest  # isort: skip
from jaxae.runs.evaluation_set import EvaluationSet  # isort: skip
from jaxae.runs.scores import score  # isort: skip
from jaxae.training import OBJECTIVES, ensemble, parallel  # isort: skip

FILE = Path(__file__).with_name("golden.json")
SHAPES = {"mnist": (20, 20, 1), "cifar": (16, 16, 3)}
FACTORS = {"mnist": 0.5, "cifar": 0.1}
TARGETS = "clean", "noisy", "self", "sure"
BACKENDS = "xla", "lanes", "unfold", "xla_in_parts"
TRAIN, TEST, BATCH_SIZE, EPOCHS = 26, 20, 8, 2  # three steps an epoch, and a remainder
MADE_WITH = "0.10."  # the version of JAX


class Case(NamedTuple):
    """A run of a few steps; `where` is how its images reach the devices, or what they are."""

    network: str
    recipe: str
    objective: str
    backend: str
    where: str = "device"

    @property
    def name(self) -> str:
        """As the file has it."""
        return "-".join(self)

    @property
    def tolerance(self) -> float:
        """Relative, of losses: SURE divides small differences of outputs, and Toom-Cook rounds otherwise.

        Versions of JAX also round otherwise, and the eigenvectors of SOAP, in the fast recipe, enlarge that.
        """
        tolerance = (5e-3 if self.objective == "sure" else 2e-4) * (1 if self.backend == "xla" else 2)
        return tolerance if jax.__version__.startswith(MADE_WITH) or self.recipe != "fast" else max(tolerance, 1e-2)


CASES = [
    *(Case(*parts) for parts in itertools.product(SHAPES, ("plain", "fast"), TARGETS, BACKENDS)),
    *(
        Case(network, recipe, "clean", "lanes", where)
        for network, recipe, where in (
            ("mnist", "plain", "stream"),
            ("cifar", "fast", "stream"),
            ("mnist", "plain", "sharded"),
            ("cifar", "fast", "sharded"),
            ("mnist", "plain", "pmap"),
            ("cifar", "fast", "pmap"),
            ("mnist", "fast", "pairs"),
            ("cifar", "plain", "pairs"),
            ("mnist", "plain", "ensemble"),
            ("cifar", "fast", "ensemble"),
            ("cifar", "plain", "alone"),
        )
    ),
    *(Case("cifar", "plain", objective, "xla", "alone") for objective in ("self", "sure")),
    Case("cifar", "plain", "self", "lanes", "stream"),
    Case("mnist", "plain", "sure", "lanes", "ensemble"),
]

# Each objective and each backend on one device, and every other place; `check` compares all.
PART = [
    *(
        Case(("mnist", "cifar")[number % 2], ("plain", "fast")[number // 2], target, BACKENDS[number])
        for number, target in enumerate(TARGETS)
    ),
    *(case for case in CASES if case.where != "device" and case[:3] == ("mnist", "plain", "clean")),
    *(case for case in CASES if case[:3] == ("mnist", "fast", "clean") and case.where == "pairs"),
    *(case for case in CASES if case[:3] == ("cifar", "plain", "self") and case.where == "alone"),
]


def draw_images(case: Case, count: int, seed: int) -> np.ndarray:
    """Smooth images with an edge, uint8: random pixels alone would tell nothing about a denoiser."""
    height, width, channels = SHAPES[case.network]
    rng = np.random.default_rng(seed)
    images = np.zeros((count, height, width, channels))
    rows, columns = np.mgrid[:height, :width] / height
    for image in images:
        a, b, c = rng.uniform(-1, 1, 3)
        image += (a * rows + b * columns + c > 0)[..., None] * rng.uniform(0.3, 0.9, channels) + 0.1 * rows[..., None]
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)


def run(case: Case) -> dict:
    """The losses of each step, the metrics of the test, and the digest of what was trained."""
    fast_cifar = case.recipe == "fast" and case.network == "cifar"
    model = networks.build(case.network, case.backend, reflect_padding=4 if fast_cifar else 0)
    steps = EPOCHS * (TRAIN // BATCH_SIZE)
    alone = case.where == "alone" and case.objective != "clean"
    objective = OBJECTIVES[case.objective](0.1 if alone and case.objective == "sure" else None)
    added = noise.parse("none") if case.where in ("pairs", "alone") else noise.parse("gaussian", FACTORS[case.network])
    strategy = "pmap" if case.where == "pmap" else "jit"
    devices = parallel.find_devices(2, strategy) if case.where in ("sharded", "pmap") else None
    optimizer = training.make_optimizer(case.recipe, steps)
    task = training.Task(model, optimizer, BATCH_SIZE, objective, devices)
    train_images, test_images = (
        Images(clean, add_noise(clean) if case.where == "pairs" else None)
        for clean in (draw_images(case, TRAIN, 1), draw_images(case, TEST, 2))
    )
    rates = (2e-2, 1e-2) if case.recipe == "fast" else (1e-3, 3e-3)
    members = [training.hyperparameters(seed, rate, added) for seed, rate in enumerate(rates)]

    def start(hyper):
        state = training.init(task, hyper, SHAPES[case.network])
        if fast_cifar:
            state = training.start_from(task, training.scale_initial(task, hyper, state.params, train_images.input))
        return state

    if case.where == "ensemble":
        images, hyper = ensemble.EnsembleImages(train_images, len(members)), ensemble.stack(members)
        state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(start, members))
        hyper, state = images.place_run((hyper, state))
    else:
        stream = Stream(train_images, chunk_bytes=2 * train_images.take(slice(BATCH_SIZE)).nbytes)
        images = training.place_images(stream if case.where == "stream" else train_images, devices)
        hyper, state = parallel.put((members[0], start(members[0])), devices)
    losses = []
    for epoch in training.train_epochs(task, hyper, state, images, EPOCHS):
        losses.append(np.asarray(epoch.losses))
        state = epoch.state
    params = jax.device_get(state.params)
    member = jax.tree.map(lambda leaf: leaf[-1], params) if case.where == "ensemble" else params
    test = EvaluationSet("golden", test_images, added, objective if alone else None)
    scores = score(model, jax.tree.map(jnp.asarray, member), test)
    return {
        "losses": np.concatenate(losses, axis=-1).astype(float).ravel().tolist(),
        "test": scores.means() | {"spread": scores.spread},
        "digest": tree_digest(params),
    }


def add_noise(clean: np.ndarray) -> np.ndarray:
    """Noisy images of pairs."""
    noisy = clean + np.random.default_rng(3).normal(0, 30, clean.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def differences(case: Case, found: dict, recorded: dict) -> list[str]:
    """The numbers of `found` that are further from the record than the tolerance of the case."""
    return [
        f"{case.name}: {name} is {ours}, was {wanted}"
        for name, ours, wanted, tolerance in (
            ("losses", found["losses"], recorded["losses"], case.tolerance),
            ("test", list(found["test"].values()), list(recorded["test"].values()), 10 * case.tolerance),
        )
        if not np.allclose(ours, wanted, rtol=tolerance, atol=0)
    ]


def main(command: str, *arguments: str) -> None:
    """Make the file, or compare with it."""
    found = {case.name: run(case) for case in CASES}
    if command == "make":
        rounded = {
            name: {
                "losses": [float(f"{loss:.7g}") for loss in result["losses"]],
                "test": {key: float(f"{value:.7g}") for key, value in result["test"].items()},
            }
            for name, result in found.items()
        }
        FILE.write_text("{\n" + ",\n".join(f"{json.dumps(n)}: {json.dumps(r)}" for n, r in rounded.items()) + "\n}\n")
    recorded = json.loads(FILE.read_text())
    moved = [line for case in CASES for line in differences(case, found[case.name], recorded[case.name])]
    print(*moved, f"{len(found)} cases, {len(moved)} differences", sep="\n")
    for path in map(Path, arguments):
        digests = {name: result["digest"] for name, result in found.items()}
        if not path.exists():
            path.write_text(json.dumps(digests, indent=1))
        before = json.loads(path.read_text())
        others = [name for name, value in digests.items() if before.get(name) != value]
        print(f"{len(digests) - len(others)} of {len(digests)} digests are the same", *others, sep="\n")
    sys.exit(bool(moved))


if __name__ == "__main__":
    main(*sys.argv[1:])
