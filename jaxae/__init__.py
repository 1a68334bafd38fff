"""Small convolutional autoencoders in JAX, trained fast."""

import sys

__version__ = "0.1.0"

# A command imports this module first: from here on, and through seconds of imports, no signal is lost.
_module = sys.orig_argv[-len(sys.argv)].removeprefix("-m") if sys.argv[:1] == ["-m"] else ""
if _module.partition(".")[0] == "jaxae" or sys.argv[0].endswith(("/bin/jaxae", "\\jaxae.exe")):
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))  # until `install` allows them
    from jaxae.command import stopping

    stopping.install()
