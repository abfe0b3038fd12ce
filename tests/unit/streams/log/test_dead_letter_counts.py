"""A glance at any number of dead letters takes bounded memory."""

from __future__ import annotations

from streams.log.dead_letter_counts import MAX_REASONS, OTHER_REASONS, summarize
from streams.log.dead_letter_topic import StoredLetter
from streams.log.dead_letters import DeadLetter
from streams.log.ports import Partition


def stored(
    position: int, set_aside_ms: int, reason: str = "bad", partition: int = 0
) -> StoredLetter:
    letter = DeadLetter(reason, Partition("events", 1), 5, b"k", b"v" * 1000, (("h", b"1"),))
    return StoredLetter(partition, position, set_aside_ms, letter)


def test_the_newest_are_kept_newest_first_whatever_the_partition() -> None:
    """By the time they were set aside; without what they held."""
    letters = [stored(0, 10), stored(1, 30), stored(0, 20, partition=1), stored(1, 20, partition=1)]
    summary = summarize(letters, 3)
    assert [one.id for one in summary.newest] == ["0@1", "1@1", "1@0"]
    assert {one.letter.value for one in summary.newest} == {None}
    assert summary.num_letters == 4


def test_reasons_that_differ_by_numbers_are_one_kind() -> None:
    """A size or a place does not make another reason."""
    reasons = ["300000 bytes, more than the 262144 allowed", "9 bytes, more than the 8 allowed"]
    summary = summarize([stored(n, 0, reason) for n, reason in enumerate([*reasons, "bad"])], 10)
    assert summary.reasons == {"# bytes, more than the # allowed": 2, "bad": 1}


def test_reasons_without_end_are_counted_together() -> None:
    """Those that come first are counted apart, and no letter is left out."""
    names = ["".join(chr(97 + int(digit)) for digit in str(n)) for n in range(MAX_REASONS + 50)]
    reasons = summarize([stored(n, 0, name) for n, name in enumerate(names * 2)], 1).reasons
    assert len(reasons) == MAX_REASONS + 1
    assert (reasons[names[0]], reasons[OTHER_REASONS]) == (2, 100)
    assert reasons.total() == 2 * len(names)
