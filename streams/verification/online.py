"""Sequences as the online store serves them, against those recomputed from the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from reaseq.events import MAX_EVENT_TIME_MS
from reaseq.feature_views import SEQUENCES
from streams.feature_store.ports import FeatureTables
from streams.offline.events import EventArchive
from streams.verification.causes import Cause, cause_of, sequences_of

USERS_AT_ONCE = 2000


class Mismatch(NamedTuple):
    """A user whose sequence is not what it should be."""

    user_id: str
    cause: Cause


class OnlineCheck:
    """Recomputes sequences from the archive and compares."""

    def __init__(self, archive: EventArchive, features: FeatureTables, max_events: int) -> None:
        self._archive = archive
        self._features = features
        self._max_events = max_events

    def mismatches(
        self,
        users: Sequence[str],
        *,
        num_looks: int = 1,
        wait: Callable[[], None] = lambda: None,
        progress: Callable[[int], None] = lambda num_users: None,
    ) -> list[Mismatch]:
        """The users who differ, each looked at so many times.

        A stream that runs writes to the store before it archives, so who differs is looked at
        again after `wait` and reported only if it stays so. `progress` gets numbers of users done.
        """
        found: list[Mismatch] = []
        for some in _parts(users):
            found += self._look(some)
            progress(len(some))
        for _ in range(num_looks - 1):
            if found:
                wait()
                found = [one for some in _parts(_users(found)) for one in self._look(some)]
        return found

    def _look(self, users: Sequence[str]) -> Iterator[Mismatch]:
        # Online first: what is archived meanwhile is no event that the archive lacks.
        online = sequences_of(self._features.read(SEQUENCES, users))
        rows = self._archive.sequences_before(_at_the_end(users), self._max_events)
        expected = sequences_of(rows)
        for user in users:
            cause = cause_of(expected[user], online.get(user, []), self._max_events)
            if cause is not None:
                yield Mismatch(user, cause)


def _users(found: Iterable[Mismatch]) -> list[str]:
    return [one.user_id for one in found]


def _parts(users: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(users), USERS_AT_ONCE):
        yield users[start : start + USERS_AT_ONCE]


def _at_the_end(users: Sequence[str]) -> pa.Table:
    """Labels after everything that ever happened."""
    times = pa.repeat(pa.scalar(MAX_EVENT_TIME_MS, pa.int64()), len(users))
    return pa.table({"user_id": pa.array(users, pa.string()), "label_time_ms": times})
