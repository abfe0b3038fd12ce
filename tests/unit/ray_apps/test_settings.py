"""Wrong settings of any layer stop at start, by the field's name and with what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ray_apps.settings import PoolSettings, load_settings
from reaseq.settings import SettingsError


def loaded(text: str, folder: Path) -> object:
    """The settings of a file."""
    file = folder / "reaseq.toml"
    file.write_text(text)
    return load_settings(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[kafka]\nmax_event_bytes = 0", "kafka.max_event_bytes"),
        ("[kafka]\nmax_event_bytes = 9_000_000", "kafka.max_message_bytes"),
        ("[kafka]\nsecurity_protocol = 'SASL_SSL'", "kafka.sasl_username"),
        ("[kafka]\nembedded_port = 70000", "kafka.embedded_port"),
        ("[features]\nonline = 'redis'", "features.redis_url"),
        ("[features]\nonline = 'cassandra'", "features.online"),
        ("[stream]\nmax_sequence_events = -1", "stream.max_sequence_events"),
        ("[knowledge]\nsource = 'endpoint'", "knowledge.base_url"),
        ("[knowledge]\nsource = 'oracle'", "knowledge.source"),
        ("[pools.generator]\nmin_replicas = 3\nmax_replicas = 2", "max_replicas"),
        ("[pools.generator]\nnum_gpus = 1.5", "num_gpus above 1 must be whole"),
        ("[ranker]\nhidden_sise = 8", "ranker.hidden_sise"),
        ("[generator]\nlearning_rate = nan", "generator.learning_rate"),
        ("[recommender]\nsources = ['psychic']", "recommender.sources"),
        ("colour = 'red'", "colour"),
    ],
)
def test_a_wrong_setting_is_named(text: str, message: str, tmp_path: Path) -> None:
    """A typing error in a name too: it would otherwise be a setting that does nothing."""
    with pytest.raises(SettingsError) as caught:
        loaded(text, tmp_path)
    assert message in str(caught.value)


def test_secrets_are_not_in_the_message(tmp_path: Path) -> None:
    """Of a section that is wrong for another reason."""
    text = "[kafka]\nsasl_password = 'hunter2'\nsecurity_protocol = 'SASL_SSL'"
    with pytest.raises(SettingsError) as caught:
        loaded(text, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_pool_with_gpus_computes_there() -> None:
    """A share of one counts: Ray shows the replica that GPU."""
    assert PoolSettings(num_gpus=0.5).device == "cuda"
    assert PoolSettings().device == "cpu"
