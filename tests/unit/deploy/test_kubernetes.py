"""The Kubernetes manifests hold to their schemas, to the settings and to each other."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

from ray_apps.serving.deploy_config import serve_config
from ray_apps.settings import Settings
from reaseq import __version__
from streams.log.kafka import KEEP_FOREVER
from streams.log.memory import MemoryLog
from streams.log.ports import ENVELOPE_BYTES
from streams.log.topics import create_topics

DEPLOY = Path(__file__).parents[3] / "deploy"

CORE = {
    "Namespace": "v1",
    "Service": "v1",
    "PersistentVolumeClaim": "v1",
    "StatefulSet": "apps/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}
"""Kinds of Kubernetes itself, whose schemas are not kept here: looked at by hand below."""

OURS = {"app.kubernetes.io/part-of": "reaseq"}

Document = dict[str, Any]


def of_kind(manifests: list[Document], kind: str) -> list[Document]:
    return [document for document in manifests if document["kind"] == kind]


def one(manifests: list[Document], kind: str) -> Document:
    (document,) = of_kind(manifests, kind)
    return document


def at(document: Any, path: str) -> Any:
    """The value at a path like `spec.groups.0.name`."""
    for part in path.split("."):
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def put(document: Document, path: str, value: Any) -> Document:
    """A copy with another value at the path; None removes it."""
    document = copy.deepcopy(document)
    *way, last = path.split(".")
    place = at(document, ".".join(way)) if way else document
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


def clusters(manifests: list[Document]) -> dict[str, Document]:
    """The Ray cluster of each of our three Ray resources, by kind."""
    return {
        "RayService": at(one(manifests, "RayService"), "spec.rayClusterConfig"),
        "RayJob": at(one(manifests, "RayJob"), "spec.rayClusterSpec"),
        "RayCronJob": at(one(manifests, "RayCronJob"), "spec.jobTemplate.rayClusterSpec"),
    }


def ray_pods(manifests: list[Document]) -> Iterator[Document]:
    """The pod template of every Ray node of every cluster."""
    for cluster in clusters(manifests).values():
        for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
            yield group["template"]


def pod_specs(document: Any) -> Iterator[Document]:
    """Every pod specification anywhere in a document."""
    if isinstance(document, dict):
        if "containers" in document:
            yield document
        for value in document.values():
            yield from pod_specs(value)
    elif isinstance(document, list):
        for value in document:
            yield from pod_specs(value)


def containers(manifests: list[Document]) -> Iterator[Document]:
    for pod in pod_specs(manifests):
        yield from pod["containers"]
        yield from pod.get("initContainers", [])


def secret_names(document: Any) -> set[str]:
    """Every Secret that a document refers to."""
    if isinstance(document, list):
        return set().union(*map(secret_names, document))
    if not isinstance(document, dict):
        return set()
    names = set().union(*map(secret_names, document.values()))
    if "secretKeyRef" in document:
        names.add(document["secretKeyRef"]["name"])
    if "secretName" in document:
        names.add(document["secretName"])
    return names


def test_every_custom_resource_holds_to_its_definition(manifests, crd_problems) -> None:
    """No unknown field, no wrong type, nothing missing."""
    found = {
        (document["kind"], document["metadata"]["name"]): crd_problems(document)
        for document in manifests
        if document["kind"] not in CORE
    }
    assert {kind for kind, _ in found} == {
        *("RayService", "RayJob", "RayCronJob"),
        *("Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser"),
    }
    assert not any(found.values()), found


@pytest.mark.parametrize(
    ("kind", "path", "value", "complaint"),
    [
        ("RayService", "spec.rayClusterConfigs", {}, "rayClusterConfigs"),
        ("RayService", "spec.rayClusterConfig", None, "rayClusterConfig"),
        ("RayService", "spec.rayClusterConfig.authOptions.mode", "password", "password"),
        ("RayService", "spec.rayClusterConfig.workerGroupSpecs.0.maxReplicas", "3", "integer"),
        ("RayService", "spec.rayClusterConfig.workerGroupSpecs.0.groupName", None, "groupName"),
        (
            "RayJob",
            "spec.rayClusterSpec.headGroupSpec.template.spec.containers.0.resource",
            {},
            "resource",
        ),
        ("RayCronJob", "spec.schedule", None, "schedule"),
        ("RayCronJob", "spec.jobTemplate.entryPoint", "reaseq retrain", "entryPoint"),
        ("Kafka", "spec.zookeeper", {}, "zookeeper"),
        ("Kafka", "spec.kafka.listeners.0.type", "external", "external"),
        ("KafkaNodePool", "spec.roles", ["leader"], "leader"),
        ("KafkaTopic", "spec.partitions", "12", "integer"),
        ("KafkaTopic", "metadata.name", "Reaseq_Events", "Reaseq_Events"),
        ("KafkaUser", "spec.authentication.type", "plain", "plain"),
        ("KafkaUser", "apiVersion", "kafka.strimzi.io/v1alpha1", ""),
    ],
)
def test_a_mistake_in_a_custom_resource_is_found(
    manifests, crd_problems, kind: str, path: str, value: Any, complaint: str
) -> None:
    """The check above can fail: unknown, missing and wrong fields are named."""
    wrong = put(of_kind(manifests, kind)[0], path, value)
    try:
        problems = crd_problems(wrong)
    except KeyError:
        problems = [f"no such version {wrong['apiVersion']}"]
    assert any(complaint in problem for problem in problems), problems


def test_the_kustomization_names_every_manifest(manifests) -> None:
    """No file is left out, and all land in one namespace that is among them."""
    kustomization = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    there = {f"kubernetes/{file.name}" for file in (DEPLOY / "kubernetes").iterdir()}
    assert set(kustomization["resources"]) == there
    assert one(manifests, "Namespace")["metadata"]["name"] == kustomization["namespace"]
    assert not [d for d in manifests if "namespace" in d["metadata"]]


def test_kubernetes_own_kinds_have_their_versions_and_names(manifests) -> None:
    """What has no schema here is at least called by its right version, and once."""
    names = [(d["apiVersion"], d["kind"], d["metadata"]["name"]) for d in manifests]
    assert len(names) == len(set(names))
    for version, kind, _ in names:
        assert CORE.get(kind, version) == version


def test_the_service_runs_the_committed_serve_config(manifests) -> None:
    """`serveConfigV2` is the text of deploy/serve.yaml, which is made from the settings."""
    found = at(one(manifests, "RayService"), "spec.serveConfigV2")
    assert found == (DEPLOY / "serve.yaml").read_text()


def test_the_topics_are_those_of_the_settings(manifests, cluster: Settings) -> None:
    """Names, partitions, copies and limits are what the program would have created."""
    log = MemoryLog()
    create_topics(log, cluster.topics, cluster.kafka.num_partitions)
    most = cluster.kafka.max_message_bytes + ENVELOPE_BYTES
    config = {**KEEP_FOREVER, "max.message.bytes": str(most)}
    topics = (getattr(cluster.topics, name) for name in type(cluster.topics).model_fields)
    wanted = {
        name: (len(log.partitions(name)), cluster.kafka.replication_factor, config)
        for name in topics
    }
    found = {
        d["metadata"]["name"]: (
            d["spec"]["partitions"],
            d["spec"]["replicas"],
            {key: str(value) for key, value in d["spec"]["config"].items()},
        )
        for d in of_kind(manifests, "KafkaTopic")
    }
    assert found == wanted


def test_the_settings_reach_the_broker_that_strimzi_makes(manifests, cluster: Settings) -> None:
    """Address, protocol and user fit the listener, and every topic is allowed to the user."""
    kafka = one(manifests, "Kafka")
    name = kafka["metadata"]["name"]
    (listener,) = at(kafka, "spec.kafka.listeners")
    assert cluster.kafka.bootstrap_servers == f"{name}-kafka-bootstrap:{listener['port']}"
    assert cluster.kafka.security_protocol == ("SASL_SSL" if listener["tls"] else "SASL_PLAINTEXT")
    assert listener["authentication"]["type"] == "scram-sha-512"
    assert cluster.kafka.sasl_mechanism == "SCRAM-SHA-512"
    user = one(manifests, "KafkaUser")
    assert cluster.kafka.sasl_username == user["metadata"]["name"]
    (rule,) = [a for a in at(user, "spec.authorization.acls") if a["resource"]["type"] == "topic"]
    for topic in of_kind(manifests, "KafkaTopic"):
        assert topic["metadata"]["name"].startswith(rule["resource"]["name"])
    brokers = one(manifests, "KafkaNodePool")["spec"]["replicas"]
    assert brokers >= cluster.kafka.replication_factor
    assert brokers > at(kafka, "spec.kafka.config")["min.insync.replicas"]
    for kind in ("KafkaNodePool", "KafkaUser", "KafkaTopic"):
        for document in of_kind(manifests, kind):
            assert document["metadata"]["labels"]["strimzi.io/cluster"] == name


def room_of(group: Document) -> dict[str, float]:
    """What a node of a worker group offers."""
    limits = at(group, "template.spec.containers.0.resources.limits")
    gpus = float(limits.get("nvidia.com/gpu", 0))
    return {"num_cpus": float(limits["cpu"]), "num_gpus": gpus} | group.get("resources", {})


def need_of(deployment: Document) -> dict[str, float]:
    """What a replica needs."""
    place = deployment["ray_actor_options"]
    needs = {key: place[key] for key in ("num_cpus", "num_gpus")}
    return needs | place.get("resources", {})


def most_replicas(deployment: Document) -> int:
    return deployment.get("num_replicas") or deployment["autoscaling_config"]["max_replicas"]


def takes(group: Document, deployment: Document) -> bool:
    """Whether a node of the group can run a replica."""
    selector = deployment["ray_actor_options"].get("label_selector", {})
    room = room_of(group)
    return selector.items() <= group.get("labels", {}).items() and all(
        room.get(name, 0) >= amount for name, amount in need_of(deployment).items()
    )


def test_every_deployment_finds_nodes_with_room_for_all_its_replicas(
    manifests, cluster: Settings
) -> None:
    """Each pool's maximum fits on the largest size of the one group that carries its labels."""
    groups = clusters(manifests)["RayService"]["workerGroupSpecs"]
    load: dict[str, dict[str, float]] = {group["groupName"]: {} for group in groups}
    for deployment in serve_config(cluster)["applications"][0]["deployments"]:
        (group,) = [group for group in groups if takes(group, deployment)]
        of_group = load[group["groupName"]]
        for name, amount in need_of(deployment).items():
            of_group[name] = of_group.get(name, 0) + amount * most_replicas(deployment)
    for group in groups:
        for name, amount in load[group["groupName"]].items():
            assert amount <= group["maxReplicas"] * room_of(group).get(name, 0), group["groupName"]
    assert all(load.values()), f"a group that nothing runs on: {load}"


