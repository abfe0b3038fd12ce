"""The real ports of a process, opened from the settings: log, features, registries, checkpoints."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ray_apps.registry.kinds import registry_of
from ray_apps.runtime.feature_store import erased_users, event_archive
from ray_apps.runtime.home import Home
from ray_apps.serving.champion import Champions
from ray_apps.serving.history import EventHistory
from ray_apps.settings import Settings
from ray_apps.text_generation.choose import open_text_generator
from reaseq.generator.generator import BehaviourGenerator, DiffusionGenerator
from reaseq.knowledge.text_generator import TextGenerator
from reaseq.recommendation.recommender import Recommender
from streams.feature_store.features import Features
from streams.feature_store.ports import FeatureTables
from streams.log.codec import Codec, event_codec, item_codec
from streams.log.kafka import KafkaLog
from streams.log.ports import Log
from streams.shards.checkpoints import Checkpoints
from streams.shards.follower import Follower, after_shards, resume


class SourceTopic(NamedTuple):
    """A topic and how its records are read and written."""

    name: str
    codec: Codec[Any]


class Ports:
    """Each is opened once, when first asked for: not every deployment needs every one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._home = Home(settings.home)

    @cached_property
    def log(self) -> Log:
        """The broker."""
        return KafkaLog(self.settings.kafka)

    @cached_property
    def features(self) -> FeatureTables:
        """The feature store; importing it takes seconds."""
        return Features.open(self._home.features)

    @cached_property
    def history(self) -> EventHistory:
        """All events the shards have taken in."""
        return event_archive(self.settings)

    @cached_property
    def rankers(self) -> Champions:
        """The registry of rankers."""
        return registry_of(self.settings, "ranker")

    @cached_property
    def generators(self) -> Champions:
        """The registry of behaviour generators."""
        return registry_of(self.settings, "generator")

    def load_recommender(self, folder: Path) -> Recommender:
        """The recommender in a model folder, with what the settings say about slates."""
        device = self.settings.pools.ranker.device
        return Recommender.load(folder, self.settings.recommender, device)

    def load_generator(self, folder: Path) -> BehaviourGenerator:
        """The behaviour generator in a model folder."""
        return DiffusionGenerator.load(folder, device=self.settings.pools.generator.device)

    def open_language_model(self) -> TextGenerator:
        """The engine that the settings choose; may take minutes, and raise."""
        return open_text_generator(self.settings.knowledge, self._home.root)

    @property
    def events(self) -> SourceTopic:
        """The topic of events."""
        kafka = self.settings.kafka
        codec = event_codec(kafka.max_event_bytes, kafka.event_times)
        return SourceTopic(self.settings.topics.events, codec)

    @property
    def items(self) -> SourceTopic:
        """The topic of items."""
        kafka = self.settings.kafka
        codec = item_codec(kafka.max_event_bytes, kafka.event_times)
        return SourceTopic(self.settings.topics.items, codec)

    def follow_after_shards(self, topic: SourceTopic, name: str) -> Follower:
        """Follows a topic from where the shards have come to; `name` is for lag tools."""
        start = after_shards(Checkpoints(self._home.checkpoints))
        partitions = self.log.partitions(topic.name)
        reader = self.log.reader(f"reaseq-{name}")
        erased = erased_users(self.settings)
        return Follower(reader, topic.codec, partitions, start, erased=erased)

    def follow_on(self, topic: SourceTopic, name: str) -> Follower:
        """Follows a topic on from its own checkpoints, those of `name`."""
        own = Checkpoints(self._home.checkpoints / name)
        partitions = self.log.partitions(topic.name)
        reader = self.log.reader(f"reaseq-{name}")
        erased = erased_users(self.settings)
        return Follower(reader, topic.codec, partitions, resume(own), own, erased)
