"""Every deployment runs on its pool, with what the settings of that pool say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import serve
from ray.serve.schema import DeploymentSchema

from ray_apps.serving.pools import ALWAYS_ONE, DEPLOYMENT_POOLS, deployments, options
from ray_apps.settings import PoolsSettings, Settings

KINDS = ("llm", "generator", "ranker", "cpu")
NAMES = sorted(DEPLOYMENT_POOLS)


def with_pool(name: str, **values: object) -> Settings:
    return Settings.model_validate({"pools": {name: values}})


@st.composite
def pools(draw: st.DrawFn) -> dict[str, object]:
    least = draw(st.integers(0, 4))
    return {
        "num_cpus": draw(st.sampled_from([0, 0.25, 1, 4])),
        "num_gpus": draw(st.sampled_from([0, 0.125, 0.5, 1, 2])),
        "resources": draw(st.sampled_from([{}, {"llm": 1}])),
        "node_labels": draw(st.sampled_from([{}, {"reaseq.io/nodes": "llm"}])),
        "min_replicas": least,
        "max_replicas": draw(st.integers(max(1, least), 8)),
        "target_ongoing_requests": draw(st.sampled_from([0.5, 2, 16])),
    }


@given(st.fixed_dictionaries(dict.fromkeys(KINDS, pools())), st.sampled_from(NAMES))
def test_serve_takes_the_options_of_every_pool(found: dict[str, object], name: str) -> None:
    """Whatever the settings allow, Serve allows too, in a config file and in the code."""
    told = options(Settings.model_validate({"pools": found}), name)
    DeploymentSchema.model_validate(told)
    assert serve.deployment(object, **told).name == name


def test_every_pool_of_the_settings_has_a_deployment() -> None:
    """No pool is left that nothing runs on, and none is used that cannot be set."""
    assert set(DEPLOYMENT_POOLS.values()) == set(PoolsSettings.model_fields) == set(KINDS)


def test_a_pool_tells_what_a_replica_uses_and_where() -> None:
    """Fractions of a GPU, custom resources and node labels reach Ray under Ray's names."""
    settings = with_pool(
        "llm",
        num_cpus=2,
        num_gpus=0.5,
        resources={"llm": 1},
        node_labels={"reaseq.io/nodes": "llm"},
        target_ongoing_requests=16,
    )
    assert options(settings, "llm") == {
        "name": "llm",
        "ray_actor_options": {
            "num_cpus": 2,
            "num_gpus": 0.5,
            "resources": {"llm": 1},
            "label_selector": {"reaseq.io/nodes": "llm"},
        },
        "max_ongoing_requests": 32,
        "num_replicas": 1,
    }


def test_replicas_follow_the_load_between_the_bounds() -> None:
    """Different bounds turn autoscaling on; equal ones fix the number; 0 scales to zero."""
    settings = with_pool("ranker", min_replicas=0, max_replicas=3, target_ongoing_requests=4)
    found = options(settings, "recommender")
    assert found["autoscaling_config"] == {
        "min_replicas": 0,
        "max_replicas": 3,
        "target_ongoing_requests": 4,
    }
    assert "num_replicas" not in found
    fixed = options(with_pool("ranker", min_replicas=3, max_replicas=3), "recommender")
    assert fixed["num_replicas"] == 3
    assert "autoscaling_config" not in fixed


@pytest.mark.parametrize("name", sorted(ALWAYS_ONE))
def test_a_follower_of_the_log_is_one_whatever_its_pool_says(name: str) -> None:
    """Its pool may scale and even go to zero: there is one follower all the time, never two."""
    found = options(with_pool("cpu", min_replicas=0, max_replicas=9), name)
    assert found["num_replicas"] == 1
    assert "autoscaling_config" not in found
    assert "max_surge_percent" not in found


@pytest.mark.parametrize("name", NAMES)
def test_a_replica_takes_more_requests_than_the_autoscaler_aims_at(name: str) -> None:
    """Else the load could never pass the target, and no replica would be added."""
    settings = Settings()
    pool = getattr(settings.pools, DEPLOYMENT_POOLS[name])
    assert options(settings, name)["max_ongoing_requests"] > pool.target_ongoing_requests


def test_a_generator_replica_can_fill_its_batch() -> None:
    """It takes as many requests as a batch has places, even when the target is lower."""
    settings = with_pool("generator", target_ongoing_requests=1)
    most = options(settings, "generator")["max_ongoing_requests"]
    assert most == settings.generation.max_batch_size


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("vllm", set()),
        ("endpoint", set()),
        ("recorded", {"llm"}),
        ("auto", {"llm"}),
        ("none", {"llm", "knowledge"}),
    ],
)
def test_a_language_model_is_deployed_only_where_one_is_asked(
    source: str, missing: set[str]
) -> None:
    """A Serve config must not name a deployment that the application does not have."""
    knowledge = {"source": source, "model": "m", "base_url": "http://llm/v1"}
    settings = Settings.model_validate({"knowledge": knowledge})
    assert set(deployments(settings)) == set(DEPLOYMENT_POOLS) - missing


def test_an_unknown_deployment_is_refused() -> None:
    """A typing error is no pool."""
    with pytest.raises(KeyError, match="gatewya"):
        options(Settings(), "gatewya")
