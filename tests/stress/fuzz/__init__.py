"""Generated inputs of every kind, good and broken, and what must hold of each.

    python -m tests.stress.fuzz --cases 5000 --record tests/stress/records/fuzz.json

Each case runs a command's own `main` under `command.run_main`, in this process, or the function that reads a kind of
file. What is valid is let go as far as it would start to train or to restore images, and no further: training and
scoring are replaced, and `denoise` gives back what it is given. So a case with status 0 says that all of it was read
and planned, not that it was trained.

What must hold: no traceback; a refusal is one line, and its status is not 0; what is written opens, and nothing is
written elsewhere; no process is left.
"""
