"""The figures that stand first on a run's page, each in a tile of its own."""

from typing import Any
from xml.etree.ElementTree import Element

from jaxae.report.markup import element


def tiles(summary: dict[str, Any]) -> Element:
    """The tiles of a run with this summary."""
    test = summary["test"]
    if "loss" in test:
        return element(
            "div",
            _tile("Test loss", f"{test['loss']:.5f}", "self-supervised: no clean images are known"),
            *_speed(summary),
            class_="tiles",
        )

    def versus(name: str, text: str) -> str:
        return f"noisy input {text}" if f"noisy_{name}" in test else "mean over the test images"

    shown = [
        ("Test PSNR", f"{test['psnr']:.2f} dB", versus("psnr", f"{test.get('noisy_psnr', 0):.2f} dB")),
        ("Test SSIM", f"{test['ssim']:.4f}", versus("ssim", f"{test.get('noisy_ssim', 0):.4f}")),
        ("Test MSE", f"{test['mse']:.5f}", versus("mse", f"{test.get('noisy_mse', 0):.5f}")),
    ]
    return element("div", *(_tile(*tile) for tile in shown), *_speed(summary), class_="tiles")


def _tile(name: str, value: str, note: str) -> Element:
    return element("div", element("span", name), element("strong", value), element("small", note), class_="tile")


def _speed(summary: dict[str, Any]) -> list[Element]:
    if "throughput" not in summary:
        return []
    speed, device = summary["throughput"]["images_per_second"], summary["device"]
    where = device["kind"] if device["count"] == 1 else f"{device['count']} × {device['kind']}"
    return [_tile("Training", f"{speed:,.0f}", f"images per second on {where}")]
