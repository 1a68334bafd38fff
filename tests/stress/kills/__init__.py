"""Programs that are killed again and again: for the tests, and for the record in `tests/stress/records`.

    python -m tests.stress.kills --kills 110 --record tests/stress/records/kills.json

A folder of small images makes epochs of a tenth of a second. A checkpoint is saved after each epoch, so that one is
being written most of the time, or in one job every half second. What is compared with an undisturbed run: the history
without timings, the latest and the best parameters.
Half of the kills come while something is being written; others after a random time, from the start of the process or
from its first progress on, and of a run the last when the summary of the whole of it is being made.
"""
