"""Generated behaviours for many users at once, as a Ray Data job.

Two jobs share it: one for all users as they are now, written online and offline; one for past
sequences, written offline only, so that the ranker's training rows find what would have been there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import ray
import ray.data

from ray_apps.registry.kinds import load_version
from ray_apps.registry.model_kind import OnProgress
from ray_apps.runtime.feature_store import event_archive
from ray_apps.runtime.home import Home
from ray_apps.settings import Settings
from reaseq.feature_views import GENERATED, SEQUENCES
from reaseq.generator.behaviours import generated_rows
from reaseq.generator.folder import KIND
from reaseq.generator.generator import BehaviourGenerator
from streams.feature_store.features import Features
from streams.feature_store.ports import FeatureTables
from streams.offline.tables import Commit, new_run
from streams.shards.checkpoints import Checkpoints
from streams.shards.positions import Position, Positions

OnRows = Callable[[int, int], None]
"""Called with (users done, users to do)."""

Scope = Literal["all", "as-of"]

USERS_AT_ONCE = 512

_SLICE = "slice"


class GenerationSummary(NamedTuple):
    """What a job has made."""

    num_users: int
    num_behaviours: int


def generate_for_all(settings: Settings, version: str, on_rows: OnRows) -> GenerationSummary:
    """Generate for every user with a sequence, and write it online and offline.

    A user whose online row is newer than what this job saw keeps it.
    """
    users = event_archive(settings).users()
    return _run(settings, version, pa.table({"user_id": users}), "all", on_rows)


def generate_after_promotion(settings: Settings, version: str, on_progress: OnProgress) -> str:
    """As `generate_for_all`, with a sentence on what it has done."""
    started = time.monotonic()

    def on_rows(done: int, total: int) -> None:
        on_progress("generating for all users", done, total)

    made = generate_for_all(settings, version, on_rows)
    took_s = time.monotonic() - started
    return (
        f"{made.num_behaviours:,} behaviours generated for {made.num_users:,} users in "
        f"{took_s:.1f} s"
    )


def generate_as_of(
    settings: Settings, version: str, sequences: pa.Table, on_rows: OnRows
) -> GenerationSummary:
    """Generate for past sequences (SEQUENCE_SCHEMA, and columns beside it), offline only.

    The version must not have learnt from anything at or after them.
    """
    return _run(settings, version, sequences, "as-of", on_rows)


class SliceGenerator:
    """Generates for one numbered slice of the users at a time and writes it; both jobs."""

    def __init__(
        self,
        features: FeatureTables,
        generator: BehaviourGenerator,
        positions: Positions,
        scope: Scope,
        run: str,
    ) -> None:
        """`run` is the same for all slices of a job, and for no other job (`new_run`)."""
        self._features = features
        self._generator = generator
        self._positions = positions
        self._scope = scope
        self._run = run

    def take(self, rows: pa.Table, number: int) -> pa.Table:
        """The rows (GENERATED_SCHEMA) of a slice, written.

        Slices come in any order, and one that is repeated is not added twice.
        """
        generated = self._generate(rows)
        self._features.append(GENERATED, generated, Commit(f"{self._run}-{number}"))
        if self._scope == "all":
            self._features.write(GENERATED, generated)
        return generated

    def _generate(self, rows: pa.Table) -> pa.Table:
        users = rows["user_id"].to_pylist()
        positions = [Position()] * len(users)
        if self._scope == "all":
            by_user = dict(zip(users, self._positions.of(users), strict=True))
            rows = self._features.read(SEQUENCES, users)
            positions = [by_user[user_id] for user_id in rows["user_id"].to_pylist()]
        at_ms = rows["newest_event_time_ms"].to_numpy()
        return generated_rows(
            self._generator.generate(rows, at_ms),
            rows,
            model_version=self._generator.version,
            generated_at_ms=time.time_ns() // 1_000_000,
            positions=positions,
        )


class _Generate:
    """The actor of both jobs: holds the generator, takes one slice of the input a call."""

    def __init__(self, settings: Settings, version: str, scope: Scope, run: str) -> None:
        home = Home(settings.home)
        self._slices = SliceGenerator(
            Features.open(home.features),
            load_version(settings, KIND, version, settings.pools.generator.device),
            Positions(
                Checkpoints(home.checkpoints), settings.topics.events, settings.kafka.num_partitions
            ),
            scope,
            run,
        )

    def __call__(self, rows: pa.Table) -> pa.Table:
        generated = self._slices.take(rows.drop_columns(_SLICE), rows[_SLICE][0].as_py())
        num_behaviours = pc.sum(pc.list_value_length(generated["item_ids"])).as_py() or 0
        counts = {"users": generated.num_rows, "behaviours": num_behaviours, "done": rows.num_rows}
        return pa.table({name: [count] for name, count in counts.items()})


def _run(
    settings: Settings, version: str, rows: pa.Table, scope: Scope, on_rows: OnRows
) -> GenerationSummary:
    starts = range(0, rows.num_rows, USERS_AT_ONCE)
    if not starts:
        return GenerationSummary(0, 0)
    slices = [rows.slice(start, USERS_AT_ONCE) for start in starts]
    numbered: list[pa.Table | bytes] = [
        part.append_column(_SLICE, pa.repeat(pa.scalar(number, pa.int64()), part.num_rows))
        for number, part in enumerate(slices)
    ]
    ray.data.DataContext.get_current().enable_progress_bars = False
    pool = settings.pools.generator
    dataset = ray.data.from_arrow(numbered).map_batches(
        _Generate,
        fn_constructor_args=(settings, version, scope, new_run(f"{scope}-{version}")),
        batch_size=None,  # a slice a call
        batch_format="pyarrow",
        num_cpus=pool.num_cpus,
        num_gpus=pool.num_gpus or None,
        compute=ray.data.ActorPoolStrategy(size=pool.max_replicas),
    )
    num_users = num_behaviours = num_done = 0
    for made in dataset.iter_rows():
        num_users += made["users"]
        num_behaviours += made["behaviours"]
        num_done += made["done"]
        on_rows(num_done, rows.num_rows)
    return GenerationSummary(num_users, num_behaviours)
