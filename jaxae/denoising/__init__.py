"""Denoising of pictures: files, `python -m jaxae.denoising`, and arrays, `jaxae.denoise`."""
