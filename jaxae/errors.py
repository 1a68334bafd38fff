"""The error for whatever a user can mend."""


class UserError(ValueError):
    """An input is wrong or something is missing: one line that names it and the remedy.

    A message names a function's argument in backticks, such as `` `batch_size` ``. The command line replaces it with
    the option that sets it, ``--train.batch-size``.
    """
