"""Small convolutional autoencoders in JAX, trained fast."""

import sys

__version__ = "0.1.0"

# `python -m jaxae.…` imports this module first: from here on, and through seconds of imports, no signal is lost.
if sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)].removeprefix("-m").partition(".")[0] == "jaxae":
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))  # until `install` allows them
    from jaxae.command import stopping

    stopping.install()
