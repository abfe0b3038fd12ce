"""JSON events to columns: this project's codec against other ways (ADR 0002).

    make bench-json-decoding [ARGS="--events 200000 --batch 4096 --rounds 5"]

All decode the same records in turns, as many at a time as a shard polls, and end in the same
tables, on one thread each. Speeds are events per second of processor time, so that other work on
the machine counts less; a ratio above 1 says that ours is faster. Then a child process gives
Arrow's reader a block that begins with the record `null`.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.json

from benchmarks.report import say, write_results
from benchmarks.rounds import compare
from reaseq.events import Event
from reaseq.schemas import EVENT_SCHEMA
from streams.log.byte_slices import ByteSlices
from streams.log.codec import event_codec

try:
    import simdjson
except ImportError:
    simdjson = None

MAX_BYTES = 262_144
CODEC = event_codec(MAX_BYTES)

HOSTILE = r"""
import io, pyarrow as pa, pyarrow.json
options = pa.json.ParseOptions(explicit_schema=pa.schema([pa.field("event_id", pa.string())]))
pa.json.read_json(io.BytesIO(b'null\n{"event_id":"a"}\n'), parse_options=options)
"""


def make_values(num_events: int) -> list[bytes]:
    """Records as a shop would send them, about 190 bytes each."""
    rows = pa.table(
        {
            "event_id": [
                f"{536365 + n // 20}/{85123 + n % 977}A#{n % 3}" for n in range(num_events)
            ],
            "user_id": [str(12_346 + n * 7919 % 4_372) for n in range(num_events)],
            "item_id": [f"{20_000 + n * 104_729 % 4_070}A" for n in range(num_events)],
            "event_type": ["purchase" if n % 5 else "return" for n in range(num_events)],
            "event_time_ms": [1_291_191_960_000 + 75_000 * n for n in range(num_events)],
            "value": [0.25 * (n % 400) for n in range(num_events)],
        },
        EVENT_SCHEMA,
    )
    context = b',"context":{"quantity":6,"country":"United Kingdom"}}'
    return [value[:-1] + context for value in CODEC.encode_rows(rows)]


def with_codec(values: Sequence[bytes]) -> pa.Table:
    """Our way: a compiled loop over the bytes, then columns."""
    return CODEC.decode(ByteSlices.of(values)).table


def with_msgspec(values: Sequence[bytes]) -> pa.Table:
    """One short-lived struct a record, then columns."""
    decode = msgspec.json.Decoder(Event).decode
    records = [decode(value) for value in values]
    columns = [
        pa.array(list(map(attrgetter(field.name), records)), field.type) for field in EVENT_SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=EVENT_SCHEMA)


def with_arrow(values: Sequence[bytes]) -> pa.Table:
    """Arrow's way: all records as lines of one buffer; types are checked, values are not."""
    parse = pyarrow.json.ParseOptions(
        explicit_schema=EVENT_SCHEMA, unexpected_field_behavior="ignore"
    )
    read = pyarrow.json.ReadOptions(use_threads=False)
    return pyarrow.json.read_json(BytesIO(b"\n".join(values)), read, parse)


def with_simdjson(values: Sequence[bytes]) -> pa.Table:
    """simdjson's bindings: one parsed document a record; neither types nor values are checked."""
    parser = simdjson.Parser()
    columns: dict[str, list[Any]] = {name: [] for name in EVENT_SCHEMA.names}
    for value in values:
        document = parser.parse(value)
        for name, column in columns.items():
            column.append(document.get(name))
        del document  # the parser is reused only when nothing refers to what it has parsed
    return pa.table(columns, EVENT_SCHEMA)


def events_per_second(
    decode: Callable[[Sequence[bytes]], pa.Table], batches: Sequence[Sequence[bytes]]
) -> float:
    """Speed of one run over all batches."""
    start = time.process_time()
    num_events = sum(int(decode(batch).num_rows) for batch in batches)
    return num_events / (time.process_time() - start)


def main() -> None:
    """Measure in turns, then show the crash."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    values = make_values(options.events)
    batches = [values[n : n + options.batch] for n in range(0, len(values), options.batch)]
    peers = {"msgspec": with_msgspec, "arrow": with_arrow}
    if simdjson is None:
        say("left out: simdjson (pip install pysimdjson)")
    else:
        peers["simdjson"] = with_simdjson
    for decode in peers.values():
        assert all(with_codec(b).equals(decode(b).cast(EVENT_SCHEMA)) for b in batches)
    size = statistics.mean(map(len, values))
    say(f"{options.events:,} events of {size:.0f} bytes, {options.batch:,} at a time")
    ours: list[float] = []
    others: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(options.rounds):
        ours.append(events_per_second(with_codec, batches) / 1e6)
        for name, decode in peers.items():
            others[name].append(events_per_second(decode, batches) / 1e6)
    speeds = {name: compare(name, "M events/s", ours, peer) for name, peer in others.items()}
    fate = fate_of(HOSTILE)
    say(f"pyarrow {pa.__version__} given a block that begins with `null`: {fate}")
    found = {"options": vars(options), "million_events_per_s": speeds, "arrow_given_null": fate}
    say(f"written: {write_results('json_decoding', found)}")


def fate_of(program: str) -> str:
    """How a child process that runs a program ends."""
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    if child.returncode < 0:
        return f"killed by {signal.Signals(-child.returncode).name}"
    return child.stderr.decode().strip().rpartition("\n")[2] or "no crash"


if __name__ == "__main__":
    main()
