"""The Compose file and the Dockerfiles hold to their schema, to the settings and to the code."""

from __future__ import annotations

import copy
import fnmatch
import re
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml

from ray_apps.cli.app import app
from ray_apps.serving.deploy_config import serve_config
from ray_apps.settings import Settings, load_settings
from reaseq import __version__

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
DOCKERFILES = [DEPLOY / "Dockerfile.cpu", DEPLOY / "Dockerfile.gpu"]
TOML = DEPLOY / "compose.toml"

Document = dict[str, Any]


@pytest.fixture
def settings() -> Settings:
    return load_settings(TOML)


def of_ray(compose: Document) -> dict[str, Document]:
    """The services that run our images."""
    return {n: s for n, s in compose["services"].items() if s["image"].startswith("reaseq-")}


def test_the_file_holds_to_the_specification(compose, compose_problems) -> None:
    """No unknown key, no wrong type."""
    assert compose_problems(compose) == []


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("kafka", "restarts", "always"),
        ("kafka", "ports", 9092),
        ("redis", "healthcheck", {"tests": ["CMD", "true"]}),
        ("stream", "depends_on", {"kafka": {"condition": "service_ready"}}),
        ("ray-worker-gpu", "deploy", {"resources": {"gpus": 1}}),
    ],
)
def test_a_mistake_is_found(compose, compose_problems, service: str, key: str, value: Any) -> None:
    """The check above can fail."""
    wrong = copy.deepcopy(compose)
    wrong["services"][service][key] = value
    assert compose_problems(wrong)


