"""What a run prints: a line for every epoch and, on a terminal, a bar with the time left."""

import sys
from contextlib import AbstractContextManager
from typing import Any

from jaxae import metrics


class Progress(AbstractContextManager["Progress"]):
    """Prints lines on standard output; a context manager."""

    def __init__(self, epochs: int):
        """Prepare a bar for this number of epochs, if standard output is a terminal."""
        from rich import progress

        self._epochs = epochs
        self._bar = progress.Progress(disable=not sys.stdout.isatty())
        self._task = self._bar.add_task("compiling", total=epochs)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line; rich puts it above the bar."""
        print(text, flush=True)

    def show_epoch(self, record: dict[str, Any]) -> None:
        """Print the metrics of an epoch, a record of `metrics.jsonl`."""
        width = len(str(self._epochs))
        parts = [
            f"epoch {record['epoch']:{width}}/{self._epochs}",
            f"train loss {record['train_loss']:.5f}",
            f"test {metrics.format_means(record, separator='   ')}",
        ]
        prefix = "validation_"
        validated = {name.removeprefix(prefix): value for name, value in record.items() if name.startswith(prefix)}
        best = metrics.primary(validated)
        if best.name in validated:
            parts.append(f"validation {best.label} {best.format(validated[best.name])}")
        self.say("   ".join([*parts, f"{record['images_per_second']:,.0f} images/s"]))
        self._bar.update(self._task, completed=record["epoch"], description="training")
