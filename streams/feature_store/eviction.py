"""Whether a Redis drops features by itself when its memory is full.

Several hosted offers come so. Who is dropped is a stranger until the next event, and nothing says
so: not the write, which succeeds, and not the read, which finds nothing, as of a new user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from redis import Redis, ResponseError

ADVICE = (
    "set its maxmemory-policy to noeviction (or to one of volatile-*: features never expire), and "
    "maxmemory so that all users fit; or give the features a Redis of their own"
)


class Eviction(NamedTuple):
    """What a Redis does at its limit."""

    max_bytes: int
    """0 where there is none."""
    policy: str

    @property
    def loses_features(self) -> bool:
        """Whether rows may vanish: only keys with a time to live are others' business, and no row
        of a feature has one."""
        return self.max_bytes > 0 and self.policy.startswith("allkeys")

    def __str__(self) -> str:
        """In words that say what it means."""
        if not self.max_bytes:
            return "no limit of its own (maxmemory 0): nothing is dropped"
        limit = f"at {self.max_bytes / 2**20:,.0f} MiB (maxmemory)"
        if self.loses_features:
            return f"{limit} it drops users and items without a word ({self.policy})"
        return f"{limit} it refuses writes and drops no feature ({self.policy})"


def eviction_of(client: Redis) -> Eviction | None:
    """What the Redis says of itself; None where we may neither see its state nor its settings."""
    asks: tuple[Callable[[], Any], ...] = (
        lambda: client.info("memory"),
        lambda: client.config_get("maxmemory*"),
    )
    for ask in asks:
        try:
            told: Mapping[str, Any] = {name.replace("-", "_"): v for name, v in ask().items()}
        except ResponseError:  # hosted ones forbid the one or the other
            continue
        if "maxmemory" in told and "maxmemory_policy" in told:
            return Eviction(int(told["maxmemory"]), str(told["maxmemory_policy"]))
    return None
