"""The one exception a user is meant to read."""


class UserError(Exception):
    """Something the user can put right: bad input, a bad parameter, a missing model.

    The message is one line that says what was expected, what was found, where, and what to do.
    `recap.runtime.stage.run` prints it and exits with 1; no traceback is shown.
    """
