"""The family of errors that a user can fix.

Every message says what is wrong and what to do next. The command line prints it and nothing else;
any other exception is a defect and shows its traceback. The classes also keep the builtin base that
callers expect, so `except ValueError` goes on working.
"""

from __future__ import annotations


class ReaseqError(Exception):
    """What a user can fix; the message says what to do next."""


class InputError(ReaseqError, ValueError):
    """Something given is wrong or does not fit: an option, a file, an id, a model folder."""


class NotReadyError(ReaseqError, ValueError):
    """What is asked for needs something that is not there yet, or is in the way."""


class UnavailableError(ReaseqError, ConnectionError):
    """A service that was to be used does not answer, or does not let us in."""
