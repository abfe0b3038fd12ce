"""Moments as people say and read them: "2h" ago, a date, an age."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from reaseq.errors import InputError

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def moment_ms(text: str, now_ms: int) -> int:
    """Milliseconds since 1970 of an age such as 90m, 2h or 7d, or of an ISO time (UTC).

    Raises InputError.
    """
    age = re.fullmatch(r"(\d{1,9})([smhd])", text.strip(), re.ASCII)
    if age:
        return now_ms - int(age[1]) * SECONDS[age[2]] * 1000
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(
            f"{text!r} is not a moment: give an age such as 90m, 2h or 7d, or a time (UTC) such as "
            "2026-11-30T08:00"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def age_of(moment_ms: int, now_ms: int) -> str:
    """How long ago, in the largest unit that fits: "5 s", "3 h"; "–" for a time that is not one."""
    if moment_ms < 0:
        return "–"
    age_s = max(0, now_ms - moment_ms) // 1000
    unit = next(name for name in reversed(SECONDS) if age_s >= SECONDS[name] or name == "s")
    return f"{age_s // SECONDS[unit]} {'min' if unit == 'm' else unit}"
