"""What `Features` promises, on Feast's real stores in a home of its own; its port on a fake too."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore
from feast.data_source import PushMode

from reaseq.feature_views import GENERATED, ITEMS, POPULARITY, SEQUENCES
from reaseq.schemas import (
    EVENT_SCHEMA,
    GENERATED_SCHEMA,
    ITEM_SCHEMA,
    ORDER_SCHEMA,
    POPULARITY_SCHEMA,
    SEQUENCE_SCHEMA,
    TRAINING_SCHEMA,
)
from streams.feature_store.features import Features
from streams.feature_store.memory import MemoryFeatures
from streams.feature_store.ports import FeatureTables
from streams.offline.events import EventArchive, arrived, as_history
from streams.offline.tables import Commit
from tests.processes import on_pipes

ROOT = Path(__file__).parents[3]
NOW_MS = 1_700_000_000_123
"""Not a whole second, on purpose."""


@pytest.fixture
def features(tmp_path: Path, online: dict[str, Any]) -> Features:
    """An empty feature store."""
    Features.apply(tmp_path, **online)
    return Features.open(tmp_path)


@pytest.fixture
def store(request: pytest.FixtureRequest, online: dict[str, Any] | None) -> FeatureTables:
    """An empty feature store behind its port: the real ones, and the fake."""
    return MemoryFeatures() if online is None else request.getfixturevalue("features")


def on_the_fake_too(test: Any) -> Any:
    """Run a test of the port on `MemoryFeatures` beside the real stores."""
    stores = ["sqlite", "redis", "memory"]
    return pytest.mark.parametrize("online", stores, indirect=True)(test)


@pytest.fixture(params=["UTC", "America/St_Johns"])
def time_zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """The process lives in a time zone; the features must not care."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def sequence(user_id: str, newest_ms: int, revision: int = 1, num_events: int = 2) -> pa.Table:
    """A user sequence with one event a millisecond up to `newest_ms`."""
    row = {
        "user_id": user_id,
        "item_ids": [f"item-{revision}-{i}" for i in range(num_events)],
        "event_types": ["view"] * num_events,
        "event_times_ms": [newest_ms - num_events + 1 + i for i in range(num_events)],
        "event_values": [0.5] * num_events,
        "event_keys": [-(2**62) + i for i in range(num_events)],
        "newest_event_time_ms": newest_ms,
        "revision": revision,
    }
    return pa.Table.from_pylist([row], SEQUENCE_SCHEMA)


def generated(user_id: str, newest_ms: int, revision: int = 1) -> pa.Table:
    """What was generated for a user's sequence of that version."""
    row = {
        "user_id": user_id,
        "item_ids": [f"item-{revision}"],
        "probabilities": [0.5],
        "model_version": "g1",
        "generated_at_ms": revision,
        "partition": 0,
        "next_offset": 1,
        "newest_event_time_ms": newest_ms,
        "revision": revision,
    }
    return pa.Table.from_pylist([row], GENERATED_SCHEMA)


def labels(*rows: tuple[str, int]) -> pa.Table:
    """Labels whose item names their place."""
    named = [(user, ms, [f"label-{place}"]) for place, (user, ms) in enumerate(rows)]
    columns = [list(column) for column in zip(*named, strict=True)]
    return pa.table(columns, ORDER_SCHEMA)


# Online


@on_the_fake_too
def test_sequences_come_back_as_written(store: FeatureTables) -> None:
    """Every column survives, long and empty lists too."""
    rows = pa.concat_tables(
        [sequence("anna", NOW_MS, num_events=100), sequence("boris", NOW_MS, num_events=0)]
    )
    assert store.write(SEQUENCES, rows) == 2
    assert store.read(SEQUENCES, ["anna", "boris"]).equals(rows)


