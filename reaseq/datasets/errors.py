"""What goes wrong with other people's files."""

from __future__ import annotations

from reaseq.errors import InputError


class FileError(InputError):
    """A file, a flag or an address that cannot be used; the message says what to do next."""
