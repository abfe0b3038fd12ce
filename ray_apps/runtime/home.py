"""Where things lie under the home folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The folders and files of one installation."""

    root: Path

    @property
    def features(self) -> Path:
        """The Feast repository: registry, online store, offline tables."""
        return self.root / "features"

    @property
    def checkpoints(self) -> Path:
        """Positions and state of the shards."""
        return self.root / "checkpoints"

    @property
    def events(self) -> Path:
        """The archive of events, one of the offline tables."""
        return self.features / "data" / "events"

    @property
    def registry(self) -> Path:
        """The folder of the model registry's file; the rankers share it."""
        return self.versions("models")

    def versions(self, folder: str) -> Path:
        """Trained models of one kind, one folder per version; see `ray_apps.registry.kinds`."""
        return self.root / folder

    @property
    def language_models(self) -> Path:
        """Language models as they were prepared for serving."""
        return self.root / "language_models"

    @property
    def text_vectors(self) -> Path:
        """Sentence vectors of item texts that were encoded before."""
        return self.root / "text_vectors"

    @property
    def broker(self) -> Path:
        """Data and log of the embedded broker."""
        return self.root / "broker"

    @property
    def run_file(self) -> Path:
        """Addresses and process id of the running system; there only while it runs."""
        return self.root / "run.json"
