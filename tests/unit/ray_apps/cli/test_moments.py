"""Moments are typed and read as people say them."""

from __future__ import annotations

import pytest

from ray_apps.cli.moments import age_of, moment_ms
from reaseq.errors import InputError

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("90m", NOW_MS - 5_400_000),
        ("2h", NOW_MS - 7_200_000),
        (" 7d ", NOW_MS - 604_800_000),
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01T02:00:00+02:00", 0),
    ],
)
def test_an_age_or_a_time_is_a_moment(text: str, expected_ms: int) -> None:
    """A time without a zone is UTC."""
    assert moment_ms(text, NOW_MS) == expected_ms


@pytest.mark.parametrize("text", ["", "yesterday", "2 weeks", "-1h", "1.5h"])
def test_another_text_is_refused(text: str) -> None:
    """With what may be given."""
    with pytest.raises(InputError, match="2h"):
        moment_ms(text, NOW_MS)


@pytest.mark.parametrize(
    ("age_ms", "shown"),
    [(-5, "0 s"), (59_999, "59 s"), (60_000, "1 min"), (7_200_000, "2 h"), (86_400_000, "1 d")],
)
def test_an_age_is_in_the_largest_unit_that_fits(age_ms: int, shown: str) -> None:
    """A clock that is behind gives no age below zero, and no time no age."""
    assert age_of(NOW_MS - age_ms, NOW_MS) == shown
    assert age_of(-1, NOW_MS) == "–"
