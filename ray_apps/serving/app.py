"""The Serve application as one builder: `build_app(settings)`, started and stopped by its owner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray import serve
from ray.serve import Application

from ray_apps.runtime.console_output import mute
from ray_apps.serving.deploy_config import APPLICATION, with_secrets
from ray_apps.serving.deployments import (
    BehaviourFollower,
    Gateway,
    GeneratorReplica,
    KnowledgeFollower,
    LlmReplica,
    RecommenderReplica,
)
from ray_apps.serving.pools import options
from ray_apps.settings import Settings
from ray_apps.text_generation.choose import available
from reaseq.errors import NotReadyError
from reaseq.free_port import free_port, is_free


def build_app(settings: Settings) -> Application:
    """The gateway, with everything else behind it.

    Without a language model the `llm` deployment is left out; with knowledge switched off its
    follower is, too.
    """

    settings = with_secrets(settings)

    def deploy(name: str, replica: type, *arguments: object) -> Application:
        return serve.deployment(**options(settings, name))(replica).bind(settings, *arguments)

    recommender = deploy("recommender", RecommenderReplica)
    generator = deploy("generator", GeneratorReplica)
    others = {
        "generator": generator,
        "behaviours": deploy("behaviours", BehaviourFollower, generator),
    }
    choice = available(settings.knowledge)
    if choice.source != "none":
        llm = deploy("llm", LlmReplica) if choice.source in ("vllm", "endpoint") else None
        others["knowledge"] = deploy("knowledge", KnowledgeFollower, llm)
    return deploy("gateway", Gateway, recommender, others)


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Run the application; yields its base URL. Ray must be initialised.

    Raises ValueError when the port is taken, naming the setting.
    """
    port = settings.serve.port or free_port(settings.serve.host)
    _check_port(settings.serve.host, port)
    serve.start(
        http_options={"host": settings.serve.host, "port": port, "access_log": False},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    try:
        serve.run(build_app(settings), name=APPLICATION, route_prefix="/")
        yield f"http://{settings.serve.host}:{port}"
    finally:
        mute.begin()
        serve.shutdown()


def _check_port(host: str, port: int) -> None:
    if not is_free(host, port):
        raise NotReadyError(
            f"port {port} on {host} is taken: stop what listens there or set serve.port "
            "(0 picks a free one)"
        )
