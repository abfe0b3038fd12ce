"""The files under `deploy/`, and the schemas that they are checked against."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ray_apps.settings import Settings, load_settings
from reaseq.settings import ENV_PREFIX

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
SCHEMAS = Path(__file__).parent / "schemas"

Document = dict[str, Any]
Problems = Callable[[Document], list[str]]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(ENV_PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def cluster() -> Settings:
    """The settings of the Kubernetes installation."""
    return load_settings(DEPLOY / "cluster.toml")


@pytest.fixture(scope="session")
def manifests() -> list[Document]:
    """Every document of every manifest that the kustomization names. Not to be changed."""
    names = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"]
    return [d for name in names for d in yaml.safe_load_all((DEPLOY / name).read_text())]


@pytest.fixture(scope="session")
def compose() -> Document:
    """The Compose file with its anchors resolved. Not to be changed."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


@pytest.fixture
def crd_problems() -> Problems:
    """What the custom resource's own definition has against a document; empty if nothing."""
    return lambda document: _problems(_crd(document["apiVersion"], document["kind"]), document)


@pytest.fixture
def compose_problems() -> Problems:
    """What the Compose Specification has against a document; empty if nothing."""
    schema = json.loads(gzip.decompress((SCHEMAS / "compose-spec.json.gz").read_bytes()))
    return lambda document: _problems(schema, document)


def _problems(schema: Document, document: Document) -> list[str]:
    validator = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


@cache
def _crd(api_version: str, kind: str) -> Document:
    """The schema of a custom resource in one version. Raises KeyError when there is none."""
    group, version = api_version.split("/")
    for definition in _definitions():
        spec = definition["spec"]
        if (spec["group"], spec["names"]["kind"]) == (group, kind):
            found = {v["name"]: v["schema"]["openAPIV3Schema"] for v in spec["versions"]}
            return _root(found[version], api_version, kind)
    raise KeyError(f"no schema of {kind} in {group}")


@cache
def _definitions() -> tuple[Document, ...]:
    # The C loader, where PyYAML has it: a definition has up to 1.4 MB.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    files = sorted(SCHEMAS.glob("*.yaml.gz"))
    return tuple(yaml.load(gzip.decompress(file.read_bytes()), loader) for file in files)


def _root(schema: Document, api_version: str, kind: str) -> Document:
    root = _closed(schema)
    root["properties"] |= {
        "apiVersion": {"const": api_version},
        "kind": {"const": kind},
        "metadata": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"},
                "namespace": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "additionalProperties": False,
        },
    }
    root["required"] = [*root.get("required", []), "apiVersion", "kind", "metadata", "spec"]
    return root


def _closed(schema: Any) -> Any:
    """OpenAPI as Kubernetes means it, in JSON Schema: fields that are not named are refused.

    A cluster drops such fields in silence, or refuses them with `--validate=strict`. Rules in CEL
    (`x-kubernetes-validations`) are not checked.
    """
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        closed["properties"] = {k: _closed(part) for k, part in schema["properties"].items()}
    if schema.get("x-kubernetes-int-or-string"):
        closed["anyOf"] = [{"type": "integer"}, {"type": "string"}]
        closed.pop("type", None)
    if schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    if schema.get("nullable"):
        closed["type"] = [schema["type"], "null"]
    return closed