@on_the_fake_too
def test_unknown_users_are_left_out(store: FeatureTables) -> None:
    """A user without a sequence is not in the answer, and a user asked twice is there once."""
    store.write(SEQUENCES, sequence("anna", NOW_MS))
    found = store.read(SEQUENCES, ["nobody", "anna", "anna"])
    assert found["user_id"].to_pylist() == ["anna"]
    assert store.read(SEQUENCES, ["nobody"]).equals(SEQUENCE_SCHEMA.empty_table())
    assert store.read(SEQUENCES, []).equals(SEQUENCE_SCHEMA.empty_table())


@on_the_fake_too
def test_the_known_are_those_with_a_row_in_the_view(store: FeatureTables) -> None:
    """Each once, in the order asked; a row of the same user in another view does not count."""
    store.write(SEQUENCES, pa.concat_tables([sequence("anna", NOW_MS), sequence("ünal", NOW_MS)]))
    store.write(GENERATED, generated("boris", NOW_MS))
    asked = ["nobody", "ünal", "boris", "anna", "ünal"]
    assert store.known(SEQUENCES, asked) == ["ünal", "anna"]
    assert store.known(GENERATED, asked) == ["boris"]
    assert store.known(SEQUENCES, []) == []


@on_the_fake_too
def test_what_is_deleted_is_gone_and_nothing_else(store: FeatureTables) -> None:
    """Rows up to a time, in one view; a later one stays, and an older one may come again."""
    users = ["anna", "boris", "ünal"]
    store.write(SEQUENCES, pa.concat_tables([sequence(user, NOW_MS) for user in users]))
    store.write(GENERATED, generated("anna", NOW_MS))
    assert store.delete(SEQUENCES, users, NOW_MS - 1) == 0
    store.write(SEQUENCES, sequence("boris", NOW_MS + 1))
    assert store.delete(SEQUENCES, ["ünal", "boris", "anna", "anna", "nobody"], NOW_MS) == 2
    assert store.delete(SEQUENCES, ["anna"], NOW_MS) == 0
    assert store.read(SEQUENCES, users).equals(sequence("boris", NOW_MS + 1))
    assert store.known(SEQUENCES, users) == ["boris"]
    assert store.known(GENERATED, users) == ["anna"]
    assert store.write(SEQUENCES, sequence("anna", NOW_MS - 5)) == 1
    assert store.read(SEQUENCES, ["anna"]).equals(sequence("anna", NOW_MS - 5))


@on_the_fake_too
def test_a_sync_keeps_what_is_there(store: FeatureTables) -> None:
    """It may come at any time, also when nothing was written, and changes no row."""
    store.sync()
    store.write(SEQUENCES, sequence("anna", NOW_MS))
    store.sync()
    store.sync()
    assert store.read(SEQUENCES, ["anna"]).equals(sequence("anna", NOW_MS))


@on_the_fake_too
@pytest.mark.parametrize(
    ("newest_ms", "revision", "is_accepted"),
    [
        pytest.param(NOW_MS - 1, 9, False, id="older event, a millisecond in the same second"),
        pytest.param(NOW_MS - 86_400_000, 9, False, id="older event by a day"),
        pytest.param(NOW_MS, 4, False, id="equal time, stale revision"),
        pytest.param(NOW_MS, 5, True, id="equal time, equal revision: a replay"),
        pytest.param(NOW_MS, 6, True, id="equal time, higher revision: a late event"),
        pytest.param(NOW_MS + 1, 6, True, id="newer event in the same second"),
    ],
)
def test_a_row_never_goes_back(
    store: FeatureTables, time_zone: None, newest_ms: int, revision: int, is_accepted: bool
) -> None:
    """Only a row whose (event time, revision) is at least the stored one is written."""
    stored, written = sequence("anna", NOW_MS, 5), sequence("anna", newest_ms, revision)
    store.write(SEQUENCES, stored)
    assert store.write(SEQUENCES, written) == is_accepted
    assert store.num_refused == (not is_accepted)
    assert store.read(SEQUENCES, ["anna"]).equals(written if is_accepted else stored)


