"""Every setting of the system in one frozen, typed object.

Precedence, lowest first: the defaults here, one TOML file (`--config` or `REASEQ_CONFIG`), the
environment (`REASEQ_SECTION__KEY`, e.g. `REASEQ_KAFKA__BOOTSTRAP_SERVERS`). It is loaded once per
entry point and passed down, into actors too. `reaseq settings` prints it.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as PydanticSettingsError

from reaseq.diffusion.settings import GeneratorSettings
from reaseq.knowledge.settings import KnowledgeSettings
from reaseq.ranker.settings import RankerSettings

ENV_PREFIX = "REASEQ_"
CONFIG_VARIABLE = "REASEQ_CONFIG"

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A group of settings: immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    """Where the log is. Without `bootstrap_servers` an embedded broker is started for you."""

    bootstrap_servers: str | None = None
    """host:port, comma separated. None: start the embedded broker (laptops and tests only)."""
    embedded_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of the embedded broker; 0 picks a free one."""
    launcher: str | None = None
    """Command of a real broker, called `LAUNCHER PORT DATA_DIR [property=value …]`, started instead
    of the embedded one. The contract tests run on it too."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: Path | None = None
    connect_timeout_s: Seconds = 15.0
    """A broker that has not answered by then is called unreachable."""
    idle_pause_ms: Annotated[int, Field(ge=0)] = 0
    """Pause after an empty fetch, for a broker that answers it at once instead of waiting for
    records, as the embedded one does: a reader would spin."""
    num_partitions: Count = 4
    """Partitions of the event topic. A user lives in one partition: key = user_id."""
    replication_factor: Count = 1
    max_event_bytes: Count = 262_144
    """A larger event becomes a dead letter."""
    max_message_bytes: Count = 4_194_304
    """Largest message the topics take at all; must leave room for oversized events to arrive."""

    @model_validator(mode="after")
    def _check(self) -> KafkaSettings:
        if self.max_message_bytes <= self.max_event_bytes:
            raise ValueError("kafka.max_message_bytes must be larger than kafka.max_event_bytes")
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_mechanism and self.sasl_username and self.sasl_password
        ):
            raise ValueError(
                f"kafka.security_protocol {self.security_protocol} needs kafka.sasl_mechanism, "
                "kafka.sasl_username and kafka.sasl_password"
            )
        return self


class TopicSettings(Section):
    """Names of the topics."""

    events: str = "reaseq.events"
    items: str = "reaseq.items"
    impressions: str = "reaseq.impressions"
    dead_letters: str = "reaseq.dead"


class StreamSettings(Section):
    """The sequence shards: from the log to the online store."""

    num_shards: Count = 2
    """Ray Data actors; the partitions are dealt out among them."""
    max_sequence_events: Count = 100
    """N: a user sequence is the newest N distinct events."""
    poll_timeout_s: Seconds = 0.2
    max_poll_records: Count = 4096
    checkpoint_interval_s: Seconds = 2.0


class FeatureStoreSettings(Section):
    """Feast: the online store. The offline store is Parquet under the home folder."""

    online: Literal["sqlite", "redis"] = "sqlite"
    redis_url: SecretStr | None = None
    """Where Redis is, e.g. redis://user:password@host:6379/0; for `online = "redis"`."""

    @model_validator(mode="after")
    def _check(self) -> FeatureStoreSettings:
        if self.online == "redis" and self.redis_url is None:
            raise ValueError("features.online redis needs features.redis_url")
        return self


class TrainSettings(Section):
    """Ray Train around the models' own settings."""

    num_workers: Count = 1
    """More pay off where each has a GPU or several cores of its own: on a laptop's two cores, two
    take as long as one."""
    use_gpu: bool = False
    max_failures: Annotated[int, Field(ge=0)] = 2


class RetrainSettings(Section):
    """When `reaseq retrain --loop` trains again, and what the challenger is measured on."""

    every_events: Count = 50_000
    """So many new events in the archive ask for a training …"""
    every_s: Seconds = 86_400.0
    """… or so much time since the last one, if there is any new event."""
    held_out_days: Annotated[float, Field(gt=0)] = 7.0
    """The newest days of events: neither contender is trained on them, both are measured there."""


class RegistrySettings(Section):
    """The model registry: MLflow's."""

    uri: SecretStr | None = None
    """An MLflow server or database, often with a password; None: SQLite below the home folder."""


class PoolSettings(Section):
    """Where the replicas of a deployment run, how much each may use, how many there are."""

    num_cpus: Annotated[float, Field(ge=0)] = 0.5
    """Logical CPUs of a replica."""
    num_gpus: Annotated[float, Field(ge=0)] = 0
    """GPUs of a replica; replicas with a fraction share one."""
    resources: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Custom Ray resources of a replica, e.g. {"llm": 1}: only nodes that offer them are taken."""
    node_labels: dict[str, str] = {}
    """Ray node labels a replica's node must have, e.g. {"reaseq.io/pool" = "llm"}."""
    min_replicas: Annotated[int, Field(ge=0)] = 1
    max_replicas: Count = 1
    target_ongoing_requests: Annotated[float, Field(gt=0)] = 2.0
    """More requests than this on each replica start another one, up to the maximum."""

    @model_validator(mode="after")
    def _check(self) -> PoolSettings:
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas must not be less than min_replicas")
        if self.num_gpus > 1 and self.num_gpus != int(self.num_gpus):
            raise ValueError("num_gpus above 1 must be whole: share one GPU or own some")
        return self

    @property
    def device(self) -> str:
        """Where torch computes in this pool: Ray shows a replica the GPUs that it may use."""
        return "cuda" if self.num_gpus else "cpu"


