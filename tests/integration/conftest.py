"""A real broker, real Ray and a real feature store, shared by a session and private to it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ray_apps.runtime.cluster import ray_cluster
from ray_apps.runtime.home import Home
from ray_apps.settings import ServeSettings, Settings, load_settings
from streams.feature_store.features import Features
from streams.log.broker import start_broker
from streams.log.kafka import KafkaLog
from streams.log.topics import create_topics
from streams.settings import KafkaSettings, StreamSettings, TopicSettings
from tests.integration.shop import Shop, open_shop
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    with ray_cluster(Settings().ray):
        yield


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """The broker of the launcher setting where there is one, the embedded one otherwise."""
    settings = load_settings().kafka
    with closing(start_broker(settings, tmp_path_factory.mktemp("broker"))) as broker:
        # No broker is called unreachable because a machine is busy.
        patience = {"connect_timeout_s": PATIENCE_S, "confirm_timeout_s": PATIENCE_S}
        yield broker.reached_by(settings).model_copy(update=patience)


@pytest.fixture(scope="session")
def make_settings(kafka: KafkaSettings, ray_session: None) -> Callable[..., Settings]:
    """Makes the settings of a system of its own: home folder, topics, feature store."""

    def make(home: Path, num_partitions: int = kafka.num_partitions) -> Settings:
        prefix = f"t{uuid.uuid4().hex[:8]}."
        topics = ("events", "items", "impressions", "dead_letters")
        settings = Settings(
            home=home,
            kafka=kafka.model_copy(update={"num_partitions": num_partitions}),
            topics=TopicSettings(**{name: f"{prefix}{name}" for name in topics}),
            stream=StreamSettings(checkpoint_interval_s=0.5),
            # Nobody's answers become fallbacks because a machine is busy.
            serve=ServeSettings(port=0, recommender_timeout_s=PATIENCE_S),
        )
        create_topics(KafkaLog(settings.kafka), settings.topics, settings.kafka.num_partitions)
        Features.apply(Home(home).features)
        return settings

    return make


@pytest.fixture(scope="session")
def shop(
    make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    # Every process costs a start; two partitions are enough for what these tests ask.
    settings = make_settings(tmp_path_factory.mktemp("shop"), num_partitions=2)
    with open_shop(settings) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(tmp_path)
