"""Writing user sequences online, guarded and by column, against Feast's own stores.

    make bench-feature-write [ARGS="--rounds 7 --users 5000"]

All keep the same sequences of 100 events, on SQLite and on a Redis that is started here (left out
without a `redis-server`), and take turns, a thousand users a call: first into an empty store, then
newer versions of the same users. Ours writes Arrow tables by `Features.write`, under the guard. The
peers are Feast's `write_to_online_store`, which takes a data frame, and its
`online_write_batch`, which takes protobuf objects that were made before the clock started; neither
guards. Afterwards Feast's own class reads all stores and must find the same.

Two clocks: that of the wall, and the processor time of this process and of Redis together. Where
both have a core to themselves ours prepares rows while Redis takes others in, which only the wall
shows; beside other work the wall says little.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureStore, RepoConfig
from feast.infra.online_stores.helpers import get_online_store_from_config
from feast.protos.feast.types.Value_pb2 import Value
from pydantic import SecretStr
from redis import Redis

from benchmarks.offline import sequences
from benchmarks.redis_server import started_redis
from benchmarks.report import say, write_results
from benchmarks.rounds import compare
from reaseq.feature_views import SEQUENCES
from streams.feature_store.features import Features
from streams.feature_store.views import FeastAnswer, encode_rows, entity_keys_of

USERS_AT_ONCE = 1000
CLOCKS = ("wall", "processor")
STAGES = ("first", "newer")
PEERS = ("write_to_online_store", "online_write_batch")

Seconds = dict[tuple[str, str, str], float]
"""Of each stage, side and clock."""


class Stores(NamedTuple):
    """One kind of online store: ours, and two of Feast's own on databases of their own."""

    ours: Features
    peers: dict[str, FeatureStore]
    redis: Redis | None

    def clocks(self) -> tuple[float, float]:
        """What each clock shows."""
        used: Any = {} if self.redis is None else self.redis.info("cpu")
        of_redis = used.get("used_cpu_user", 0.0) + used.get("used_cpu_sys", 0.0)
        return time.perf_counter(), time.process_time() + of_redis


def open_stores(folder: Path, url: str | None) -> Stores:
    """Empty stores in a new folder: on SQLite, or on the databases 0 to 2 of a Redis."""
    home = folder / "ours"
    if url is None:
        Features.apply(home)
    else:
        Features.apply(home, "redis", SecretStr(f"redis://{url}/0"))
    applied = FeatureStore(repo_path=str(home))
    peers = {}
    for database, name in enumerate(PEERS, start=1):
        online = (
            {"type": "sqlite", "path": str(folder / name / "online.db")}
            if url is None
            else {"type": "redis", "connection_string": f"{url},db={database}"}
        )
        (folder / name).mkdir()
        peers[name] = FeatureStore(config=feasts_own(applied, folder / name, online))
        peers[name].apply([applied.get_entity("user"), applied.get_feature_view(SEQUENCES.name)])
    return Stores(Features.open(home), peers, Redis.from_url(f"redis://{url}") if url else None)


def feasts_own(applied: FeatureStore, folder: Path, online: dict[str, str]) -> RepoConfig:
    """The settings of our store, with one of Feast's online."""
    return RepoConfig(
        project=applied.config.project,
        provider="local",
        registry=str(folder / "registry.db"),
        online_store=online,
        offline_store={"type": applied.config.offline_store.type},
        entity_key_serialization_version=applied.config.entity_key_serialization_version,
        repo_path=folder,
    )


def users(rng: np.random.Generator, num_users: int) -> pa.Table:
    """Sequences of distinct users, in no order of their names."""
    ids = pa.array([f"user-{number}" for number in rng.permutation(num_users)])
    return sequences(rng, num_users).set_column(0, SEQUENCES.schema.field(0), ids)


def newer(rows: pa.Table) -> pa.Table:
    """The same users a millisecond later: Feast's Redis passes over an equal time."""
    place = rows.schema.get_field_index(SEQUENCES.time)
    times = pa.array(np.asarray(rows[SEQUENCES.time]) + 1)
    return rows.set_column(place, SEQUENCES.schema.field(place), times)


def as_frame(rows: pa.Table) -> pd.DataFrame:
    """What `write_to_online_store` takes."""
    frame = rows.to_pandas()
    frame["event_timestamp"] = pd.to_datetime(frame[SEQUENCES.time], unit="ms", utc=True)
    frame["created"] = frame["event_timestamp"] + pd.to_timedelta(frame["revision"], "us")
    return frame


