"""The stream under kills: nothing is lost, nothing counts twice, and nobody has to help.

    make soak [ARGS="--events 1000000 --kills 50 --seed 1"]

Apache Kafka (where kafka.launcher names it), Redis, a Ray cluster of a head and a worker node and
`reaseq stream` run as processes of their own. While events come in, doubled, late, compressed, in
transactions and among malformed records, one of them is killed with SIGKILL, again and again:
a shard, the driver, the worker node, the broker, Redis. In the end everything is compared with what
was sent. Memory has room for a tenth of the users. Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.report import say, write_results
from benchmarks.soak.soak import Plan, soak


def main() -> int:
    """Run one soak and keep what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--result", default="soak", help="name of the file of results")
    options = parser.parse_args()
    plan = Plan(options.events, options.kills, options.seed)
    say(f"seed {plan.seed}")
    outcome = soak(plan)
    verdict = outcome.verdict
    figures = {
        **{name: value for name, value in outcome._asdict().items() if name != "verdict"},
        "kills": sum(outcome.kills.values()),
        "kills_by_part": outcome.kills,
        "seconds": round(outcome.seconds),
        "events": plan.num_events,
        "seed": plan.seed,
        **verdict._asdict(),
    }
    for name, value in figures.items():
        say(f"{name:<16} {value}")
    say(f"written: {write_results(options.result, figures)}")
    return 1 if verdict.num_wrong or outcome.exit_status else 0


if __name__ == "__main__":
    sys.exit(main())