def test_only_http_and_the_dashboard_are_open_and_only_here(compose) -> None:
    """Nothing listens outside the machine, and nothing else on it."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert sorted(ports) == ["127.0.0.1:8000:8000", "127.0.0.1:8265:8265"]


def test_every_dependency_can_become_healthy(compose) -> None:
    """Whoever waits for a service waits for its health check, and there is one."""
    for service in compose["services"].values():
        for name, dependency in service.get("depends_on", {}).items():
            assert dependency == {"condition": "service_healthy"}
            assert "healthcheck" in compose["services"][name]


def test_the_application_waits_for_everything_it_uses(compose) -> None:
    """Broker, store, nodes, and the stream, which applies the feature store."""
    needed = {"kafka", "redis", "ray-head", "ray-worker", "stream"}
    for name in ("serve", "retrain"):
        assert set(compose["services"][name]["depends_on"]) == needed
    assert set(compose["services"]["stream"]["depends_on"]) == needed - {"stream"}


def test_every_ray_container_has_home_settings_and_secrets(compose, settings: Settings) -> None:
    """The home lies at the path of the settings, the settings where the program looks for them."""
    for service in of_ray(compose).values():
        assert service["volumes"] == [f"home:{settings.home}"]
        (config,) = service["configs"]
        assert config["target"] == service["environment"]["REASEQ_CONFIG"]
        assert (DEPLOY / compose["configs"][config["source"]]["file"]).samefile(TOML)
        assert "REASEQ_FEATURES__REDIS_URL" in service["environment"]
    assert {"home", "kafka", "redis"} == compose["volumes"].keys()


def test_the_settings_reach_the_broker_and_the_store_of_the_file(
    compose, settings: Settings
) -> None:
    """Addresses in settings and services are the same, and the head can be reached from outside."""
    kafka = compose["services"]["kafka"]["environment"]
    assert kafka["KAFKA_ADVERTISED_LISTENERS"] == f"BROKER://{settings.kafka.bootstrap_servers}"
    assert kafka["KAFKA_LOG_RETENTION_MS"] == -1
    assert settings.kafka.replication_factor == 1
    for service in of_ray(compose).values():
        assert service["environment"]["REASEQ_FEATURES__REDIS_URL"].endswith("@redis:6379/0")
    assert (settings.serve.host, settings.serve.port) == ("0.0.0.0", 8000)
    assert settings.ray.address == "auto"


def test_every_variable_for_us_is_a_setting(compose) -> None:
    """A name that is no setting would be refused at the start."""
    names = {n for s in of_ray(compose).values() for n in s["environment"] if "REASEQ_" in n}
    for name in names - {"REASEQ_CONFIG"}:
        section: Any = Settings()
        for part in name.removeprefix("REASEQ_").lower().split("__"):
            assert part in type(section).model_fields, name
            section = getattr(section, part)


def test_no_secret_is_written_down(compose) -> None:
    """Each comes from the environment of whoever starts it, who is told if it is missing."""
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if any(word in name for word in ("PASSWORD", "TOKEN", "AUTH", "URL", "KEY")):
                assert value in (None, "token") or "${" in value, name
    text = (DEPLOY / "compose.yaml").read_text()
    for reference in re.findall(r"\$\{[^}]*\}", text):
        assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", reference), reference


def test_one_machine_without_gpu_has_room_for_every_pool(settings: Settings) -> None:
    """No pool asks for a GPU, a label or a resource that no worker of the file has."""
    for deployment in serve_config(settings)["applications"][0]["deployments"]:
        place = deployment["ray_actor_options"]
        assert place == {"num_cpus": place["num_cpus"], "num_gpus": 0}


def test_images_and_versions_are_those_of_the_rest(compose, manifests) -> None:
    """Both Dockerfiles are built under the names that Kubernetes uses; one Kafka, one Redis."""
    built = {s["image"]: s["build"]["dockerfile"] for s in of_ray(compose).values()}
    assert built == {
        f"reaseq-{f.suffix[1:]}:{__version__}": f"deploy/{f.name}" for f in DOCKERFILES
    }
    assert {s["build"]["context"] for s in of_ray(compose).values()} == {".."}
    images = {name: s["image"] for name, s in compose["services"].items()}
    (kafka,) = [d["spec"]["kafka"] for d in manifests if d["kind"] == "Kafka"]
    assert images["kafka"] == f"apache/kafka:{kafka['version']}"
    (redis,) = [d["spec"]["template"]["spec"] for d in manifests if d["kind"] == "StatefulSet"]
    assert images["redis"] == redis["containers"][0]["image"]


def commands() -> set[str]:
    """Every command of the command line, groups with their commands."""
    own = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    nested = {
        f"{group.name} {c.name or c.callback.__name__}"
        for group in app.registered_groups
        if group.typer_instance
        for c in group.typer_instance.registered_commands
        if c.callback
    }
    return own | nested


def test_the_commands_that_are_called_exist() -> None:
    """What Compose and Kubernetes start is on the command line under that name."""
    files = [DEPLOY / "compose.yaml", *(DEPLOY / "kubernetes").glob("ray*.yaml")]
    text = "\n".join(re.sub(r"#.*", "", file.read_text()) for file in files)
    called = set(re.findall(r"(?:entrypoint: |exec |- )reaseq ((?:deploy )?[a-z][a-z-]+)", text))
    assert called == {"stream", "retrain", "deploy serve-config"}
    assert called <= commands()


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda f: f.name)
def test_a_dockerfile_copies_what_there_is_and_ends_as_a_user(file: Path, compose) -> None:
    """Every source exists and is in the build context; the user is the one of the manifests."""
    text = file.read_text()
    ignored = file.with_name(f"{file.name}.dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in kept), source
    users = re.findall(r"^USER (.+)$", text, re.MULTILINE)
    assert users[-1] == "1000:1000"
    assert "wget" in text
    assert all("REASEQ_" not in line for line in text.splitlines() if line.startswith("ENV"))


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda f: f.name)
def test_a_dockerfile_names_no_registry_and_the_python_of_the_project(file: Path) -> None:
    """Base images by name alone, at the Python that the project asks for; no index is written."""
    text = file.read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = re.search(r">=(3\.\d+)", project["requires-python"])
    assert wanted
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(bases) == 2
    assert all(base.startswith(f"python:{wanted[1]}-slim") for base in bases)
    assert "://" not in text
    assert "index-url" not in text


def test_vllm_on_gpu_is_the_one_that_ray_pins() -> None:
    """Ray's extra `llm` says which vLLM it was made with."""
    pins = [r for r in requires("ray") or [] if r.startswith("vllm") and "llm" in r.split(";")[-1]]
    (pin,) = {m[1] for r in pins if (m := re.match(r"vllm(?:\[.*?\])?==([\d.]+)", r))}
    assert f" vllm=={pin}\n" in DOCKERFILES[1].read_text()


def test_both_images_install_the_same_code_the_same_way() -> None:
    """The sources are copied and installed by the same lines."""
    last = [f.read_text().split("COPY README.md")[1].split("\n\n")[0] for f in DOCKERFILES]
    assert last[0] == last[1]


def test_yaml_is_read_the_way_compose_reads_it(compose) -> None:
    """Merged anchors leave every service with its own command and the shared rest."""
    text = (DEPLOY / "compose.yaml").read_text()
    assert yaml.safe_load(text) == compose
    shared = compose["x-ray"]
    for service in of_ray(compose).values():
        assert service["environment"] == shared["environment"]
        assert service["command"]
