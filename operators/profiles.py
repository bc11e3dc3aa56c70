"""What a user's texts and settings change, and what of a profile the user may see."""

import numpy as np

from operators.accumulator import RankedUser
from operators.candidates import INTEREST
from operators.interests import LOST, faded, hide, name_of, shares, write
from operators.messages import Said, UserChanged
from operators.mood import bend, current, feel, valence
from operators.packing import category_code
from operators.parameters import RankingSettings
from operators.results import ProfileRow

TAGS_SHOWN = 20


def hear(user: RankedUser, said: Said, settings: RankingSettings) -> None:
    """Let a text, or the user's own word, count for mood, tags and interests."""
    mine = user.interests
    feel(mine.mood, said.emotions, said.time_ms, settings.mood)
    if said.action == "mood":
        return
    events = [number for number, (item, _) in user.seeds.items() if item == said.item]
    slot = mine.slots.get(max(events, default=0), LOST)
    write(mine, said, slot, settings.interests)


def refuse(user: RankedUser, item_key: int) -> None:
    """Let a refused candidate count against the interest it was proposed for."""
    for place in np.flatnonzero(user.keys == np.uint64(item_key)).tolist():
        for one in user.interests.clusters:
            if one.slot == int(user.rows[place, INTEREST]):
                one.negative += 1.0


def change(user: RankedUser, message: UserChanged) -> None:
    """Take over a user's own settings, the newest count."""
    told = message.hidden_tags
    if told is not None and hide(user.interests, told, message.time_ms):
        user.digest = b""  # reasons name interests by their tags
    if message.time_ms < user.settings_ms:
        return
    user.settings_ms = message.time_ms
    user.personalise = message.personalise
    user.blocked = sorted(map(category_code, message.blocked_categories))
    user.topics, user.segment = list(message.topics), message.segment


def shares_of(user: RankedUser, time_ms: int, settings: RankingSettings) -> dict[int, float]:
    """Shares of the user's interests by slot, as the mood moves them."""
    mine = user.interests
    if not mine.clusters:
        return {}
    found = shares(mine, time_ms, settings.interests)
    felt = valence(mine.mood, time_ms, settings.mood)
    bright = {one.slot: one.valence for one in mine.clusters}
    return bend(found, bright, felt, settings.mood)


def profile_row(tenant: str, name: str, user: RankedUser, settings: RankingSettings) -> ProfileRow:
    """What may be seen of a user, at the time of the user's last list."""
    mine, time_ms = user.interests, user.clock_us // 1000
    parts = shares(mine, time_ms, settings.interests)
    interests = [
        (name_of(one, mine.hidden), parts.get(one.slot, 0.0), one.item) for one in mine.clusters
    ]
    tags = [
        (
            word,
            faded(tag.weight, tag.last_ms, time_ms, settings.interests),
            tag.sentiment if tag.said > 0 else None,
        )
        for word, tag in mine.tags.items()
    ]
    mood = current(mine.mood, time_ms, settings.mood)
    return ProfileRow(
        user.clock_us, tenant, name, dict(user.counts), list(user.recent),
        sorted(interests, key=lambda one: (-one[1], one[2])),
        sorted(tags, key=lambda tag: (-tag[1], tag[0]))[:TAGS_SHOWN],
        {emotion: weight for emotion, weight in mood.items() if weight >= 0.01},
    )  # fmt: skip
