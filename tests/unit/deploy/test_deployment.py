"""The Serve config says what the settings say, and no secret."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr
from ray.serve.schema import ServeDeploySchema

from ray_apps.serving.deploy_config import (
    BUILDER,
    application_args,
    serve_config,
    serve_yaml,
    with_secrets,
)
from ray_apps.serving.pools import DEPLOYMENT_POOLS, options
from ray_apps.settings import Settings

COMMITTED = Path(__file__).parents[3] / "deploy" / "serve.yaml"

SECRETS = {
    "REASEQ_KAFKA__SASL_PASSWORD": "hunter2",
    "REASEQ_FEATURES__REDIS_URL": "redis://:hunter3@redis:6379/0",
    "REASEQ_KNOWLEDGE__API_KEY": "hunter4",
    "REASEQ_REGISTRY__URI": "postgresql://reaseq:hunter5@db/mlflow",
}


@pytest.fixture
def secretive() -> Settings:
    """Settings with every secret there is."""
    kafka = {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "ann",
        "sasl_password": SECRETS["REASEQ_KAFKA__SASL_PASSWORD"],
    }
    features = {"online": "redis", "redis_url": SECRETS["REASEQ_FEATURES__REDIS_URL"]}
    knowledge = {"api_key": SECRETS["REASEQ_KNOWLEDGE__API_KEY"]}
    registry = {"uri": SECRETS["REASEQ_REGISTRY__URI"]}
    return Settings.model_validate(
        {"kafka": kafka, "features": features, "knowledge": knowledge, "registry": registry}
    )


def test_the_committed_config_is_the_one_of_the_committed_settings(cluster: Settings) -> None:
    """Who changes deploy/cluster.toml makes deploy/serve.yaml anew:

    reaseq deploy serve-config --config deploy/cluster.toml > deploy/serve.yaml
    """
    assert COMMITTED.read_text() == serve_yaml(cluster)


def test_serve_accepts_the_committed_config() -> None:
    """Serve's own schema reads the file."""
    found = ServeDeploySchema.model_validate(yaml.safe_load(COMMITTED.read_text()))
    (application,) = found.applications
    assert application.deployment_names == list(DEPLOYMENT_POOLS)


def test_the_application_gets_the_settings_that_made_the_config(cluster: Settings) -> None:
    """What differs from the defaults is enough: Serve validates it back to equal settings."""
    args = serve_config(cluster)["applications"][0]["args"]
    assert Settings.model_validate(args) == cluster
    assert "generator" not in args
    assert "num_negatives" not in str(args)


def test_a_pool_of_which_one_value_is_set_keeps_the_others_of_its_kind() -> None:
    """Who gives the language model a GPU has not said how many requests it takes at once."""
    settings = Settings.model_validate({"pools": {"llm": {"num_gpus": 1}}})
    assert settings.pools.llm.target_ongoing_requests == 16
    assert settings.pools.llm.device == "cuda"
    assert application_args(settings)["pools"] == {"llm": {"num_gpus": 1.0}}


def test_each_deployment_has_the_options_of_its_pool(cluster: Settings) -> None:
    """The config repeats what the builder says, so neither overrides the other by surprise."""
    (application,) = serve_config(cluster)["applications"]
    assert application["deployments"] == [options(cluster, name) for name in DEPLOYMENT_POOLS]


def test_a_secret_is_named_and_never_written(secretive: Settings) -> None:
    """In its place stands the environment variable that would set it."""
    text = serve_yaml(secretive)
    assert "hunter" not in text
    for name in SECRETS:
        assert f"env:{name}" in text


def test_a_secret_comes_back_from_the_environment_of_the_cluster(secretive: Settings) -> None:
    """The builder's settings are the ones that the config was made from."""
    args = yaml.safe_load(serve_yaml(secretive))["applications"][0]["args"]
    assert with_secrets(Settings.model_validate(args), SECRETS) == secretive


def test_settings_may_name_a_variable_of_their_own() -> None:
    """`env:NAME` in a settings file stays as it is in the config, and is looked up by that name."""
    named = {"online": "redis", "redis_url": "env:MY_REDIS"}
    settings = Settings.model_validate({"features": named})
    assert application_args(settings) == {"features": named}
    found = with_secrets(settings, {"MY_REDIS": "redis://other/0"})
    assert found.features.redis_url == SecretStr("redis://other/0")


def test_a_secret_that_is_not_in_the_environment_is_asked_for_by_name() -> None:
    """The error names the variable and the setting; an empty one is none."""
    settings = Settings.model_validate(
        {"features": {"online": "redis", "redis_url": "env:MY_REDIS"}}
    )
    for environment in ({}, {"MY_REDIS": ""}):
        with pytest.raises(ValueError, match=r"MY_REDIS \(for features\.redis_url\)"):
            with_secrets(settings, environment)


def test_settings_without_references_pass_unchanged(secretive: Settings) -> None:
    """On a laptop there is nothing to look up."""
    assert with_secrets(secretive, {}) == secretive


@pytest.mark.parametrize(
    ("section", "key", "value"), [("kafka", "bootstrap_servers", None), ("serve", "port", 0)]
)
def test_what_holds_on_one_machine_only_is_refused(
    cluster: Settings, section: str, key: str, value: object
) -> None:
    """The embedded broker and a free port cannot be shared; the message names the setting."""
    changed = getattr(cluster, section).model_copy(update={key: value})
    with pytest.raises(ValueError, match=rf"{section}\.{key}"):
        serve_config(cluster.model_copy(update={section: changed}))


def test_the_config_names_the_builder_and_the_application_that_there_are() -> None:
    """`import_path` leads to a function, and the application is called as on a laptop.

    The module is read and not imported: it imports everything that serves.
    """
    module, builder = BUILDER.split(":")
    found = importlib.util.find_spec(module)
    assert found
    assert found.origin
    tree = ast.parse(Path(found.origin).read_text())
    functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    assert builder in functions