def test_a_pool_that_no_group_offers_is_found(manifests, cluster: Settings) -> None:
    """The check above can fail: another label, a GPU too many, a resource nobody has."""
    groups = clusters(manifests)["RayService"]["workerGroupSpecs"]
    found = serve_config(cluster)["applications"][0]["deployments"]
    (llm,) = [deployment for deployment in found if deployment["name"] == "llm"]
    assert any(takes(group, llm) for group in groups)
    for key, value in {
        "label_selector": {"reaseq.io/nodes": "tpu"},
        "num_gpus": 2,
        "resources": {"llm": 1},
    }.items():
        wrong = put(llm, f"ray_actor_options.{key}", value)
        assert not any(takes(group, wrong) for group in groups)


def least_room(cluster: Document) -> dict[str, float]:
    """What a cluster's worker groups offer at their smallest size."""
    rooms = [(group["minReplicas"], room_of(group)) for group in cluster["workerGroupSpecs"]]
    return {name: sum(num * room[name] for num, room in rooms) for name in ("num_cpus", "num_gpus")}


def test_the_stream_finds_room(manifests, cluster: Settings) -> None:
    """Half a CPU a shard, and one shard more for the items."""
    room = least_room(clusters(manifests)["RayJob"])
    assert room["num_cpus"] >= 0.5 * (cluster.stream.num_shards + 1)


