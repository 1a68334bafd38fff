"""List the commands: `python -m jaxae`."""

import ast
from importlib import resources

COMMANDS = (
    *(f"experiments.{name}" for name in ("mnist_denoise", "cifar10_denoise", "cifar10_reconstruct")),
    *("experiments.sweep", "experiments.noise_grid"),
    *("evaluate", "report", "denoise", "baselines", "embed", "torch_weights", "export", "data"),
)


def about(name: str) -> str:
    """The first sentence of a command's docstring, read from its file: importing all of them would take seconds."""
    package = resources.files(__package__).joinpath(*name.split("."))
    file = package.joinpath("__main__.py") if package.is_dir() else package.parent.joinpath(f"{package.name}.py")
    return ast.get_docstring(ast.parse(file.read_text())).split("\n\n")[0].replace("\n", " ")


def main() -> None:
    """Print each command with a line about it."""
    width = max(map(len, COMMANDS))
    print("jaxae: small convolutional autoencoders, trained fast. Commands (each has --help):\n")
    for name in COMMANDS:
        print(f"  python -m jaxae.{name:{width}}  {about(name)}")


if __name__ == "__main__":
    main()
