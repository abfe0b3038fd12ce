"""A checkpoint is the old one or the new one, for all handlers, wherever a crash falls."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from reaseq.errors import NotReadyError
from reaseq.sequences.hashing import hash64
from streams.log.ports import Partition
from streams.shards.checkpoints import Checkpoint, Checkpoints, Counters, Progress
from streams.shards.manifests import FencedError, name_of

PARTITION = Partition("reaseq.events", 3)
OTHER = Partition("reaseq.events", 4)
PROGRESS = Progress(
    next_offset=7,
    epoch=1,
    counters=Counters(num_records=9, num_accepted=5, num_dead_letters=2),
    saved_at_ms=11,
    newest_event_time_ms=13,
    freshness_p50_ms=1.5,
    freshness_p99_ms=2.5,
)


def users(*names: str) -> pa.Table:
    return pa.table({"user_id": pa.array(names, pa.string()), "times": [[1, 2]] * len(names)})


def counts(*numbers: int) -> pa.Table:
    """One number under one key, or none."""
    return pa.table({"name": ["all"] * len(numbers), "count": pa.array(numbers, pa.int64())})


def sequences(checkpoint: Checkpoint | None) -> list[str]:
    """The users that the handler "sequences" gets back."""
    assert checkpoint is not None
    rows = checkpoint.states["sequences"]
    assert rows is not None
    found: list[str] = rows["user_id"].to_pylist()
    return found


def save(checkpoints: Checkpoints, *names: str, next_offset: int = 7) -> None:
    """Save a checkpoint of one handler."""
    progress = Progress(next_offset=next_offset)
    checkpoints.save(PARTITION, Checkpoint(progress, {"sequences": users(*names)}))


def files(folder: Path) -> list[str]:
    """The names of all files, without the part that is made up."""
    return sorted(f.name.partition(".")[2] for f in folder.rglob("*") if f.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "when needed"


@pytest.fixture
def checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(folder)


def test_what_is_saved_is_loaded_by_another_process(checkpoints: Checkpoints, folder: Path) -> None:
    """Progress and each handler's rows come back whole; another partition knows nothing of them."""
    states = {"sequences": users("ann", "bob"), "counts": counts(3)}
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, states))
    loaded = Checkpoints(folder).load(PARTITION)
    assert loaded == Checkpoint(PROGRESS, states)
    assert checkpoints.progress(PARTITION) == PROGRESS
    assert checkpoints.load(OTHER) is None
    assert checkpoints.progress(OTHER) is None


def test_a_handler_without_state_is_known_all_the_same(checkpoints: Checkpoints) -> None:
    """No rows are not zero rows, and a handler with none is not one that is new."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, {"catalogue": None}))
    assert checkpoints.load(PARTITION) == Checkpoint(PROGRESS, {"catalogue": None})


def test_a_state_of_no_users_keeps_its_columns(checkpoints: Checkpoints) -> None:
    """An empty table is a state."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, {"sequences": users(), "counts": counts()}))
    loaded = checkpoints.load(PARTITION)
    assert loaded is not None
    assert loaded.states == {"sequences": users(), "counts": counts()}


def test_a_save_adds_what_changed(checkpoints: Checkpoints, folder: Path) -> None:
    """A row replaces the one of its key and stands at the end; other rows stay."""
    save(checkpoints, "ann", "bob", "cid")
    later = pa.table({"user_id": ["bob", "dan"], "times": [[7], [8]]})
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, {"sequences": later}))
    loaded = Checkpoints(folder).load(PARTITION)
    assert sequences(loaded) == ["ann", "cid", "bob", "dan"]
    assert loaded is not None
    rows = loaded.states["sequences"]
    assert rows is not None
    assert rows["times"].to_pylist() == [[1, 2], [1, 2], [7], [8]]