class LlmPoolSettings(PoolSettings):
    """Text generation: an engine batches many calls."""

    num_cpus: Annotated[float, Field(ge=0)] = 1.0
    target_ongoing_requests: Annotated[float, Field(gt=0)] = 16.0


class GeneratorPoolSettings(PoolSettings):
    """Behaviour generation: calls wait for each other to be batched."""

    target_ongoing_requests: Annotated[float, Field(gt=0)] = 16.0


class RankerPoolSettings(PoolSettings):
    """Candidates and ranking."""

    target_ongoing_requests: Annotated[float, Field(gt=0)] = 8.0


class CpuPoolSettings(PoolSettings):
    """Everything else: the HTTP gateway and the followers of the log."""

    num_cpus: Annotated[float, Field(ge=0)] = 0.25
    target_ongoing_requests: Annotated[float, Field(gt=0)] = 32.0


class PoolsSettings(Section):
    """The pools by name. Each deployment names the one it runs on."""

    llm: LlmPoolSettings = LlmPoolSettings()
    generator: GeneratorPoolSettings = GeneratorPoolSettings()
    ranker: RankerPoolSettings = RankerPoolSettings()
    cpu: CpuPoolSettings = CpuPoolSettings()


class ServeSettings(Section):
    """The HTTP application."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 picks a free port."""
    recommender_timeout_s: Seconds = 1.0
    """After this the answer falls back to popular items and says so."""
    max_k: Count = 100
    num_new_items: Annotated[int, Field(ge=0)] = 1
    """Places at the end of a slate kept for items that nobody has bought yet, if any fits."""
    min_similarity: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How like a recent item of the user (cosine) such an item must be."""


class RaySettings(Section):
    """The Ray cluster. Without an address a private one is started and stopped with the program."""

    address: str | None = None
    num_cpus: Count = 12
    """Logical CPUs of a private cluster: slots for actors, not cores."""
    object_store_mb: Annotated[int, Field(ge=80)] = 512


class Settings(Section):
    """All settings; see each section."""

    home: Path = Path(".reaseq")
    """Folder for everything that is kept: features, checkpoints, models, reports."""
    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    stream: StreamSettings = StreamSettings()
    features: FeatureStoreSettings = FeatureStoreSettings()
    ranker: RankerSettings = RankerSettings()
    train: TrainSettings = TrainSettings()
    retrain: RetrainSettings = RetrainSettings()
    registry: RegistrySettings = RegistrySettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    generator: GeneratorSettings = GeneratorSettings()
    pools: PoolsSettings = PoolsSettings()
    serve: ServeSettings = ServeSettings()
    ray: RaySettings = RaySettings()

    def at_home(self, home: Path) -> Settings:
        """The same settings with another home folder."""
        return self.model_copy(update={"home": home})


class SettingsError(ValueError):
    """Some setting is wrong; the message names each field and says what is allowed."""


class _Loader(BaseSettings, Settings):
    """Lays the environment over the values given (the config file's)."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load_settings(config: Path | None = None) -> Settings:
    """Read settings from defaults, TOML file and environment.

    Raises SettingsError, naming every wrong field, for an unknown key, a wrong value or a config
    file that cannot be read or is not TOML.
    """
    _refuse_unknown_variables()
    file = config or (Path(os.environ[CONFIG_VARIABLE]) if CONFIG_VARIABLE in os.environ else None)
    try:
        loaded = _Loader(**_read_toml(file) if file else {})
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    except PydanticSettingsError as error:
        raise SettingsError(f"wrong settings in the environment: {error}") from None
    settings = Settings.model_validate(loaded.model_dump())
    return settings.at_home(settings.home.expanduser().resolve())


def _refuse_unknown_variables() -> None:
    """Inside a section the model itself refuses unknown keys; the sections are checked here."""
    for name in os.environ:
        section = name.removeprefix(ENV_PREFIX).split("__")[0].lower()
        if name.startswith(ENV_PREFIX) and section not in Settings.model_fields:
            if name != CONFIG_VARIABLE:
                raise SettingsError(f"{name}: unknown setting; `reaseq settings` lists them all")


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise SettingsError(f"config file {file} does not exist") from None
    except OSError as error:
        raise SettingsError(f"config file {file} cannot be read: {error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"config file {file} is not valid TOML: {error}") from None


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"])
        variable = ENV_PREFIX + "__".join(str(part) for part in problem["loc"]).upper()
        reason = "unknown setting" if problem["type"] == "extra_forbidden" else problem["msg"]
        lines.append(f"  {field or 'settings'}: {reason} (config file, or {variable})")
    return "\n".join(["wrong settings:", *lines])
