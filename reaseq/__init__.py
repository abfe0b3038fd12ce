"""A recommender that reasons: user sequences, item knowledge, generated behaviours, ranking.

The names here are for whoever uses the library without Ray, Kafka or Feast: read a log, merge its
events into sequences, train, recommend, evaluate.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from reaseq.datasets.online_retail import read_online_retail as read_online_retail
    from reaseq.errors import ReaseqError as ReaseqError
    from reaseq.evaluation.prequential import PrequentialEvaluation as PrequentialEvaluation
    from reaseq.events import Event as Event
    from reaseq.events import Item as Item
    from reaseq.ranker.settings import RankerSettings as RankerSettings
    from reaseq.recommendation.recommender import Recommender as Recommender
    from reaseq.recommendation.train import train_recommender as train_recommender
    from reaseq.sequences.as_of import training_rows as training_rows
    from reaseq.sequences.state import SequenceState as SequenceState

_HOMES = {
    "Event": "reaseq.events",
    "Item": "reaseq.events",
    "PrequentialEvaluation": "reaseq.evaluation.prequential",
    "RankerSettings": "reaseq.ranker.settings",
    "ReaseqError": "reaseq.errors",
    "Recommender": "reaseq.recommendation.recommender",
    "SequenceState": "reaseq.sequences.state",
    "read_online_retail": "reaseq.datasets.online_retail",
    "train_recommender": "reaseq.recommendation.train",
    "training_rows": "reaseq.sequences.as_of",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import reaseq` itself loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'reaseq' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