def test_what_the_new_checkpoint_does_not_name_is_removed(
    checkpoints: Checkpoints, folder: Path
) -> None:
    """The log of the checkpoint before, and the state of a handler that was removed."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, {"sequences": users("a"), "old": counts(1)}))
    checkpoints.append_wal(PARTITION, "sequences", users("bob"))
    checkpoints.append_wal(PARTITION, "old", counts(2))
    save(checkpoints, "cid", next_offset=8)
    assert sequences(checkpoints.load(PARTITION)) == ["a", "cid"]
    assert files(folder) == ["json", "sequences.arrow"]


def test_a_save_writes_in_proportion_to_what_changed(
    checkpoints: Checkpoints, folder: Path
) -> None:
    """A thousand users, one of them changed at a time: few files, and the large one stays."""
    save(checkpoints, *(f"u{number}" for number in range(1000)))
    (large,) = folder.rglob("*.arrow")
    num_written = 0
    for number in range(200):
        before = set(folder.rglob("*.arrow"))
        save(checkpoints, f"u{number}", next_offset=number)
        for file in set(folder.rglob("*.arrow")) - before:
            num_written += pa.ipc.open_file(str(file)).read_all().num_rows
    assert large.exists()
    assert len(list(folder.rglob("*.arrow"))) <= 10
    assert num_written < 200 * 10
    expected = [f"u{number}" for number in [*range(200, 1000), *range(200)]]
    assert sequences(Checkpoints(folder).load(PARTITION)) == expected


def test_who_claims_a_partition_fences_the_owner_before(
    checkpoints: Checkpoints, folder: Path
) -> None:
    """However late its save comes, and however often: the successor's checkpoint stays."""
    save(checkpoints, "ann")
    successor = Checkpoints(folder)
    assert sequences(successor.claim(PARTITION)) == ["ann"]
    for next_offset in (8, 9):
        with pytest.raises(FencedError, match="another process goes on"):
            save(checkpoints, "late", next_offset=next_offset)
        with pytest.raises(FencedError, match="another process goes on"):
            checkpoints.append_wal(PARTITION, "sequences", users("late"))
        for name in ("bob", "cid", "dan"):
            save(successor, name, next_offset=next_offset)
    assert "late" not in sequences(Checkpoints(folder).claim(PARTITION))


def test_a_claim_keeps_state_and_log(checkpoints: Checkpoints, folder: Path) -> None:
    """And removes what crashes left."""
    save(checkpoints, "ann")
    checkpoints.append_wal(PARTITION, "sequences", users("bob"))
    (of_partition,) = folder.iterdir()
    (of_partition / "ffff.sequences.arrow").write_bytes(b"torn")
    (of_partition / "ffff.sequences.wal").write_bytes(b"old")
    for _ in range(2):
        assert sequences(Checkpoints(folder).claim(PARTITION)) == ["ann", "bob"]
    assert files(folder) == ["json", "sequences.arrow", "sequences.wal"]


@pytest.mark.parametrize("content", [b"", b"short", None, "other"])
def test_a_damaged_state_is_named_and_never_taken_for_nothing(
    checkpoints: Checkpoints, folder: Path, content: bytes | str | None
) -> None:
    """Truncated, foreign or gone: the error names the file and says what to do."""
    save(checkpoints, "ann", "bob")
    (file,) = folder.rglob("*.arrow")
    if content is None:
        file.unlink()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        other = Checkpoints(folder / "other")
        save(other, "cid")
        (foreign,) = (folder / "other").rglob("*.arrow")
        file.write_bytes(foreign.read_bytes())
    with pytest.raises(NotReadyError, match=f"{file.name}.*restore") as raised:
        Checkpoints(folder).claim(PARTITION)
    assert "folder" in str(raised.value)


def test_a_damaged_manifest_is_named(checkpoints: Checkpoints, folder: Path) -> None:
    """It is not passed over for an older one, whose files may be gone."""
    save(checkpoints, "ann")
    (manifest,) = folder.rglob("*.json")
    manifest.write_bytes(manifest.read_bytes()[:20])
    with pytest.raises(NotReadyError, match="damaged or of another version"):
        Checkpoints(folder).progress(PARTITION)


