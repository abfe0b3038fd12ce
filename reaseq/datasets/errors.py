"""What a user is told when a file cannot be read as a log."""

from __future__ import annotations


class FileError(ValueError):
    """A file, a flag or an address that cannot be used; the message says what to do next."""
