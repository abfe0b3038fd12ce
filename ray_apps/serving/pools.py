"""Which deployment runs on which pool, and what Serve is given about it.

A pool is a place in the cluster with a budget: how much of a node a replica may use, which nodes it
may take, how many replicas there are (`ray_apps.settings.PoolSettings`). The builder of the
application and `deploy/serve.yaml` (`ray_apps.serving.deploy_config`) say the same, both from here.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from ray_apps.settings import PoolSettings, Settings

PoolName = Literal["llm", "generator", "ranker", "cpu"]

DEPLOYMENT_POOLS: dict[str, PoolName] = {
    "gateway": "cpu",
    "recommender": "ranker",
    "generator": "generator",
    "behaviours": "cpu",
    "llm": "llm",
    "knowledge": "cpu",
}
"""Every deployment of the application, and the pool that it runs on."""

ALWAYS_ONE = frozenset({"behaviours", "knowledge"})
"""Followers of the log. A second replica would do the same work again, none would do it at all."""

IN_EVERY_REQUEST = frozenset({"gateway", "recommender"})
"""During an update the new replica of these is up before the old one goes, for which the pool needs
room. The others may be away for a while: a request goes on without them."""

QUEUE_FACTOR = 2
"""A replica takes this many times its pool's target at once: requests beyond the target are what
the autoscaler sees, so a replica that refused them would never get company."""


def deployments(settings: Settings) -> list[str]:
    """The deployments that there are whatever machine builds the application.

    With `knowledge.source = "auto"` the build decides whether there is an `llm`; it has its options
    all the same, from the builder.
    """
    missing = set()
    if settings.knowledge.source not in ("vllm", "endpoint"):
        missing.add("llm")
    if settings.knowledge.source == "none":
        missing.add("knowledge")
    return [name for name in DEPLOYMENT_POOLS if name not in missing]


def options(settings: Settings, deployment: str) -> dict[str, Any]:
    """What `serve.deployment(cls, **options)` takes about a deployment.

    Raises KeyError for a deployment that DEPLOYMENT_POOLS does not know.
    """
    pool: PoolSettings = getattr(settings.pools, DEPLOYMENT_POOLS[deployment])
    return {
        "name": deployment,
        "ray_actor_options": _place(pool),
        "max_ongoing_requests": _most_at_once(settings, deployment, pool),
        **_num_replicas(deployment, pool),
        **({"max_surge_percent": 100} if deployment in IN_EVERY_REQUEST else {}),
    }


def _place(pool: PoolSettings) -> dict[str, Any]:
    """How much of a node a replica may use, and which nodes it may take."""
    place: dict[str, Any] = {"num_cpus": pool.num_cpus, "num_gpus": pool.num_gpus}
    if pool.resources:
        place["resources"] = dict(pool.resources)
    if pool.node_labels:
        place["label_selector"] = dict(pool.node_labels)
    return place


def _most_at_once(settings: Settings, deployment: str, pool: PoolSettings) -> int:
    most = math.ceil(QUEUE_FACTOR * pool.target_ongoing_requests)
    # Fewer could never fill a batch.
    return max(most, settings.generation.max_batch_size) if deployment == "generator" else most


def _num_replicas(deployment: str, pool: PoolSettings) -> dict[str, Any]:
    if deployment in ALWAYS_ONE:
        return {"num_replicas": 1}
    if pool.min_replicas == pool.max_replicas:
        return {"num_replicas": pool.max_replicas}
    return {
        "autoscaling_config": {
            "min_replicas": pool.min_replicas,
            "max_replicas": pool.max_replicas,
            "target_ongoing_requests": pool.target_ongoing_requests,
        }
    }
