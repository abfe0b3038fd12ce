"""Which broker a command talks to that needs no running system of its own."""

from __future__ import annotations

from ray_apps.runtime.run_file import find_running
from ray_apps.settings import Settings
from reaseq.errors import NotReadyError
from streams.settings import KafkaSettings


def kafka_in_use(settings: Settings) -> KafkaSettings:
    """The broker of the running system, or the one in the settings."""
    found = find_running(settings.home)
    if found:
        update = {"bootstrap_servers": found[1].bootstrap_servers}
        return settings.kafka.model_copy(update=update)
    if not settings.kafka.bootstrap_servers:
        raise NotReadyError(
            "no broker: start the system with `reaseq up`, or set kafka.bootstrap_servers"
        )
    return settings.kafka
