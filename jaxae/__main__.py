"""List the commands: `python -m jaxae`."""

import ast
from pathlib import Path

from jaxae import command

COMMANDS = (
    *(f"experiments.{name}" for name in ("mnist_denoise", "cifar10_denoise", "cifar10_reconstruct")),
    *("experiments.sweep", "experiments.noise_grid"),
    *("evaluate", "report", "denoising", "baselines", "embed", "torch_weights", "export", "data"),
)


def about(name: str) -> str:
    """Return the first sentence of a command's docstring, read from its file: importing all would take seconds."""
    path = Path(__file__).parent.joinpath(*name.split("."))
    file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n")[0].replace("\n", " ")


def main() -> None:
    """Print each command with a line about it."""
    width = max(map(len, COMMANDS))
    print("jaxae: small convolutional autoencoders, trained fast. Commands (each has --help):\n")
    for name in COMMANDS:
        print(f"  python -m jaxae.{name:{width}}  {about(name)}")


if __name__ == "__main__":
    command.run_main(main)
