"""The one kind of error that a user can mend."""


class UserError(Exception):
    """What the user gave cannot be used: the message is one line that names the input and the remedy.

    Commands print it after ``error:`` and leave with status 2; a library user catches it like any exception.
    """
