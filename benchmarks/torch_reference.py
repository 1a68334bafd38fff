"""The PyTorch programs of the originals, trained and tested as jaxae does by default: the quality to reach.

    python -m benchmarks.torch_reference --network mnist --noise-factor 0.5 --seed 0 --json OUT.json

Adam with learning rate 1e-3, mean squared error to the clean image, Gaussian noise drawn afresh for every batch and not
clipped, full batches only. Tested after every epoch on the whole test split, noise drawn afresh too; PSNR and SSIM are
means over images. Needs the `torch` extra; 10 to 15 s an epoch on a CPU.
"""

import argparse
import datetime
import json
import platform
import time
from pathlib import Path

import jax
import numpy as np
import torch

import jaxae
from benchmarks.torch_models import NETWORKS
from jaxae import data, metrics, networks

DATA_SETS = {"mnist": "mnist", "cifar": "cifar10"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--noise-factor", type=float, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images alone")
    parser.add_argument("--json", type=Path, help="where the results go")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    train = images(args.network, "train", args.data_dir)[: args.limit]
    test = images(args.network, "test", args.data_dir)
    model = NETWORKS[args.network]()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.learning_rate)
    epochs = []
    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(model, optimizer, train, args.noise_factor, args.batch_size)
        seconds = time.perf_counter() - start
        epochs.append(
            {"epoch": epoch, "train_loss": loss, "seconds": seconds, **evaluate(model, test, args.noise_factor)}
        )
        print("  ".join(f"{name} {value:.5g}" for name, value in epochs[-1].items()), flush=True)
    if args.json:
        args.json.write_text(json.dumps(record(args, len(train), len(test), epochs), indent=2) + "\n")


def images(network: str, split: str, data_dir: Path | None) -> torch.Tensor:
    """The split as bytes, [images, channels, height, width]."""
    dataset = data.open(DATA_SETS[network], data_dir, image_shape=networks.NETWORKS[network].image_shape)
    return torch.from_numpy(np.array(dataset.load(split).clean)).permute(0, 3, 1, 2).contiguous()


def train_epoch(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, train: torch.Tensor, factor: float, batch_size: int
) -> float:
    model.train()
    losses = []
    for indices in torch.randperm(len(train)).split(batch_size):
        if len(indices) < batch_size:
            break
        clean = train[indices].float() / 255
        loss = torch.nn.functional.mse_loss(model(clean + factor * torch.randn_like(clean)), clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


@torch.inference_mode()
def evaluate(model: torch.nn.Module, test: torch.Tensor, factor: float) -> dict[str, float]:
    model.eval()
    rows = []
    for batch in test.split(500):
        clean = batch.float() / 255
        noisy = clean + factor * torch.randn_like(clean)
        row = quality(model(noisy), clean)
        if factor:
            row |= {f"noisy_{name}": values for name, values in quality(noisy.clamp(0, 1), clean).items()}
        rows.append(row)
    return {name: float(np.concatenate([row[name] for row in rows]).mean()) for name in rows[0]}


@jax.jit
def _quality(x: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
    return metrics.compute(x, y)


def quality(restored: torch.Tensor, clean: torch.Tensor) -> dict[str, np.ndarray]:
    x, y = (tensor.permute(0, 2, 3, 1).numpy() for tensor in (restored, clean))
    return jax.tree.map(np.asarray, _quality(x, y))


def record(args: argparse.Namespace, train_size: int, test_size: int, epochs: list[dict]) -> dict:
    options = {k: v for k, v in vars(args).items() if k not in ("data_dir", "json")}
    # The command as anyone can type it: the paths of this machine are left out.
    command = " ".join(f"--{k.replace('_', '-')} {v}" for k, v in options.items() if v is not None)
    return {
        "command": f"python -m benchmarks.torch_reference {command}",
        **options,
        "data": {"name": DATA_SETS[args.network], "train_size": train_size, "test_size": test_size},
        "epochs": epochs,
        "test": {name: value for name, value in epochs[-1].items() if name not in ("epoch", "train_loss", "seconds")},
        "date": datetime.date.today().isoformat(),
        "device": f"{platform.machine()} CPU, {torch.get_num_threads()} threads",
        "versions": {
            "jaxae": jaxae.__version__,
            "jax": jax.__version__,
            "numpy": np.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }


if __name__ == "__main__":
    main()