def test_retraining_finds_room(manifests, cluster: Settings) -> None:
    """A CPU a training worker, and the replicas of the generator when it generates for all."""
    room = least_room(clusters(manifests)["RayCronJob"])
    pool = cluster.pools.generator
    assert room["num_cpus"] >= cluster.train.num_workers + pool.num_cpus * pool.max_replicas
    assert room["num_gpus"] >= pool.num_gpus * pool.max_replicas


def test_every_ray_node_has_home_settings_and_secrets(manifests, cluster: Settings) -> None:
    """The home lies at the path of the settings, the settings at the path that the program reads,
    and every secret that they name is in the environment."""
    kustomization = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    (generated,) = kustomization["configMapGenerator"]
    (pair,) = generated["files"]
    key, file = pair.split("=")
    assert (DEPLOY / file).samefile(DEPLOY / "cluster.toml")
    claim = one(manifests, "PersistentVolumeClaim")
    assert at(claim, "spec.accessModes") == ["ReadWriteMany"]
    wanted = {
        str(cluster.home): {"persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}},
        "/etc/reaseq": {"configMap": {"name": generated["name"]}},
    }
    for template in ray_pods(manifests):
        pod = template["spec"]
        volumes = {volume.pop("name"): volume for volume in copy.deepcopy(pod["volumes"])}
        container = pod["containers"][0]
        mounts = container["volumeMounts"]
        assert {mount["mountPath"]: volumes[mount["name"]] for mount in mounts} == wanted
        names = {entry["name"] for entry in container["env"]}
        assert {"REASEQ_KAFKA__SASL_PASSWORD", "REASEQ_FEATURES__REDIS_URL"} <= names
        (config,) = [e["value"] for e in container["env"] if e["name"] == "REASEQ_CONFIG"]
        assert config == f"/etc/reaseq/{key}"


def test_no_ray_pod_gets_the_variables_of_services(manifests) -> None:
    """Kubernetes would set REASEQ_KAFKA_BOOTSTRAP_SERVICE_HOST and the like for our Services, and
    the program refuses REASEQ_ variables that are no settings."""
    for template in ray_pods(manifests):
        assert template["spec"]["enableServiceLinks"] is False
        assert template["metadata"]["labels"].items() >= OURS.items()


def test_the_operator_accepts_the_environment_of_the_head(manifests) -> None:
    """KubeRay refuses a head whose environment has a name that it sets for itself."""
    for cluster in clusters(manifests).values():
        env = at(cluster, "headGroupSpec.template.spec.containers.0.env")
        names = {entry["name"] for entry in env}
        assert not names & {"REDIS_PASSWORD", "REDIS_USERNAME", "RAY_REDIS_ADDRESS"}
        assert not [name for name in names if name.startswith("RAY_AUTH")]


def test_the_ray_of_the_clusters_is_the_one_that_is_installed(manifests) -> None:
    """KubeRay's `rayVersion` says what the images hold; heads run no work and ask for a token."""
    for cluster in clusters(manifests).values():
        assert cluster["rayVersion"] == ray.__version__
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        assert cluster["authOptions"] == {"mode": "token", "secretName": "ray-token"}


def test_images_are_those_of_the_two_dockerfiles(manifests) -> None:
    """GPU groups run the GPU image, the others the CPU image, at the version of this package."""
    used = {c["image"] for c in containers(manifests) if c["image"].startswith("reaseq")}
    assert used == {f"reaseq-{file.suffix[1:]}" for file in DEPLOY.glob("Dockerfile.?pu")}
    kustomization = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    assert {i["name"]: i["newTag"] for i in kustomization["images"]} == dict.fromkeys(
        used, __version__
    )
    for cluster in clusters(manifests).values():
        for group in cluster["workerGroupSpecs"]:
            image = at(group, "template.spec.containers.0.image")
            assert image == ("reaseq-gpu" if room_of(group)["num_gpus"] else "reaseq-cpu")


def test_every_container_is_bounded_and_not_root(manifests) -> None:
    """Requests, limits, no root, no more rights than needed."""
    for pod in pod_specs([d for d in manifests if d["kind"] != "Kafka"]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 1
    for container in containers(manifests):
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys() & resources["limits"].keys()
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "resources" in one(manifests, "KafkaNodePool")["spec"]


def test_redis_is_found_by_its_labels_and_writes_what_it_holds(manifests) -> None:
    """Service and NetworkPolicy select the pods of the StatefulSet, whose data outlives them."""
    found = one(manifests, "StatefulSet")
    labels = at(found, "spec.template.metadata.labels")
    service, policy = one(manifests, "Service"), one(manifests, "NetworkPolicy")
    for selector in (
        at(found, "spec.selector.matchLabels"),
        at(service, "spec.selector"),
        at(policy, "spec.podSelector.matchLabels"),
    ):
        assert selector.items() <= labels.items()
    assert at(found, "spec.serviceName") == service["metadata"]["name"] == "redis"
    assert at(policy, "spec.ingress.0.from.0.podSelector.matchLabels") == OURS
    (container,) = at(found, "spec.template.spec.containers")
    assert "--appendonly yes" in container["args"][0]
    assert "noeviction" in container["args"][0]
    (claim,) = at(found, "spec.volumeClaimTemplates")
    assert container["volumeMounts"] == [{"name": claim["metadata"]["name"], "mountPath": "/data"}]
    assert {port["name"] for port in container["ports"]} >= {at(service, "spec.ports.0.targetPort")}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert "PONG" in at(container, f"{probe}.exec.command")[-1]


def test_the_secrets_are_the_ones_that_somebody_makes(manifests) -> None:
    """Strimzi makes one, the README says how to make the others; none is in the manifests."""
    by_hand = secret_names(manifests) - {one(manifests, "KafkaUser")["metadata"]["name"]}
    assert by_hand == {"redis-auth", "ray-token"}
    readme = (DEPLOY / "README.md").read_text()
    for name in by_hand:
        assert f"create secret generic {name} " in readme
    assert not of_kind(manifests, "Secret")


def test_a_serving_node_waits_for_the_feature_store(manifests) -> None:
    """Replicas open it when they start; the stream applies it."""
    for group in clusters(manifests)["RayService"]["workerGroupSpecs"]:
        (wait,) = at(group, "template.spec.initContainers")
        assert "features/data/applied" in wait["command"][-1]
