"""Each finding on a machine where something is wrong, and what it says to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
from kafka import codec
from pydantic import SecretStr

from ray_apps.cli import doctor
from ray_apps.cli.doctor import Finding, examine
from ray_apps.cli.tables import findings_table
from ray_apps.settings import Settings
from reaseq.knowledge.settings import KnowledgeSettings
from streams.feature_store import redis
from streams.settings import FeatureStoreSettings
from tests.printing import keeping_console, printed


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home that is not there yet, a port picked at start, no language model to look for."""
    made = Settings(home=tmp_path / "new" / "home")
    serve = made.serve.model_copy(update={"port": 0})
    return made.model_copy(update={"serve": serve})


def finding(settings: Settings, name: str) -> Finding:
    """One of all findings."""
    return next(one for one in examine(settings) if one.name == name)


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a broker is what other tests do."""
    monkeypatch.setattr(doctor, "_broker", lambda _: Finding("Kafka", True, "not tried"))


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_fit_machine_passes_and_nothing_is_left_behind(settings: Settings) -> None:
    """The embedded broker starts and stops; the home is not made by looking."""
    findings = examine(settings)
    wrong = [one for one in findings if not one.ok and one.name not in ("Memory", "Disk")]
    assert not wrong
    assert len({one.name for one in findings}) == len(findings)
    assert not settings.home.exists()


@pytest.mark.usefixtures("no_broker")
class TestWhatIsWrong:
    """What a finding says where the machine is not fit."""

    def test_an_old_python(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "sys", SimpleNamespace(version_info=(3, 9, 1)))
        found = finding(settings, "Python")
        assert (found.ok, found.detail) == (False, "3.9.1")
        assert "3.11" in found.fix

    def test_a_package_that_is_missing(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def version(name: str) -> str:
            if name == "feast":
                raise PackageNotFoundError(name)
            return "1"

        monkeypatch.setattr(doctor, "version", version)
        found = finding(settings, "Packages")
        assert not found.ok
        assert "missing: feast" in found.fix

    @pytest.mark.parametrize("name", ["Memory", "Disk"])
    def test_too_little_room(
        self, name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        little = SimpleNamespace(available=10**9, free=10**9)
        monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: little)
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: little)
        found = finding(settings, name)
        assert (found.ok, found.detail) == (False, "0.9 GB free")
        assert "GB" in found.fix

    def test_a_home_that_cannot_be_written_to(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(**_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
        found = finding(settings, "Home folder")
        assert not found.ok
        assert "Permission denied" in found.detail
        assert "`home`" in found.fix

    def test_a_port_that_is_taken(self, settings: Settings, taken_port: int) -> None:
        serve = settings.serve.model_copy(update={"port": taken_port})
        found = finding(settings.model_copy(update={"serve": serve}), "HTTP port")
        assert not found.ok
        assert f"127.0.0.1:{taken_port}" in found.detail
        assert "serve.port" in found.fix

    def test_a_codec_that_is_missing(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(codec, "zstd", None)
        found = finding(settings, "Compression")
        assert (found.ok, found.detail) == (False, "gzip, lz4, snappy")
        assert "pip install zstandard" in found.fix

    def test_an_encoder_that_is_missing(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(name: str) -> None:
            raise ImportError(f"no module {name}")

        monkeypatch.setattr(doctor.importlib, "import_module", refuse)
        found = finding(settings, "Sentence encoder")
        assert not found.ok
        assert "pip install" in found.fix


def test_a_broker_that_does_not_answer_is_named(settings: Settings) -> None:
    """Address and setting; a wrong launcher likewise."""
    away = {"bootstrap_servers": "127.0.0.1:1", "connect_timeout_s": 0.5}
    kafka = settings.kafka.model_copy(update=away)
    found = finding(settings.model_copy(update={"kafka": kafka}), "Kafka")
    assert not found.ok
    assert "127.0.0.1:1" in found.detail
    assert "kafka.*" in found.fix


def with_redis(settings: Settings, url: str) -> Settings:
    features = FeatureStoreSettings(online="redis", redis_url=SecretStr(url))
    return settings.model_copy(update={"features": features})


def test_a_redis_that_does_not_answer_is_named(settings: Settings, no_broker: None) -> None:
    """By address and setting, without its password; SQLite needs nobody to answer."""
    assert finding(settings, "Online store") == ("Online store", True, "SQLite, in the home", "")
    found = finding(with_redis(settings, "redis://:hush@127.0.0.1:1/0"), "Online store")
    assert not found.ok
    assert "127.0.0.1:1" in found.detail
    assert "hush" not in found.detail
    assert "features.redis_url" in found.fix


@pytest.mark.parametrize(
    ("memory", "ok", "words"),
    [
        ({"maxmemory": 6 * 2**20, "maxmemory_policy": "allkeys-lru"}, False, "drops users"),
        ({"maxmemory": 6 * 2**20, "maxmemory_policy": "volatile-lru"}, True, "refuses writes"),
        ({"maxmemory": 0, "maxmemory_policy": "noeviction"}, True, "nothing is dropped"),
        ({}, True, "does not say"),
    ],
)
def test_a_redis_that_drops_features_is_found(
    settings: Settings,
    no_broker: None,
    monkeypatch: pytest.MonkeyPatch,
    memory: dict[str, object],
    ok: bool,
    words: str,
) -> None:
    """With what to set; one that does not say is for its owner to look at."""
    client = SimpleNamespace(info=lambda _: memory, config_get=lambda _: {}, close=lambda: None)
    monkeypatch.setattr(redis, "connect", lambda _: client)
    found = finding(with_redis(settings, "redis://somewhere"), "Online store")
    assert found.ok is ok
    assert words in found.detail
    assert "noeviction" in found.detail + found.fix


def test_no_language_model_is_never_a_reason_to_stop(settings: Settings) -> None:
    """Knowledge that ships with the package is used instead; an endpoint's key is not shown."""
    endpoint = KnowledgeSettings(
        source="endpoint", base_url="http://x/v1", model="m", api_key=SecretStr("hush")
    )
    found = finding(settings.model_copy(update={"knowledge": endpoint}), "Language model")
    assert found.ok
    assert "hush" not in found.detail


def test_the_table_shows_the_fix_only_where_something_is_wrong() -> None:
    """A sign, a name, and under what was found the arrow to what to do."""
    console = keeping_console(100)
    console.print(
        findings_table(
            [
                Finding("Disk", False, "0.1 GB free", "free 2 GB"),
                Finding("Python", True, "3.11", "no"),
            ]
        )
    )
    text = printed(console)
    assert "✘" in text
    assert "→ free 2 GB" in text
    assert "✔" in text
    assert "→ no" not in text
