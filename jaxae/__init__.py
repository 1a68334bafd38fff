"""Small convolutional autoencoders in JAX, trained fast."""

__version__ = "0.1.0"
