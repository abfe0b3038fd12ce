"""The service of each deployment, put together from ports."""

from __future__ import annotations

from collections.abc import Mapping

from ray_apps.serving.behaviours import AskGenerator, BehaviourRefresher
from ray_apps.serving.generating import GeneratorService
from ray_apps.serving.handler import AskRecommender, EventWriter, RequestHandler
from ray_apps.serving.health import AskVersion
from ray_apps.serving.impressions import ImpressionLog
from ray_apps.serving.knowledge import KnowledgeWorker
from ray_apps.serving.language_model import AskModel, LanguageModel, RemoteTextGenerator
from ray_apps.serving.new_items import NewItemWatch
from ray_apps.serving.popular import PopularItems
from ray_apps.serving.ports import Ports
from ray_apps.serving.recommending import RecommenderService
from ray_apps.text_generation.choose import available
from reaseq.knowledge.product_agent import ProductAgent
from reaseq.knowledge.recorded import RecordedAgent
from reaseq.representations.text_encoder import SentenceEncoder


def recommender_service(ports: Ports) -> RecommenderService:
    """Behind the deployment `recommender`."""
    items = ports.follow_after_shards(ports.items, "new-items")
    return RecommenderService(
        ports.rankers,
        ports.load_recommender,
        tail=ports.follow_after_shards(ports.events, "recommender"),
        history=ports.history,
        new_items=NewItemWatch(ports.features, items, SentenceEncoder(num_threads=1)),
        popular=PopularItems(ports.history),
    )


def generator_service(ports: Ports) -> GeneratorService:
    """Behind the deployment `generator`."""
    return GeneratorService(ports.generators, ports.load_generator)


def behaviour_refresher(ports: Ports, ask: AskGenerator) -> BehaviourRefresher:
    """Behind the deployment `behaviours`."""
    settings = ports.settings
    return BehaviourRefresher(
        ports.features,
        ports.follow_on(ports.events, "behaviours"),
        ask,
        min_new_events=settings.generation.min_new_events,
        timeout_s=settings.generation.timeout_s,
        max_poll_records=settings.stream.max_poll_records,
        save_interval_s=settings.stream.checkpoint_interval_s,
    )


def language_model(ports: Ports) -> LanguageModel:
    """Behind the deployment `llm`."""
    return LanguageModel(ports.open_language_model)


def knowledge_worker(ports: Ports, ask: AskModel | None) -> KnowledgeWorker:
    """Behind the deployment `knowledge`; without a model to ask it knows what was recorded."""
    settings = ports.settings.knowledge
    model = available(settings).model
    remote = RemoteTextGenerator(ask, model, settings.timeout_s) if ask else None
    return KnowledgeWorker(
        ports.features,
        ports.follow_on(ports.items, "knowledge"),
        ports.history,
        ProductAgent(remote) if remote else RecordedAgent(),
        model=model,
        num_best_sellers=settings.num_best_sellers,
        max_concurrent=settings.max_concurrent,
    )


def request_handler(
    ports: Ports, ask: AskRecommender, parts: Mapping[str, AskVersion]
) -> RequestHandler:
    """Behind the deployment `gateway`."""
    settings = ports.settings
    topic = ports.events
    return RequestHandler(
        ports.features,
        ask,
        parts,
        events=EventWriter(ports.log.writer(), topic.name, topic.codec),
        impressions=ImpressionLog(ports.log.writer(), settings.topics.impressions),
        popular=PopularItems(ports.history),
        max_k=settings.recommender.max_k,
        recommender_timeout_s=settings.serve.recommender_timeout_s,
    )