def test_partitions_whose_names_resemble_each_other_stay_apart(checkpoints: Checkpoints) -> None:
    """A save of one removes no file of the other."""
    alike = [Partition("t", 1), Partition("t-1", 1), Partition("t-1.x", 0), Partition("t", 11)]
    for _ in range(2):
        for n, partition in enumerate(alike):
            state = {"sequences": users(f"u{n}")}
            checkpoints.save(partition, Checkpoint(Progress(next_offset=n), state))
    assert [sequences(checkpoints.load(p)) for p in alike] == [["u0"], ["u1"], ["u2"], ["u3"]]


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """Lets a process change so many names in the file system, and not one more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, num_changes: int) -> None:
        self._left = num_changes
        for change in ("replace", "hardlink_to", "unlink"):
            monkeypatch.setattr(Path, change, self._dying(getattr(Path, change)))

    def _dying(self, change: Any) -> Any:
        def change_or_die(path: Path, *args: Any, **options: Any) -> Any:
            if self._left == 0:
                raise Killed
            self._left -= 1
            return change(path, *args, **options)

        return change_or_die


NUM_CHANGES = 10
"""Of one save: three files put in place, three temporary names and four old files removed."""


@pytest.mark.parametrize("num_changes", range(NUM_CHANGES + 1))
def test_a_crash_at_any_moment_leaves_one_checkpoint_whole(
    checkpoints: Checkpoints, folder: Path, num_changes: int
) -> None:
    """Killed before each change of a name: offset, both states and the log belong together."""
    old = {"sequences": users("ann"), "counts": counts(1)}
    changed = {"sequences": users("bob", "cid"), "counts": counts(3)}
    checkpoints.save(PARTITION, Checkpoint(Progress(next_offset=1), old))
    checkpoints.append_wal(PARTITION, "sequences", users("bob"))
    killed = False
    with pytest.MonkeyPatch.context() as monkeypatch:
        Mortal(monkeypatch, num_changes)
        try:
            checkpoints.save(PARTITION, Checkpoint(Progress(next_offset=3), changed))
        except Killed:
            killed = True
    assert killed == (num_changes < NUM_CHANGES), "the range must cover the whole save"
    loaded = Checkpoints(folder).claim(PARTITION)
    assert loaded is not None
    new = changed | {"sequences": users("ann", "bob", "cid")}
    expected = {1: {"sequences": users("ann", "bob"), "counts": counts(1)}, 3: new}
    states = {name: rows.combine_chunks() for name, rows in loaded.states.items() if rows}
    assert states == expected[loaded.progress.next_offset]
    assert files(folder) == sorted(
        ["json", "sequences.arrow", "counts.arrow"]
        + (["sequences.wal"] if loaded.progress.next_offset == 1 else [])
    )
    successor = Checkpoints(folder)
    save(successor, "dan", next_offset=4)
    assert sequences(Checkpoints(folder).load(PARTITION))[-1] == "dan"


def test_state_is_on_disk_before_the_checkpoint_names_it(
    checkpoints: Checkpoints, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content and name of every state file are synced before the rename that makes them count."""
    steps: list[str] = []
    replace = Path.replace

    def sync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink()}")

    def rename(old: Path, new: Path) -> Path:
        steps.append(f"name {new}")
        return replace(old, new)

    def link(new: Path, old: Path) -> None:
        steps.append(f"name {new}")
        os.link(old, new)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", rename)
    monkeypatch.setattr(Path, "hardlink_to", link)
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, {"sequences": users("ann")}))
    (state,) = folder.rglob("*.arrow")
    made = steps.index(f"name {state}")
    assert steps[made - 1].startswith(f"sync {state.parent / f'.{state.name}'}")
    assert steps[made + 1] == f"sync {state.parent}"
    assert steps.index(f"name {state.parent / name_of(1)}") > made + 1
    assert steps[-1] == f"sync {state.parent}"


def test_the_log_follows_the_state_in_the_order_it_was_written(checkpoints: Checkpoints) -> None:
    """Each handler has a log of its own in each partition."""
    checkpoints.save(OTHER, Checkpoint(PROGRESS, {"sequences": None}))
    states = {"sequences": users("ann"), "counts": counts(1)}
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, states))
    checkpoints.append_wal(PARTITION, "sequences", users("bob"))
    checkpoints.append_wal(PARTITION, "counts", counts(5))
    checkpoints.append_wal(PARTITION, "sequences", users("cid", "dan"))
    checkpoints.append_wal(OTHER, "sequences", users("eve"))
    loaded = checkpoints.load(PARTITION)
    assert sequences(loaded) == ["ann", "bob", "cid", "dan"]
    assert loaded is not None
    assert loaded.states["counts"] == counts(1), "the checkpoint's own row counts"
    assert checkpoints.progress(PARTITION) == PROGRESS


