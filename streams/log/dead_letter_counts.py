"""What lies in the dead-letter topic at a glance: the newest letters, and how many of each kind."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from streams.log.dead_letter_topic import StoredLetter

MAX_REASONS = 1000
"""Reasons that are counted apart: some name what a producer wrote."""

OTHER_REASONS = "other reasons"


class Summary(NamedTuple):
    """Of some letters the newest ones, newest first and without what they held, and all counts."""

    newest: list[StoredLetter]
    reasons: Counter[str]
    """Letters by reason, its numbers as "#": those of one kind differ by a size or a place."""

    @property
    def num_letters(self) -> int:
        """All of them."""
        return self.reasons.total()


def summarize(letters: Iterable[StoredLetter], num_newest: int) -> Summary:
    """Memory is bounded whatever the number of letters."""
    newest: list[tuple[tuple[int, int, int], StoredLetter]] = []
    reasons: Counter[str] = Counter()
    for stored in letters:
        kind = re.sub(r"\d+", "#", stored.letter.reason)
        reasons[kind if kind in reasons or len(reasons) < MAX_REASONS else OTHER_REASONS] += 1
        age = (stored.set_aside_ms, stored.partition, stored.position)
        heapq.heappush(newest, (age, _without_content(stored)))
        if len(newest) > num_newest:
            heapq.heappop(newest)
    in_order = [stored for _, stored in sorted(newest, reverse=True)]
    return Summary(in_order, reasons)


def _without_content(stored: StoredLetter) -> StoredLetter:
    return stored._replace(letter=stored.letter._replace(key=None, value=None, headers=()))