def as_protos(rows: pa.Table) -> list[Any]:
    """What `online_write_batch` takes."""
    encoded = encode_rows(SEQUENCES, rows)
    columns = {name: column.to_pylist() for name, column in encoded.values.items()}
    keys = entity_keys_of(SEQUENCES, rows["user_id"].to_pylist())
    times = pd.to_datetime(encoded.event_times_us, unit="us", utc=True).to_pydatetime()
    return [
        (key, {n: Value.FromString(c[row]) for n, c in columns.items()}, time, time)
        for row, (key, time) in enumerate(zip(keys, times, strict=True))
    ]


def writers(stores: Stores, rows: pa.Table) -> dict[str, Callable[[], object]]:
    """Each side's write of a few rows, its input made beforehand."""
    frame, protos = as_frame(rows), as_protos(rows)
    by_frame, by_protos = (stores.peers[name] for name in PEERS)
    view = by_protos.get_feature_view(SEQUENCES.name)
    online = by_protos._get_provider()
    return {
        "ours": lambda: stores.ours.write(SEQUENCES, rows),
        PEERS[0]: lambda: by_frame.write_to_online_store(SEQUENCES.name, df=frame),
        PEERS[1]: lambda: online.online_write_batch(by_protos.config, view, protos, None),
    }


def run_round(stores: Stores, rows: pa.Table, turn: int) -> Seconds:
    """What each side took for each stage; who begins changes with every call."""
    seconds: Seconds = defaultdict(float)
    for stage in STAGES:
        for start in range(0, rows.num_rows, USERS_AT_ONCE):
            sides = list(writers(stores, rows.slice(start, USERS_AT_ONCE)).items())
            first = (turn + start // USERS_AT_ONCE) % len(sides)
            for name, write in sides[first:] + sides[:first]:
                before = stores.clocks()
                write()
                for clock, start_s, end_s in zip(CLOCKS, before, stores.clocks(), strict=True):
                    seconds[stage, name, clock] += end_s - start_s
        check(stores, rows)
        rows = newer(rows)
    return seconds


def check(stores: Stores, rows: pa.Table) -> None:
    """Feast's own class finds the same in all three stores."""
    ids = rows["user_id"].to_pylist()[:: max(1, rows.num_rows // 500)]
    by_frame, by_protos = (found_by_feast(store, store, ids) for store in stores.peers.values())
    ours = FeatureStore(repo_path=str(stores.ours.home))
    own = found_by_feast(stores.peers[PEERS[0]], ours, ids)
    assert by_frame == own, "Feast reads in our store what it reads in its own"
    assert by_protos == own


def found_by_feast(peer: FeatureStore, store: FeatureStore, ids: list[str]) -> list[Any]:
    """The features that the class of `peer` reads from the data of `store`."""
    reader: Any = get_online_store_from_config(peer.config.online_store)
    config = store.config
    if store is not peer:
        online = peer.config.online_store.model_copy()
        if hasattr(online, "path"):
            online.path = str(store.repo_path / config.online_store.path)
        else:
            online.connection_string = online.connection_string.split(",")[0] + ",db=0"
        config = peer.config.model_copy()
        config._online_store = online
    view = peer.get_feature_view(SEQUENCES.name)
    answers: list[FeastAnswer] = reader.online_read(config, view, entity_keys_of(SEQUENCES, ids))
    return [features for _, features in answers]


def measure(kind: str, url: str | None, options: argparse.Namespace) -> dict[str, Any]:
    """Rounds on one kind of store: users per second of each side, and our ratio to each peer."""
    rounds = []
    for number in range(options.rounds + 1):
        with tempfile.TemporaryDirectory(prefix="reaseq-feature-write-") as folder:
            if url is not None:
                with Redis.from_url(f"redis://{url}") as client:
                    client.flushall()
            rows = users(np.random.default_rng(number), options.users)
            rounds.append(run_round(open_stores(Path(folder), url), rows, number))

    def speeds(*of: str) -> list[float]:
        # The first round warms up: the compiled loops load, connections open.
        return [options.users / taken[of] for taken in rounds[1:]]  # type: ignore[index]

    found: dict[str, Any] = {}
    for stage, peer, clock in itertools.product(STAGES, PEERS, CLOCKS):
        say(f"{kind}, {stage} version, against {peer}, {clock} clock")
        ours, theirs = speeds(stage, "ours", clock), speeds(stage, peer, clock)
        spreads = compare("users", "per s", ours, theirs)
        found.setdefault(stage, {}).setdefault(peer, {})[clock] = spreads
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--users", type=int, default=5000)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="feast")
    stores: dict[str, Any] = {}
    with ExitStack() as stack:
        stores["sqlite"] = measure("SQLite", None, options)
        url = stack.enter_context(started_redis())
        if url is not None:
            stores["redis"] = measure("Redis", url, options)
    figures = {"options": vars(options), "users_per_s": stores}
    say(f"written: {write_results('feature_write', figures)}")


if __name__ == "__main__":
    main()
