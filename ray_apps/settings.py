"""Every setting of the system in one frozen, typed object.

Each layer declares its own sections; here they come together with those of Ray, Serve, training and
the registry. `reaseq.settings.loading` says where values come from. Loaded once per entry point and
passed down, into actors too. `reaseq settings` prints it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from reaseq.generator.settings import GeneratorSettings
from reaseq.knowledge.settings import KnowledgeSettings
from reaseq.ranker.settings import RankerSettings
from reaseq.recommendation.settings import RecommenderSettings
from reaseq.settings import Section, load
from reaseq.types import Count, NotNegative, Seconds
from streams.settings import FeatureStoreSettings, KafkaSettings, StreamSettings, TopicSettings


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


class GenerationSettings(Section):
    """For whom and when behaviours are generated; the model is in the section `generator`."""

    cutoff_days: NotNegative = 45.0
    """The generator learns from all but the newest days of the history, so what it generates for
    the orders of these days is as honest as what it generates online."""
    min_new_events: Count = 5
    """A user whose sequence gained this many events is generated for again."""
    timeout_s: Seconds = 5.0
    """Longest wait for an answer of the generator."""
    max_batch_size: Count = 64
    """Sequences that are generated for together, at most."""
    batch_wait_timeout_s: NotNegative = 0.02
    """Longest wait for a batch to fill."""


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
    resources: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Custom Ray resources of a replica, e.g. {"llm": 1}: only nodes that offer them are taken."""
    node_labels: dict[str, str] = Field(default_factory=dict)
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
    generation: GenerationSettings = GenerationSettings()
    pools: PoolsSettings = PoolsSettings()
    recommender: RecommenderSettings = RecommenderSettings()
    serve: ServeSettings = ServeSettings()
    ray: RaySettings = RaySettings()

    def at_home(self, home: Path) -> Settings:
        """The same settings with another home folder."""
        return self.model_copy(update={"home": home})


def load_settings(config: Path | None = None) -> Settings:
    """Read settings from defaults, TOML file and environment; see `reaseq.settings.load`."""
    settings = load(Settings, config)
    return settings.at_home(settings.home.expanduser().resolve())
