"""The one exception that a person is meant to read."""

from __future__ import annotations


class S2IError(Exception):
    """One sentence: what came, what was expected, what to do about it.

    Raised below the user interfaces; the page shows it as ``gr.Error``, the command line prints it
    and exits with 2. Everything else that escapes is a bug.
    """
