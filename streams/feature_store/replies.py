"""Reading thousands of Redis' replies without a call of Python for each.

redis-py reads one reply a call, through a few functions each time. Of what has arrived with that
one, the rest lies parsed in its C parser, from where it is taken here at once. That needs names
which redis-py keeps to itself; where it has changed them, or parses in Python, replies come one by
one, as redis-py has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

try:
    from redis._parsers.hiredis import NOT_ENOUGH_DATA
except ImportError:  # pragma: no cover
    NOT_ENOUGH_DATA = None


def read_replies(connection: Any, count: int) -> list[Any]:
    """The next replies of a connection; raises the first that is an error, whichever it is.

    Then others may be unread: the connection is of no further use.
    """
    replies: list[Any] = []
    while len(replies) < count:
        replies.append(connection.read_response())
        arrived = list(islice(_parsed(connection), count - len(replies)))
        for error in filter(_is_error, arrived):
            raise error
        replies += arrived
    return replies


def _parsed(connection: Any) -> Iterable[Any]:
    """The replies that have arrived and only need taking; none where we cannot tell."""
    reader = getattr(getattr(connection, "_parser", None), "_reader", None)
    # From version 3 of the protocol on messages may come between replies.
    if reader is None or NOT_ENOUGH_DATA is None or connection.protocol != 2:
        return ()
    return iter(reader.gets, NOT_ENOUGH_DATA)


def _is_error(reply: object) -> bool:
    return isinstance(reply, Exception)
