"""Denoising of pictures: `python -m jaxae.denoise`."""
