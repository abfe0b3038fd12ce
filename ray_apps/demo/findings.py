"""What is looked up for the demo's report when everything has happened."""

from __future__ import annotations

import httpx

from ray_apps.demo.report import ShownItem, ShownKnowledge, ShownUser
from ray_apps.demo.stages import DemoRun
from ray_apps.system import System
from reaseq.feature_views import ITEMS, KNOWLEDGE, SEQUENCES
from streams.feature_store.features import Features
from streams.log.dead_letter_topic import DeadLetterTopic

NUM_SHOWN_USERS = 3
NUM_SHOWN_ITEMS = 6


def dead_letter_reasons(system: System) -> list[str]:
    """Why each record was set aside."""
    topic = DeadLetterTopic(system.log, system.settings.topics.dead_letters)
    letters = (stored.letter for stored in topic.read())
    return list({(one.source, one.offset): one.reason for one in letters}.values())


def shown_users(run: DemoRun, system: System, features: Features) -> list[ShownUser]:
    """The last users of the stream: what they bought, what is generated and recommended now."""
    users = list(dict.fromkeys(reversed(run.split.second["user_id"].to_pylist())))
    with httpx.Client(base_url=system.url, timeout=30) as client:
        return [_shown_user(client, user_id, features) for user_id in users[:NUM_SHOWN_USERS]]


def _shown_user(client: httpx.Client, user_id: str, features: Features) -> ShownUser:
    row = features.read(SEQUENCES, [user_id]).to_pylist()[0]
    newest = list(dict.fromkeys(reversed(row["item_ids"])))[:NUM_SHOWN_ITEMS]
    titles = {i["item_id"]: i["title"] for i in features.read(ITEMS, newest).to_pylist()}
    generated = client.get(f"/v1/users/{user_id}/generated")
    answer = client.get(f"/v1/users/{user_id}/recommendations", params={"k": NUM_SHOWN_ITEMS})
    return ShownUser(
        user_id=user_id,
        bought=[ShownItem(item_id, titles.get(item_id, item_id)) for item_id in newest],
        generated=_items(generated)[:NUM_SHOWN_ITEMS],
        recommended=_items(answer),
    )


def _items(answer: httpx.Response) -> list[ShownItem]:
    if answer.status_code != httpx.codes.OK:
        return []
    return [ShownItem(i["item_id"], i["title"] or i["item_id"]) for i in answer.json()["items"]]


def knowledge_card(run: DemoRun, features: Features) -> ShownKnowledge | None:
    """The knowledge about the new item, or else about the best seller that was accepted."""
    known = [row for row in features.newest(KNOWLEDGE).to_pylist() if row["verdict"] == "accepted"]
    if not known:
        return None
    late = run.split.late_item
    chosen = next((row for row in known if late and row["item_id"] == late["item_id"]), known[0])
    items = features.read(ITEMS, [chosen["item_id"]]).to_pylist()
    title = items[0]["title"] if items else chosen["item_id"]
    answers = {name: chosen[name] for name in ("what", "who", "when", "where", "why", "with_what")}
    return ShownKnowledge(chosen["item_id"], title, answers, chosen["model"], chosen["num_tokens"])
