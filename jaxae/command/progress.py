"""What a run says while it goes on: a bar with the time left on a terminal, plain lines elsewhere."""

import sys
from contextlib import AbstractContextManager
from typing import Any


class Progress(AbstractContextManager):
    """Says a line per epoch on standard output; on a terminal a bar stands below the lines."""

    def __init__(self, epochs: int, done: int = 0):
        """`epochs` in all, of which `done` are behind."""
        self._epochs, self._bar = epochs, None
        if sys.stdout.isatty():
            from rich import progress

            columns = (
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("epochs,"),
                progress.TimeRemainingColumn(),
                progress.TextColumn("left"),
            )
            self._bar = progress.Progress(*columns)
            self._task = self._bar.add_task("compiling", total=epochs, completed=done)

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            print(text, flush=True)

    def epoch(self, record: dict[str, Any]) -> None:
        """The metrics of an epoch, as `metrics.jsonl` has them."""
        width = len(str(self._epochs))
        if "loss" in record:  # no clean images are known
            measured = f"train loss {record['train_mse']:.5f}   test loss {record['loss']:.5f}"
        else:
            measured = (
                f"train mse {record['train_mse']:.5f}   test mse {record['mse']:.5f}   "
                f"psnr {record['psnr']:.2f} dB   ssim {record['ssim']:.4f}"
            )
        speed = f"{record['images_per_second']:,.0f} images/s"
        self.say(f"epoch {record['epoch']:{width}}/{self._epochs}   {measured}   {speed}")
        if self._bar is not None:
            self._bar.update(self._task, completed=record["epoch"], description="training")
