"""Any stream of records, by chance and seed: what the laws of the stages are tried on."""

from random import Random
from typing import Any

import numpy as np

from operators.events import Event, Impression, Interaction, Item, Preferences, Shown, Written
from operators.listing import deleted, listed
from operators.messages import About, Featured
from operators.packing import code_of
from tests.builders import erase, event, listing, user_update
from tests.driven import featured


def stream(random: Random, size: int) -> list[list[Any]]:
    """Windows of records: every kind of event, two tenants, sessions, repeats, a catalogue."""
    windows: list[list[Any]] = [[]]
    now_ms, earlier = 10**12, []
    for number in range(size):
        now_ms += random.choice([0, 1, 1, 5000, 40_000])
        if random.random() < 0.4:
            windows.append([])
        if earlier and random.random() < 0.05:
            record = random.choice(earlier)  # sent twice
        else:
            record = _record(random, now_ms, number)
        if isinstance(record, Interaction):
            earlier.append(record)
        windows[-1].append(record)
    return [window for window in windows if window]


def _record(random: Random, now_ms: int, number: int) -> Event | Item | Any:
    tenant, kind = random.choice(["default", "default", "shop"]), random.random()
    user, item = random.choice("uvwxy"), random.choice([f"i{n}" for n in range(9)])
    categories = random.sample(["war", "drama", "comedy"], random.randrange(3))
    known = {"event_id": f"e{number:04}", "tenant": tenant}
    if kind < 0.12:
        available = random.random() < 0.8
        return listed(listing(item, 7 * number + now_ms % 7, tenant=tenant, categories=categories,
                              available=available))  # fmt: skip
    if kind < 0.24:
        return _content(random, tenant, user, item, now_ms, number)
    kind = (kind - 0.24) / 0.76 + 0.12
    if kind < 0.14:
        return deleted(item.encode(), 7 * number + now_ms % 7, tenant)
    if kind < 0.17:
        return erase(user, now_ms, **known)
    if kind < 0.22:
        return user_update(user, now_ms, attributes={"country": random.choice(["NZ", "FR"])},
                           preferences=Preferences(blocked_categories=categories[:1],
                                                   topics=categories[1:]),
                           personalise=random.random() < 0.7, **known)  # fmt: skip
    if kind < 0.25:
        return Impression(event_time=now_ms, impression_id="p", surface="home", user_id=user,
                          items=[Shown(item_id=item, position=0)], **known)  # fmt: skip
    if kind < 0.30:
        said = random.choice([("search", ""), ("mood", "joy"), ("mood", "sadness")])
        return event(user, None, now_ms, said[0], text=said[1], **known)
    if kind < 0.35:
        return event(user, item, now_ms, random.choice(["hide", "dislike"]), **known)
    if kind < 0.45:
        return event(user, item, now_ms, "rating", value=random.randrange(11) / 2, **known)
    action = random.choice(["view", "click", "like", "cart", "purchase"])
    session = {"session_id": random.choice("st"), "consent": random.random() < 0.5}
    context = {"country": random.choice(["NZ", "FR", None])}
    anonymous = session if random.random() < 0.15 else {}
    return event(user, item, now_ms, action, context=context, **anonymous, **known)


def _content(
    random: Random, tenant: str, user: str, item: str, now_ms: int, number: int
) -> Featured | Written:
    if random.random() < 0.67:
        return features(random, tenant, item, 7 * number + now_ms % 7)
    return written(random, tenant, user, item, now_ms, number)


def features(random: Random, tenant: str, item: str, number: int) -> Featured:
    """What an item says in one of two versions, or the end of it; it names some items."""
    names = [f"i{n}" for n in range(9)]
    if random.random() < 0.1:
        return featured(item, None, [], number, tenant)
    near = [(other, round(random.uniform(-0.2, 1.0), 3)) for other in random.sample(names, 4)]
    vector = np.array([random.uniform(-1, 1) for _ in range(6)], np.float32)
    tags = [(name, random.random()) for name in random.sample(["heist", "robot", "sea"], 2)]
    model = random.choice(["m/1", "m/1", "m/2"])
    code = code_of(vector) if random.random() < 0.9 else b""
    return featured(item, About(model, code, tags, random.uniform(-1, 1)), near, number, tenant)


def written(random: Random, tenant: str, user: str, item: str, now_ms: int, number: int) -> Written:
    """What a text says."""
    vector = np.array([random.uniform(-1, 1) for _ in range(6)], np.float32)
    return Written(
        event_id=f"e{number:04}", event_time=now_ms, tenant=tenant, user_id=user,
        item_id=random.choice([item, None]), action="comment", sentiment=random.uniform(-1, 1),
        emotions={"anger": random.random()}, tags=[("robot", random.random())], model="m/1",
        code=code_of(vector),
    )  # fmt: skip
