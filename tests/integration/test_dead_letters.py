"""Dead letters on a real broker, by the commands that a person types."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest
from typer.testing import CliRunner, Result

from ray_apps.cli import console
from ray_apps.cli.app import app
from streams.log.codec import Reject
from streams.log.dead_letters import DeadLetters
from streams.log.kafka import KafkaLog
from streams.log.partitioner import partition_of
from streams.log.ports import Partition, Record, RecordBatch
from streams.log.topics import create_topics
from streams.settings import KafkaSettings, TopicSettings

EVENT = b'{"event_id":"e","user_id":"bob","item_id":"i","event_type":"view","event_time_ms":1}'


@pytest.fixture
def topics() -> TopicSettings:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    names = ("events", "items", "impressions", "dead_letters")
    return TopicSettings(**{name: f"{prefix}{name}" for name in names})


def test_a_dead_letter_goes_back_as_it_was_sent(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set aside, listed, shown and sent back: key and headers of the producer."""
    log = KafkaLog(kafka)
    create_topics(log, topics, kafka.num_partitions)
    record = Record(7, 0, b"bob", EVENT, [("tenant", b"x\x1b")])
    batch = RecordBatch.from_records(Partition(topics.events, 0), [record], 8)
    with closing(DeadLetters(log.writer(), topics.dead_letters)) as dead_letters:
        dead_letters.put(batch, [Reject(0, "the shard had a bad day")])
    monkeypatch.setattr(console.console, "_width", 200)

    def run(*arguments: str) -> Result:
        env = {
            "REASEQ_HOME": str(tmp_path),
            "REASEQ_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "REASEQ_KAFKA__IDLE_PAUSE_MS": str(kafka.idle_pause_ms),
            **{f"REASEQ_TOPICS__{name.upper()}": topic for name, topic in topics},
        }
        result = CliRunner().invoke(app, ["dead-letters", *arguments], env=env)
        assert result.exit_code == 0, result.output
        return result

    assert "had a bad day" in run("list", "--since", "1d").output
    assert "tenant: x\\x1b" in run("show", "0@0").output
    assert "sent back: 1" in run("requeue", "0@0", "--yes").output

    home = Partition(topics.events, partition_of(b"bob", kafka.num_partitions))
    with closing(log.reader("test")) as reader:
        reader.assign({home: 0})
        (back,) = [one.record(0) for one in reader.poll(20.0, 10) if len(one)]
    assert (back.key, back.value) == (b"bob", EVENT)
    assert tuple(back.headers) == (("tenant", b"x\x1b"), ("reaseq.requeues", b"1"))
