"""A real broker, real Ray and a real feature store, shared by a session and private to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_apps.cluster import ray_cluster
from ray_apps.home import Home
from reaseq.settings import KafkaSettings, Settings, load_settings
from streams.broker import start_broker
from streams.features import Features
from streams.kafka_log import KafkaLog
from streams.topics import create_topics


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    with ray_cluster(Settings().ray):
        yield


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """The broker of the launcher setting where there is one, the embedded one otherwise."""
    settings = load_settings().kafka
    broker = start_broker(settings, tmp_path_factory.mktemp("broker"))
    yield broker.reached_by(settings)
    broker.close()


@pytest.fixture
def settings(tmp_path: Path, kafka: KafkaSettings, ray_session: None) -> Settings:
    """A system of its own for one test: home folder, topics, feature store."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    settings = Settings.model_validate(
        {
            "home": tmp_path,
            "kafka": kafka.model_dump(),
            "topics": {
                name: f"{prefix}{name}"
                for name in ("events", "items", "impressions", "dead_letters")
            },
            "stream": {"checkpoint_interval_s": 0.5},
            "serve": {"port": 0},
        }
    )
    create_topics(KafkaLog(settings.kafka), settings)
    Features.apply(Home(tmp_path).features)
    return settings
