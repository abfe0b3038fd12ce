"""The figures of the stream in one place: `results/streaming.json`, beside those of its own run.

    make bench-headline

The other figures are what `make bench-feature-write`, `bench-freshness`, `bench-state` and
`bench-training-rows` found last; this copies them, each with the commit that it was measured at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from benchmarks.report import FOLDER, say

Found = dict[str, Any]


def found(name: str) -> Found:
    """What a benchmark found last; nothing if it never ran."""
    file = FOLDER / f"{name}.json"
    content: Found = msgspec.json.decode(file.read_bytes()) if file.exists() else {}
    return content


def best(contenders: Mapping[str, Any], beginning: str, peer: str) -> float | None:
    """The greatest median ratio to a peer, over the numbers of processes."""
    ratios = [
        one[peer]["median"]
        for name, one in contenders.items()
        if name.startswith(beginning) and peer in one
    ]
    return max(ratios, default=None)


def headline(contenders: Mapping[str, Any]) -> Found:
    """All figures of the stream; None where one was not measured."""
    writes, state = found("feature_write").get("users_per_s", {}), found("state").get("sizes", [])
    fresh, rows = found("freshness_redis"), found("training_rows").get("sizes", [])
    at_2000 = fresh.get("freshness_ms") or {}
    names = ("feature_write", "freshness_redis", "state", "training_rows")
    return {
        "vs_kafka_streams": {
            "with_redis": best(contenders, "reaseq, redis", "vs_kafka_streams"),
            "without_store": best(contenders, "reaseq, none", "vs_kafka_streams"),
        },
        "vs_quix": best(contenders, "reaseq, redis", "vs_quix"),
        "feature_write": {
            store: one["first"]["write_to_online_store"]["wall"]["ratio"]["median"]
            for store, one in writes.items()
        },
        "freshness_ms": {"p50": at_2000.get("p50_ms"), "p99": at_2000.get("p99_ms")},
        "bytes_per_event": state[-1]["bytes_per_event"] if state else None,
        "idle_cores": fresh.get("idle_cores", {}).get("shards"),
        "training_rows_per_s": rows[-1]["rows_per_s"] if rows else None,
        "measured_at": {name: found(name).get("measured_with", {}).get("commit") for name in names},
    }


def main() -> None:
    """Put the figures that there are into the file, and print them."""
    streaming = found("streaming")
    figures = headline(streaming.get("contenders", {}))
    content = msgspec.json.encode({**streaming, **figures})
    (FOLDER / "streaming.json").write_bytes(msgspec.json.format(content) + b"\n")
    for name, figure in figures.items():
        say(f"{name:<20} {figure}")


if __name__ == "__main__":
    main()
