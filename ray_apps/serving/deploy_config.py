"""How the settings reach a cluster: the Serve config, with secrets named and never written.

`reaseq deploy serve-config` prints what `serve deploy` and a RayService take. The application's
argument in it is the settings where they differ from the defaults. In the place of a secret stands
the environment variable that holds it, `env:REASEQ_SECTION__KEY`, and the application's builder
puts it in on the cluster (`with_secrets`). A settings file may say `env:NAME` itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr
from ray.serve.schema import ServeDeploySchema

from ray_apps.serving.pools import deployments, options
from ray_apps.settings import Settings
from reaseq.errors import InputError, NotReadyError
from reaseq.settings import ENV_PREFIX

APPLICATION = "reaseq"

BUILDER = "ray_apps.serving.app:build_app"

REFERENCE = "env:"
"""A secret that begins so names the environment variable that holds it."""

HEADER = "# Made by `reaseq deploy serve-config`: change the settings, not this file.\n"

Field = tuple[str, ...]


def serve_config(settings: Settings) -> dict[str, Any]:
    """The config of the Serve application on a cluster, as Serve's own schema accepts it.

    Raises ValueError when a setting holds only on one machine: the embedded broker, a free port.
    """
    _check(settings)
    config = {
        "proxy_location": "EveryNode",
        "http_options": {"host": settings.serve.host, "port": settings.serve.port},
        "logging_config": {
            "encoding": "JSON",
            "log_level": "INFO",
            "enable_access_log": False,  # a line a request slows every request
        },
        "applications": [
            {
                "name": APPLICATION,
                "route_prefix": "/",
                "import_path": BUILDER,
                "args": application_args(settings),
                "deployments": [options(settings, name) for name in deployments(settings)],
            }
        ],
    }
    ServeDeploySchema.model_validate(config)
    return config


def serve_yaml(settings: Settings) -> str:
    """`serve_config` as the text of `deploy/serve.yaml`."""
    return HEADER + str(yaml.safe_dump(serve_config(settings), sort_keys=False))


def application_args(settings: Settings) -> dict[str, Any]:
    """The settings that differ from the defaults, each secret as the variable that holds it."""
    args = settings.model_dump(mode="json", exclude_defaults=True)
    for path, secret in _secrets(settings):
        _put(args, path, _reference(path, secret))
    return args


def with_secrets(settings: Settings, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings with every secret that is named as `env:NAME` taken from the environment.

    Raises ValueError naming the variables that are not set.
    """
    values = settings.model_dump()
    missing = []
    for path, secret in _secrets(settings):
        name = secret.get_secret_value().removeprefix(REFERENCE)
        if name == secret.get_secret_value():
            continue
        if environment.get(name):
            _put(values, path, SecretStr(environment[name]))
        else:
            missing.append(f"{name} (for {'.'.join(path)})")
    if missing:
        raise NotReadyError(f"set in the environment of every Ray node: {', '.join(missing)}")
    return Settings.model_validate(values)


def _check(settings: Settings) -> None:
    if settings.kafka.bootstrap_servers is None:
        raise InputError("a cluster needs a broker of its own: set kafka.bootstrap_servers")
    if settings.serve.port == 0:
        raise InputError("a cluster needs one port on every node: set serve.port")


def _secrets(section: BaseModel, path: Field = ()) -> Iterator[tuple[Field, SecretStr]]:
    """Every secret that is set, with the names of the fields that lead to it."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, SecretStr):
            yield (*path, name), value
        elif isinstance(value, BaseModel):
            yield from _secrets(value, (*path, name))


def _reference(path: Field, secret: SecretStr) -> str:
    value = secret.get_secret_value()
    return (
        value if value.startswith(REFERENCE) else REFERENCE + ENV_PREFIX + "__".join(path).upper()
    )


def _put(values: dict[str, Any], path: Field, value: Any) -> None:
    for name in path[:-1]:
        values = values[name]
    values[path[-1]] = value