def test_a_log_is_enough_where_the_checkpoint_has_no_rows(checkpoints: Checkpoints) -> None:
    """The first checkpoint of a shard is empty, and its first crash may come before the second."""
    checkpoints.save(PARTITION, Checkpoint(PROGRESS, {"sequences": None}))
    checkpoints.append_wal(PARTITION, "sequences", users("ann"))
    assert sequences(checkpoints.load(PARTITION)) == ["ann"]


def test_a_log_needs_a_checkpoint_to_follow(checkpoints: Checkpoints) -> None:
    """Rows that no load would give back are a defect of the caller."""
    with pytest.raises(AssertionError, match="follows a checkpoint"):
        checkpoints.append_wal(PARTITION, "sequences", users("ann"))


def test_counters_add_up() -> None:
    """What is new is added to each count by itself."""
    assert Counters(1, 2, 3).plus(10, 20, 30) == Counters(11, 22, 33)


def test_an_erased_user_is_in_no_file(checkpoints: Checkpoints, folder: Path) -> None:
    """Whichever file held it, of whichever save; all the others are there, and again."""
    everybody = [f"user-{number}" for number in range(40)]
    save(checkpoints, *everybody)
    save(checkpoints, "user-3", "user-50")
    checkpoints.append_wal(PARTITION, "sequences", users("user-4"))
    erased = hash64(pa.array(["user-3", "user-4", "user-50", "nobody"]))
    new = Checkpoint(Progress(next_offset=9), {"sequences": users("user-60")})
    checkpoints.save(PARTITION, new, erased)
    left = {*everybody, "user-60"} - {"user-3", "user-4"}
    assert set(sequences(Checkpoints(folder).load(PARTITION))) == left
    held = []
    for file in folder.rglob("*.arrow"):
        with pa.OSFile(str(file)) as source:
            held += pa.ipc.open_file(source).read_all()["user_id"].to_pylist()
    assert sorted(held) == sorted(left)
    assert list(folder.rglob("*.wal")) == []


def test_an_erased_user_of_whom_there_is_nothing_costs_nothing(
    checkpoints: Checkpoints, folder: Path
) -> None:
    """The files that there are stay as they are."""
    save(checkpoints, *[f"user-{number}" for number in range(40)])
    (before,) = folder.rglob("*.arrow")
    new = Checkpoint(Progress(next_offset=9), {"sequences": users("ann")})
    checkpoints.save(PARTITION, new, hash64(pa.array(["nobody"])))
    assert before in list(folder.rglob("*.arrow"))


def test_what_is_not_by_user_stays_whatever_its_key(checkpoints: Checkpoints) -> None:
    """An item may have the id of a user."""
    items = pa.table({"item_id": ["7", "8"], "count": [1, 2]})
    states = {"sequences": users("7", "8"), "sales": items}
    checkpoints.save(PARTITION, Checkpoint(Progress(next_offset=1), states))
    nothing_new = {name: rows.slice(0, 0) for name, rows in states.items()}
    new = Checkpoint(Progress(next_offset=2), nothing_new)
    checkpoints.save(PARTITION, new, hash64(pa.array(["7"])))
    assert sequences(loaded := checkpoints.load(PARTITION)) == ["8"]
    assert loaded is not None
    assert loaded.states["sales"] == items


def test_the_partitions_are_those_that_were_saved(checkpoints: Checkpoints) -> None:
    """By topic and number; what else lies there is none."""
    assert checkpoints.partitions() == []
    for partition in (OTHER, PARTITION, Partition("a-topic-with-dashes", 12)):
        checkpoints.save(partition, Checkpoint(PROGRESS, {}))
    assert checkpoints.partitions() == [Partition("a-topic-with-dashes", 12), PARTITION, OTHER]