@on_the_fake_too
def test_one_batch_counts_as_its_rows_one_by_one(store: FeatureTables) -> None:
    """A user twice in a batch ends with the newer row, wherever it stands."""
    newer, older = sequence("anna", NOW_MS, 2), sequence("anna", NOW_MS, 1)
    assert store.write(SEQUENCES, pa.concat_tables([newer, older])) == 1
    assert store.read(SEQUENCES, ["anna"]).equals(newer)


def test_a_batch_may_exceed_the_variables_of_a_statement(features: Features) -> None:
    """33,000 users go in and out at once; SQLite allows 32,766 variables in a statement."""
    count = 33_000
    users = pa.array([f"user-{i}" for i in range(count)])
    one = sequence("anyone", NOW_MS, num_events=1)
    rows = one.take(pa.array([0] * count)).set_column(0, SEQUENCE_SCHEMA.field(0), users)
    assert features.write(SEQUENCES, rows) == count
    assert features.read(SEQUENCES, users.to_pylist()).num_rows == count
    assert features.known(SEQUENCES, ["nobody", *users.to_pylist()]) == users.to_pylist()


def test_feasts_own_way_in_is_guarded(features: Features) -> None:
    """A row written through Feast carries its revision in the created timestamp."""
    features.write(SEQUENCES, sequence("anna", NOW_MS, 5))
    store = FeatureStore(repo_path=str(features.home))
    for revision in (6, 4):
        frame = sequence("anna", NOW_MS, revision).to_pandas()
        frame["event_timestamp"] = pd.to_datetime(NOW_MS, unit="ms", utc=True)
        frame["created"] = frame["event_timestamp"] + pd.Timedelta(revision, "us")
        store.write_to_online_store("user_sequence", df=frame)
    assert features.read(SEQUENCES, ["anna"])["revision"].to_pylist() == [6]


def test_threads_share_one_store(features: Features) -> None:
    """Four threads write and read the same users; each user ends with the newest row."""
    failures: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for revision in range(first, 80, 4):
                features.write(SEQUENCES, sequence("anna", NOW_MS, revision))
                features.read(SEQUENCES, ["anna"])
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert features.read(SEQUENCES, ["anna"]).equals(sequence("anna", NOW_MS, 79))


WRITER = """
import sys
import numpy as np
import pyarrow as pa
from reaseq.feature_views import SEQUENCES
from streams.feature_store.features import Features
from streams.feature_store.memory import MemoryFeatures
from streams.feature_store.ports import FeatureTables
from streams.offline.events import EventArchive, arrived, as_history
from streams.offline.tables import Commit

home, seed = sys.argv[1], int(sys.argv[2])
features = Features.open(home)
rows = features.read(SEQUENCES, ["seed"])
print("ready", flush=True)
sys.stdin.readline()
revisions = np.random.default_rng(seed).permutation(100) * 2 + seed
accepted = 0
for revision in revisions:
    batch = rows.take([0] * 50)
    batch = batch.set_column(0, "user_id", pa.array([f"user-{i}" for i in range(50)]))
    batch = batch.set_column(7, "revision", pa.array([revision] * 50))
    accepted += features.write(SEQUENCES, batch)
print(accepted, features.num_refused, flush=True)
"""


