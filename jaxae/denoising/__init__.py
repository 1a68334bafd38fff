"""Denoising of pictures: `python -m jaxae.denoising`."""
