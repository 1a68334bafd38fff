"""Names for the implementations of one interface, in the order of registration."""

import dataclasses
import difflib
from collections.abc import Callable
from typing import TypeVar

from jaxae.errors import UserError

T = TypeVar("T")


class Registry(dict[str, T]):
    """A dictionary that knows what it holds, so that an unknown name ends in a helpful error.

    A module outside jaxae registers its own with ``REGISTRY.register(name)``, and is loaded with ``--import MODULE``.
    """

    def __init__(self, what: str):
        """Create an empty registry.

        Args:
            what: what a name stands for, such as "network", for error messages.
        """
        super().__init__()
        self.what = what

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a class or function under `name`."""

        def decorate(value: T) -> T:
            self[name] = value
            return value

        return decorate

    def __setitem__(self, name: str, value: T) -> None:
        """Register `value`.

        Raises:
            UserError: if `name` is taken by another one.
        """
        there = self.get(name)
        if there is not None and _defined_as(there) != _defined_as(value):  # the same again is a module loaded anew
            raise UserError(f"there already is a {self.what} {name!r}: register yours under another name")
        super().__setitem__(name, value)

    def __missing__(self, name: str) -> T:
        """Raise a UserError that suggests the most similar name."""
        close = difflib.get_close_matches(name, self, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"there is no {self.what} {name!r}{hint} (there are: {', '.join(self)})")


def _defined_as(value: object) -> object:
    """Return the module and name of a class or function; those of its functions for a dataclass or tuple."""
    if hasattr(value, "__qualname__"):
        return getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    fields = vars(value).values() if dataclasses.is_dataclass(value) else value if isinstance(value, tuple) else ()
    return [_defined_as(each) for each in fields if callable(each)] or value
