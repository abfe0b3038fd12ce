"""`ray_apps.serving.services` and `ray_apps.serving.ports`: what is wired to what."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pyarrow as pa
import pytest

from ray_apps import serving
from ray_apps.serving.generating import GeneratorAnswer
from ray_apps.serving.ports import Ports
from ray_apps.serving.services import (
    behaviour_refresher,
    generator_service,
    knowledge_worker,
    language_model,
    recommender_service,
    request_handler,
)
from ray_apps.settings import Settings
from reaseq.events import Item
from reaseq.feature_views import GENERATED, KNOWLEDGE, SEQUENCES
from reaseq.generator.generator import BehaviourGenerator
from reaseq.knowledge.recorded import read_recorded
from reaseq.knowledge.settings import KnowledgeSettings
from reaseq.knowledge.text_generator import Generation, Prompt, ScriptedTextGenerator, TextGenerator
from reaseq.recommendation.recommender import Recommender
from reaseq.recommendation.slate import Scene, Slate
from reaseq.schemas import SEQUENCE_SCHEMA
from streams.log.memory import MemoryLog
from streams.log.ports import Partition
from streams.settings import KafkaSettings, TopicSettings
from streams.shards.checkpoints import Checkpoint, Checkpoints, Progress
from tests.unit.ray_apps.serving.fakes import (
    EVENTS,
    IMPRESSIONS,
    ITEMS_TOPIC,
    BreakableFeatures,
    FakeRegistry,
    ToyGenerator,
    bought,
    memory_log,
    send_events,
    send_items,
    sequence_of,
    toy_recommender,
)


class FakePorts(Ports):
    """The ports of a home without broker, feature store and registry."""

    log: MemoryLog
    features: BreakableFeatures

    def __init__(self, home: Path, **settings: object) -> None:
        topics = TopicSettings(events=EVENTS, items=ITEMS_TOPIC, impressions=IMPRESSIONS)
        kafka = KafkaSettings(min_event_time_ms=0)
        super().__init__(Settings(home=home, topics=topics, kafka=kafka, **settings))
        self.log = memory_log()
        self.features = BreakableFeatures()
        self.rankers = FakeRegistry("v1")
        self.generators = FakeRegistry("g1")

    def load_recommender(self, folder: Path) -> Recommender:
        return toy_recommender(folder.name)

    def load_generator(self, folder: Path) -> BehaviourGenerator:
        return ToyGenerator(folder.name)

    def open_language_model(self) -> TextGenerator:
        return ScriptedTextGenerator([], model="opened")


@pytest.fixture
def ports(tmp_path: Path) -> FakePorts:
    return FakePorts(tmp_path)


def test_the_recommender_follows_events_from_where_the_shards_are(
    ports: FakePorts, tmp_path: Path
) -> None:
    """What they have applied is in the history; what comes after it is learnt from the topic."""
    send_events(ports.log, bought("u", "tea", 1), bought("v", "cup", 2))
    kept = Checkpoints(tmp_path / "checkpoints")
    kept.save(Partition(EVENTS, 0), Checkpoint(Progress(next_offset=1), {}))
    service = recommender_service(ports)
    asyncio.run(service.step())
    slate = asyncio.run(service.recommend(SEQUENCE_SCHEMA.empty_table(), Scene.GUESS, 1))
    assert service.version == "v1"
    assert [item.item_id for item in slate.items] == ["cup"]


def test_the_generator_serves_the_champion_of_the_generators(ports: FakePorts) -> None:
    """Not that of the rankers."""
    assert generator_service(ports).version == "g1"


def test_behaviours_are_refreshed_by_the_settings(tmp_path: Path) -> None:
    """`generation.min_new_events` says when; positions are kept apart from the shards'."""
    ports = FakePorts(
        tmp_path, generation={"min_new_events": 1}, stream={"checkpoint_interval_s": 60}
    )

    async def ask(sequences: pa.Table) -> GeneratorAnswer:
        at_ms = sequences["newest_event_time_ms"].to_numpy()
        return GeneratorAnswer(ToyGenerator("g1").generate(sequences, at_ms), "g1")

    refresher = behaviour_refresher(ports, ask)
    send_events(ports.log, bought("u", "tea", 1))
    ports.features.write(SEQUENCES, sequence_of("u", ("tea", 1)))
    asyncio.run(refresher.step())
    asyncio.run(refresher.close())
    assert ports.features.read(GENERATED, ["u"]).num_rows == 1
    own = Checkpoints(tmp_path / "checkpoints" / "behaviours")
    assert own.progress(Partition(EVENTS, 0)) == Progress(next_offset=1)
    assert Checkpoints(tmp_path / "checkpoints").progress(Partition(EVENTS, 0)) is None


