"""Placeholder until the ranker lands; owned by the ranker's author, overwrite freely."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RankerSettings(BaseModel):
    """Ranker settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")
