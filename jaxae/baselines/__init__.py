"""Classical denoising methods beside a trained network: `python -m jaxae.baselines`."""