def test_knowledge_without_a_model_is_what_was_recorded(tmp_path: Path) -> None:
    """An item with recorded words is known at once, any other never."""
    ports = FakePorts(tmp_path, knowledge=KnowledgeSettings(source="recorded"))
    worker = knowledge_worker(ports, None)
    send_items(ports.log, Item(item_id="odd", title="NEVER HEARD OF", event_time_ms=1))
    asyncio.run(worker.step())
    assert read_recorded()
    assert worker.model == "recorded"
    assert worker.progress().is_idle
    assert ports.features.read(KNOWLEDGE, ["odd"]).num_rows == 0


def test_knowledge_with_a_model_asks_it(tmp_path: Path) -> None:
    """Under the name that the settings give it."""
    knowledge = KnowledgeSettings(source="endpoint", model="told", base_url="http://nowhere/v1")
    ports = FakePorts(tmp_path, knowledge=knowledge)
    asked: list[Prompt] = []

    async def ask(prompt: Prompt, schema: dict[str, object]) -> Generation:
        asked.append(prompt)
        return Generation("moo", 1, 1, 0.1)

    worker = knowledge_worker(ports, ask)
    send_items(ports.log, Item(item_id="mop", title="MOP", event_time_ms=1))
    asyncio.run(worker.step())
    assert len(asked) == 1
    assert ports.features.read(KNOWLEDGE, ["mop"])["model"].to_pylist() == ["told"]


def test_the_language_model_is_the_one_the_ports_open(ports: FakePorts) -> None:
    """Not before it is asked to load."""
    model = language_model(ports)
    assert model.model is None
    model.load()
    assert model.model == "opened"


def test_the_gateway_writes_impressions_to_their_topic(ports: FakePorts) -> None:
    """And takes its bounds from the settings."""

    def ask(sequence: pa.Table, scene: Scene, k: int) -> Awaitable[Slate]:
        raise RuntimeError("no replica")

    handler = request_handler(ports, ask, {})
    asyncio.run(handler.recommend("u", Scene.GUESS, 1))
    asyncio.run(handler.close())
    assert ports.log.end_offset(Partition(IMPRESSIONS, 0)) == 1
    with pytest.raises(Exception, match="k is at most 100"):
        asyncio.run(handler.recommend("u", Scene.GUESS, 101))


def test_a_port_is_opened_once_and_only_when_asked_for(tmp_path: Path) -> None:
    """A generator needs no broker: without one its ports can still be made."""
    ports = Ports(Settings(home=tmp_path))
    assert ports.generators is ports.generators
    assert ports.history is ports.history
    assert generator_service(ports).version is None
    with pytest.raises(AssertionError, match="broker"):
        ports.log  # noqa: B018 - opening it is the point


SHELLS = {"app.py", "deploy_config.py", "deployments.py"}
"""What may know Ray."""


def test_nothing_behind_the_shells_imports_ray() -> None:
    """So that all of it can be tested as here, without Ray."""
    folder = Path(serving.__file__).parent
    for file in sorted(folder.glob("*.py")):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        imported = {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
        imported |= {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
        knows_ray = any((name or "").split(".")[0] == "ray" for name in imported)
        assert knows_ray == (file.name in SHELLS), file.name
