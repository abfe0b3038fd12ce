"""The stream under kills, in short; `make soak` is the long version."""

from __future__ import annotations

import random

from benchmarks.soak.soak import Plan, soak


def test_nothing_shows_of_kills_of_every_part() -> None:
    """A shard, the driver, a Ray node, the broker and Redis, where they are there: see the seed."""
    plan = Plan(num_events=24_000, num_kills=5, seed=random.randrange(10**6))
    outcome = soak(plan)
    assert outcome.verdict.num_wrong == 0, (plan, outcome)
    assert outcome.exit_status == 0, (plan, outcome)
    assert outcome.verdict.dead_letters == 2400, (plan, outcome)