def test_two_processes_write_the_same_users(features: Features, online: dict[str, Any]) -> None:
    """Two processes write 50 users in shuffled order; all end at the highest revision of both."""
    features.write(SEQUENCES, sequence("seed", NOW_MS))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", WRITER, str(features.home)]
    with ExitStack() as stack:
        writers = [
            on_pipes(stack, [*command, str(seed)], env=environment | {"TZ": zone})
            for seed, zone in ((0, "UTC"), (1, "Asia/Tokyo"))
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        users = [f"user-{i}" for i in range(50)]
        outputs = []
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        highest = dict.fromkeys(users, -1)
        while any(writer.poll() is None for writer in writers):
            found = features.read(SEQUENCES, users)
            seen = dict(
                zip(found["user_id"].to_pylist(), found["revision"].to_pylist(), strict=True)
            )
            if online["online"] == "sqlite":
                assert len(set(seen.values())) <= 1, "a batch is visible whole or not at all"
            assert all(highest[user] <= seen.get(user, -1) for user in users), "no user went back"
            highest |= seen
        for writer in writers:
            outputs.append(writer.communicate()[0].split())
            assert writer.returncode == 0
    assert set(features.read(SEQUENCES, users)["revision"].to_pylist()) == {199}
    assert all(int(accepted) + int(refused) == 5000 for accepted, refused in outputs)


@on_the_fake_too
def test_items_and_popularity_keep_the_newest(store: FeatureTables) -> None:
    """Descriptions and counts come back, absent prices too, and an older one is refused."""
    item = {"item_id": "i", "title": "Tea", "price": None, "description": "green"}
    rows = pa.Table.from_pylist([item | {"event_time_ms": NOW_MS}], ITEM_SCHEMA)
    assert store.write(ITEMS, rows) == 1
    older = pa.Table.from_pylist([item | {"title": "Te", "event_time_ms": NOW_MS - 1}], ITEM_SCHEMA)
    assert store.write(ITEMS, older) == 0
    assert store.read(ITEMS, ["i", "j"]).equals(rows)
    counts = {"item_id": "i", "num_purchases": 3, "num_buyers": 2, "event_time_ms": NOW_MS}
    popularity = pa.Table.from_pylist([counts], POPULARITY_SCHEMA)
    assert store.write(POPULARITY, popularity) == 1
    assert store.read(POPULARITY, ["i"]).equals(popularity)
    store.append(ITEMS, rows, Commit("a"))
    store.append(POPULARITY, popularity, Commit("a"))
    assert store.newest(ITEMS).equals(rows)
    assert store.newest(POPULARITY).equals(popularity)


@on_the_fake_too
def test_rows_that_do_not_fit_are_named(store: FeatureTables) -> None:
    """A missing column or a null that must not be is an error that says which."""
    with pytest.raises(ValueError, match="revision"):
        store.write(SEQUENCES, sequence("anna", NOW_MS).drop_columns(["revision"]))
    nameless = pa.table({"item_id": ["i"], "title": [None], "price": [1.0], "description": ["d"]})
    with pytest.raises(ValueError, match="title must not hold a null"):
        store.write(ITEMS, nameless.append_column("event_time_ms", pa.array([NOW_MS])))


# Offline


def test_a_push_reaches_both_sides(features: Features) -> None:
    """Feast's push source writes online through the guard and appends offline."""
    features.append(GENERATED, generated("anna", NOW_MS, 1), Commit("first"))
    frame = generated("anna", NOW_MS, 2).to_pandas()
    frame["event_timestamp"] = pd.to_datetime(NOW_MS, unit="ms", utc=True)
    frame["created"] = frame["event_timestamp"] + pd.Timedelta(2, "us")
    store = FeatureStore(repo_path=str(features.home))
    store.push("generated_behaviour_push", frame, to=PushMode.ONLINE_AND_OFFLINE)
    assert features.read(GENERATED, ["anna"])["revision"].to_pylist() == [2]
    rows = features.rows_before(GENERATED, labels(("anna", NOW_MS + 1)))
    assert rows["revision"].to_pylist() == [2]


def test_a_view_that_is_computed_is_pushed_online_alone(features: Features) -> None:
    """Its past follows from the events, and nothing else may claim to be it."""
    frame = sequence("anna", NOW_MS, 2).to_pandas()
    frame["event_timestamp"] = pd.to_datetime(NOW_MS, unit="ms", utc=True)
    frame["created"] = frame["event_timestamp"] + pd.Timedelta(2, "us")
    store = FeatureStore(repo_path=str(features.home))
    with pytest.raises(ValueError, match="follows from the events"):
        store.push("user_sequence_push", frame, to=PushMode.OFFLINE)
    store.push("user_sequence_push", frame, to=PushMode.ONLINE)
    assert features.read(SEQUENCES, ["anna"])["revision"].to_pylist() == [2]


@on_the_fake_too
def test_rows_before_see_only_the_past(store: FeatureTables, time_zone: None) -> None:
    """Each label finds the newest row strictly before it, to the millisecond."""
    year_ms = 365 * 86_400_000
    rows = {
        "old": generated("anna", NOW_MS - year_ms, 1),
        "before": generated("anna", NOW_MS, 2),
        "late": generated("anna", NOW_MS, 3),
        "after": generated("anna", NOW_MS + 1, 4),
        "boris": generated("boris", NOW_MS + 5, 1),
    }
    store.append(GENERATED, pa.concat_tables([rows["late"], rows["old"]]), Commit("a", 1))
    store.append(GENERATED, pa.concat_tables([rows["before"], rows["after"]]), Commit("a", 2))
    store.append(GENERATED, rows["boris"], Commit("c"))
    asked = labels(
        ("anna", NOW_MS + 1),
        ("anna", NOW_MS),
        ("boris", NOW_MS + 5),
        ("anna", NOW_MS + 1),
        ("boris", NOW_MS + 6),
        ("nobody", NOW_MS),
        ("anna", NOW_MS + 2),
        ("anna", NOW_MS - year_ms),
    )
    expected = ["late", "old", None, "late", "boris", None, "after", None]
    before = store.rows_before(GENERATED, asked)
    assert before.schema.equals(GENERATED_SCHEMA)
    assert before["user_id"].equals(asked["user_id"])
    for place, name in enumerate(expected):
        found = before.slice(place, 1)
        if name is None:
            assert found["revision"].to_pylist() == [0]
            assert found["newest_event_time_ms"].to_pylist() == [0]
            assert found["item_ids"].to_pylist() == [[]]
        else:
            assert found.equals(rows[name])


@on_the_fake_too
def test_a_repeated_commit_changes_nothing(store: FeatureTables) -> None:
    """The same rows appended twice are found once."""
    asked = labels(("anna", NOW_MS + 1))
    store.append(GENERATED, generated("anna", NOW_MS), Commit("shard-0", 7))
    once = store.rows_before(GENERATED, asked)
    store.append(GENERATED, generated("anna", NOW_MS), Commit("shard-0", 7))
    assert store.rows_before(GENERATED, asked).equals(once)


@on_the_fake_too
def test_labels_without_any_past_come_back(store: FeatureTables) -> None:
    """No row was appended yet, or no label asked: the answer has the rows of the labels."""
    before = store.rows_before(GENERATED, labels(("anna", NOW_MS)))
    assert before["revision"].to_pylist() == [0]
    nothing = store.rows_before(GENERATED, ORDER_SCHEMA.empty_table())
    assert nothing.equals(GENERATED_SCHEMA.empty_table())


@on_the_fake_too
def test_what_is_newest_does_not_depend_on_the_order_of_appends(store: FeatureTables) -> None:
    """By time, then revision, then what came last; one row a key, by key."""
    versions = [generated("boris", NOW_MS, 2), generated("anna", NOW_MS + 1, 1)]
    older = [generated("anna", NOW_MS, 9), generated("boris", NOW_MS, 1)]
    store.append(GENERATED, pa.concat_tables(versions), Commit("a", 1))
    store.append(GENERATED, pa.concat_tables(older), Commit("a", 2))
    assert store.newest(GENERATED).equals(pa.concat_tables(reversed(versions)))
    assert store.keys(GENERATED) == ["anna", "boris"]
    item = {"item_id": "i", "price": None, "description": None, "event_time_ms": NOW_MS}
    for version, title in enumerate(["Te", "Tea"]):
        rows = pa.Table.from_pylist([item | {"title": title}], ITEM_SCHEMA)
        store.append(ITEMS, rows, Commit("b", version))
    assert store.newest(ITEMS)["title"].to_pylist() == ["Tea"]


@on_the_fake_too
def test_a_commit_that_covers_less_than_the_last_adds_nothing(store: FeatureTables) -> None:
    """After a crash fewer records may come again at first, and then more than before."""
    first, second = generated("anna", NOW_MS, 1), generated("anna", NOW_MS + 5, 2)
    asked = labels(("anna", NOW_MS + 1), ("anna", NOW_MS + 6))
    store.append(GENERATED, first, Commit("shard-0", 7))
    store.append(GENERATED, first, Commit("shard-0", 6))
    store.append(GENERATED, pa.concat_tables([first, second]), Commit("shard-0", 9))
    assert store.rows_before(GENERATED, asked)["revision"].to_pylist() == [1, 2]


# Computed from the events


@pytest.fixture
def archive(features: Features) -> EventArchive:
    return EventArchive(features.home / "data" / "events")


def events(*made: tuple[str, int, str]) -> pa.Table:
    """(user, time, item) each, every one a purchase."""
    rows = [
        {
            "event_id": f"{item}-{time_ms}",
            "user_id": user,
            "item_id": item,
            "event_type": "purchase",
            "event_time_ms": time_ms,
        }
        for user, time_ms, item in made
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


def test_training_rows_are_what_a_replay_of_the_log_holds(
    features: Features, archive: EventArchive, time_zone: None
) -> None:
    """Through Feast: earlier in the log, and strictly earlier in time, to the millisecond."""
    archive.append(as_history(events(("anna", NOW_MS - 9, "old"))), Commit("history"))
    first = events(("anna", NOW_MS, "tea"), ("boris", NOW_MS, "cup"), ("anna", NOW_MS + 1, "pot"))
    archive.append(arrived(first, 0, 5, np.arange(3)), Commit("a", 1))
    late = events(("anna", NOW_MS - 1, "late"), ("anna", NOW_MS + 7, "mug"))
    archive.append(arrived(late, 0, 5, np.arange(3, 5)), Commit("a", 2))
    asked = labels(
        ("anna", NOW_MS + 1),
        ("boris", NOW_MS),
        ("anna", NOW_MS + 7),
        ("anna", NOW_MS + 1),
        ("nobody", NOW_MS),
        ("anna", NOW_MS + 5),
    )
    rows = features.training_rows(asked)
    assert rows.schema.equals(TRAINING_SCHEMA)
    for name in ORDER_SCHEMA.names:
        assert rows[name].equals(asked[name])
    assert rows["item_ids"].to_pylist() == [
        ["old", "tea"],
        [],
        ["old", "late", "tea", "pot"],
        ["old", "tea"],
        [],
        ["old", "late", "tea", "pot"],
    ]
    assert rows["newest_event_time_ms"].to_pylist()[:2] == [NOW_MS, 0]
    nothing = features.training_rows(ORDER_SCHEMA.empty_table())
    assert nothing.equals(TRAINING_SCHEMA.empty_table())


def test_materializing_rebuilds_the_online_store_from_the_events(
    features: Features, archive: EventArchive
) -> None:
    """Feast's own way from offline to online: a store that was lost is whole again."""
    archive.append(as_history(events(("anna", NOW_MS, "tea"), ("boris", 5, "cup"))), Commit("a"))
    store = FeatureStore(repo_path=str(features.home))
    day, now = pd.Timedelta(1, "D"), pd.to_datetime(NOW_MS, unit="ms", utc=True)
    store.materialize(now - day, now + day, feature_views=["user_sequence"])
    assert features.read(SEQUENCES, ["anna", "boris"])["item_ids"].to_pylist() == [["tea"]]


# The home


def test_a_home_is_applied_once(tmp_path: Path, online: dict[str, Any]) -> None:
    """Applying again changes nothing, and a home that was never applied cannot be opened."""
    with pytest.raises(ValueError, match=r"Features\.apply"):
        Features.open(tmp_path)
    assert Features.apply(tmp_path, **online)
    assert not Features.apply(tmp_path, **online)
    Features.open(tmp_path).write(SEQUENCES, sequence("anna", NOW_MS))
    assert Features.open(tmp_path).read(SEQUENCES, ["anna"]).num_rows == 1
