"""Settings come from three places in one order, and a wrong one is refused by its name."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from ray_apps.settings import Settings, load_settings
from reaseq.settings import CONFIG_VARIABLE, ENV_PREFIX, SettingsError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(ENV_PREFIX):
            monkeypatch.delenv(name)


def toml(folder: Path, text: str) -> Path:
    file = folder / "reaseq.toml"
    file.write_text(text)
    return file


def test_without_any_source_the_defaults_hold(tmp_path: Path) -> None:
    """Nothing set: the defaults of the code, with the home made absolute."""
    settings = load_settings()
    assert settings == Settings().at_home(Path.cwd() / ".reaseq")
    assert load_settings(toml(tmp_path, "")) == settings


def test_the_environment_is_laid_over_the_file_and_the_file_over_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key of a section takes its value from the highest source that names it."""
    file = toml(tmp_path, "[kafka]\nnum_partitions = 7\nembedded_port = 9192\n[serve]\nport = 0\n")
    monkeypatch.setenv("REASEQ_KAFKA__NUM_PARTITIONS", "9")
    settings = load_settings(file)
    assert settings.kafka.num_partitions == 9
    assert settings.kafka.embedded_port == 9192
    assert settings.serve.port == 0
    assert settings.kafka.replication_factor == Settings().kafka.replication_factor


def test_the_file_can_be_named_by_the_environment_and_an_argument_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`REASEQ_CONFIG` names the file unless the caller does."""
    monkeypatch.setenv(CONFIG_VARIABLE, str(toml(tmp_path, "[stream]\nnum_shards = 5\n")))
    assert load_settings().stream.num_shards == 5
    (other := tmp_path / "other").mkdir()
    assert load_settings(toml(other, "[stream]\nnum_shards = 6\n")).stream.num_shards == 6


def test_lists_and_paths_come_from_the_environment_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is written as JSON; a relative home is meant from the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REASEQ_HOME", "kept/here")
    monkeypatch.setenv("REASEQ_RANKER__TREND_HALF_LIVES_DAYS", "[2, 5]")
    settings = load_settings()
    assert settings.home == tmp_path / "kept" / "here"
    assert settings.ranker.trend_half_lives_days == (2.0, 5.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[nope]\nkey = 1", "nope: unknown setting"),
        ("[kafka]\nnope = 1", "kafka.nope: unknown setting"),
        ("[ranker]\nnope = 1", "ranker.nope: unknown setting"),
        ("kafka = 3", "kafka: "),
        ('[kafka]\nnum_partitions = "many"', "kafka.num_partitions: .*integer"),
        ("[kafka]\nnum_partitions = 1.5", "kafka.num_partitions: .*integer"),
        ("[kafka]\nnum_partitions = 0", "kafka.num_partitions: .*greater than or equal to 1"),
        ('[kafka]\nsecurity_protocol = "TLS"', "kafka.security_protocol: .*'SASL_SSL'"),
        ("[serve]\nport = 65536", "serve.port: .*65535"),
        ("[stream]\npoll_timeout_s = 0", "stream.poll_timeout_s: .*greater than 0"),
        ("[stream]\npoll_timeout_s = inf", "stream.poll_timeout_s: .*finite"),
        ("[ranker]\ndropout = 1.0", "ranker.dropout: .*less than 1"),
        ("[ranker]\ntrend_half_lives_days = [3, -1]", "ranker.trend_half_lives_days.1: "),
        ("[ray]\nobject_store_mb = 1", "ray.object_store_mb: .*80"),
        (
            "[kafka]\nmax_event_bytes = 9999999",
            "max_message_bytes must be larger than kafka.max_ev",
        ),
        ('[kafka]\nsecurity_protocol = "SASL_SSL"', "SASL_SSL needs kafka.sasl_mechanism"),
        ("[kafka", "reaseq.toml is not valid TOML"),
    ],
)
def test_a_wrong_value_in_the_file_is_refused_by_name(
    tmp_path: Path, text: str, message: str
) -> None:
    """Unknown sections and keys, wrong types and values, and rules between fields."""
    with pytest.raises(SettingsError, match=message):
        load_settings(toml(tmp_path, text))


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("REASEQ_NOPE__KEY", "1", "REASEQ_NOPE__KEY: unknown setting"),
        ("REASEQ_NOPE", "1", "REASEQ_NOPE: unknown setting"),
        ("REASEQ_KAFKA__NOPE", "1", "kafka.nope: unknown setting .*REASEQ_KAFKA__NOPE"),
        ("REASEQ_STREAM__NUM_SHARDS", "none", "stream.num_shards: .*REASEQ_STREAM__NUM_SHARDS"),
        ("REASEQ_TRAIN__USE_GPU", "perhaps", "train.use_gpu: .*boolean"),
        ("REASEQ_KAFKA", "not JSON", "kafka"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    """The message says which field is wrong and which variable to fix."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_every_wrong_field_is_named_at_once(tmp_path: Path) -> None:
    """One start is enough to learn of all mistakes."""
    file = toml(tmp_path, "[serve]\nport = -1\n[stream]\nnum_shards = 0\nnope = 1\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    for field in ("serve.port", "stream.num_shards", "stream.nope"):
        assert field in str(caught.value)


def test_a_config_file_that_is_missing_or_no_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong path never silently means the defaults."""
    with pytest.raises(SettingsError, match=r"absent\.toml does not exist"):
        load_settings(tmp_path / "absent.toml")
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path))
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings()


def test_a_secret_is_used_but_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither text, representation, JSON nor a complaint about it holds the password."""
    sasl = 'security_protocol = "SASL_SSL"\nsasl_mechanism = "PLAIN"\nsasl_username = "ann"\n'
    monkeypatch.setenv("REASEQ_KAFKA__SASL_PASSWORD", "hunter2")
    settings = load_settings(toml(tmp_path, f"[kafka]\n{sasl}"))
    assert settings.kafka.sasl_password == SecretStr("hunter2")
    shown = f"{settings} {settings!r} {settings.model_dump_json()} {settings.model_dump()}"
    assert "hunter2" not in shown
    monkeypatch.delenv("REASEQ_KAFKA__SASL_PASSWORD")
    for wrong in ('sasl_password = ["hunter2"]', 'sasl_password = "hunter2"\nsasl_username = 1'):
        with pytest.raises(SettingsError) as caught:
            load_settings(toml(tmp_path, f"[kafka]\n{wrong}"))
        assert "hunter2" not in str(caught.value)


def test_settings_cannot_be_changed_in_place() -> None:
    """All sections are frozen; another home makes other settings."""
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.home = Path("/elsewhere")
    with pytest.raises(ValidationError, match="frozen"):
        settings.kafka.num_partitions = 1
    assert settings.at_home(Path("/elsewhere")).home == Path("/elsewhere")
    assert settings.home != Path("/elsewhere")


def test_settings_travel_to_another_process_whole(tmp_path: Path) -> None:
    """Pickled into an actor they arrive equal, the secret included."""
    file = toml(tmp_path, '[kafka]\nsasl_password = "hunter2"\nnum_partitions = 3\n')
    settings = load_settings(file)
    arrived = pickle.loads(pickle.dumps(settings))
    assert arrived == settings
    assert arrived.kafka.sasl_password.get_secret_value() == "hunter2"
