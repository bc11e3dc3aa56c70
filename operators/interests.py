"""What a user is interested in: at most ten clusters of items, and tags, each fading with time.

After PinnerSage (Pal et al., KDD 2020), online: an item joins the interest whose centroid is
nearest, or founds one where none is near enough; of too many, the two nearest become one, or the
weakest goes. Each interest is told by its medoid, the user's own item nearest to the centroid, so
that a reason can name it, and weighs

    importance = sum over its items of strength / 10 * 2^(-age / half-life)
    reward     = (1 + positive) / (2 + positive + negative)

Vectors are `packing.code_of` codes. Codes of different model versions are never compared: an
interest of an earlier model keeps its items and fades.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from operators.kernels import kernel
from operators.messages import About, Said
from operators.mood import Mood
from operators.naming import hides, renamed, shown
from operators.parameters import InterestSettings
from operators.strengths import STRENGTH_MAX

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
TAGS_OF_INTEREST = 8
WRITTEN = 0.5
"""What a text adds to the importance of its interest, where a full like adds 1."""

LOST = 0
"""Slot of what belongs to no interest."""

Vector = NDArray[np.float32]


class Interest(Struct, array_like=True):
    """One cluster of a user's items.

    Attributes:
        slot: Number that names it among the user's interests, from 1; used again once it is free.
        model: Version of the codes.
        centroid: Mean direction, packed little-endian f2.
        code: Of the medoid.
        item, title: The medoid.
        importance: At the time `last_ms`.
        weight: Items behind the centroid, weighted by strength / 10, at most `memory`.
        valence: Mean of what its items say, -1 to 1.
        tags: Weight of each of the heaviest ones.
    """

    slot: int
    model: str
    centroid: bytes
    code: bytes
    item: str
    title: str
    importance: float = 0.0
    last_ms: int = 0
    positive: float = 0.0
    negative: float = 0.0
    weight: float = 0.0
    valence: float = 0.0
    tags: dict[str, float] = field(default_factory=dict)


class Tag(Struct, array_like=True):
    """A word of a user.

    Attributes:
        weight: How much of it, at the time `last_ms`.
        said: How much of it the user has written about, at that time; `sentiment` is its mean.
    """

    weight: float = 0.0
    last_ms: int = 0
    said: float = 0.0
    sentiment: float = 0.0


class Interests(Struct, array_like=True):
    """All of one user.

    Attributes:
        slots: Slot by number of an own event, of the last events.
        mood: How the user feels of late.
        hidden: Tags that the user does not want to be known for, sorted, as said at `hidden_ms`.
    """

    clusters: list[Interest] = field(default_factory=list)
    tags: dict[str, Tag] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)
    mood: Mood = field(default_factory=Mood)
    hidden: list[str] = field(default_factory=list)
    hidden_ms: int = -1


Moves = Mapping[int, int]
"""Slots that have become others: by merging, or `LOST` by being dropped."""


def touch(
    mine: Interests,
    about: About,
    item: tuple[str, str],
    strength: int,
    time_ms: int,
    settings: InterestSettings,
) -> tuple[int, Moves]:
    """Let an item join the nearest interest, or found one.

    Args:
        mine: Changed in place.
        about: What the item says.
        item: Id and title.
        strength: Of the action, 0 to 10; below 5 it is a negative reward, above a positive one.
        time_ms: Event time.
        settings: Of the interests.

    Returns:
        Its slot, `LOST` if the item has no vector; and the slots that have become others.
    """
    share = strength / STRENGTH_MAX
    _tag(mine, about.tags, share, time_ms, settings)
    if not about.code:
        return LOST, {}
    code = unit(about.code)
    place, nearest = _nearest(mine, about.model, code)
    moves: Moves = {}
    if place is None or nearest < settings.same_min:
        moves = _make_room(mine, time_ms, settings)
        taken = {one.slot for one in mine.clusters}
        slot = min(set(range(1, settings.interests_max + 1)) - taken)
        one = Interest(slot, about.model, b"", about.code, *item, last_ms=time_ms)
        mine.clusters.append(one)
    else:
        one = mine.clusters[place]
    _join(one, about, code, item, share, time_ms, settings)
    return one.slot, moves


def shares(mine: Interests, time_ms: int, settings: InterestSettings) -> dict[int, float]:
    """Share of each slot: importance of this moment times reward, all together 1.

    An interest counts by what of its tags is not hidden, one that is all hidden not at all.
    """
    worth = {
        one.slot: faded(one.importance, one.last_ms, time_ms, settings)
        * reward(one) * told(one, mine.hidden)
        for one in mine.clusters
    }  # fmt: skip
    total = sum(worth.values())
    if not total > 0:
        return {}
    return {slot: value / total for slot, value in worth.items() if value > 0 or not mine.hidden}


def told(one: Interest, hidden: Collection[str]) -> float:
    """Share of an interest's tags, by weight, that are not hidden; 1 where it has none."""
    total = sum(one.tags.values())
    if not hidden or not total > 0:
        return 1.0
    return sum(weight for name, weight in one.tags.items() if not hides(hidden, name)) / total


def hide(mine: Interests, hidden: Collection[str], time_ms: int) -> bool:
    """Forget these tags and take up none of them from now on; others that were hidden may come.

    A topic of a cluster is hidden by its id, whatever its name becomes, also if the user says its
    present name alone.

    Returns:
        Whether it is the user's newest word on it.
    """
    if time_ms < mine.hidden_ms:
        return False
    known = {*mine.tags, *(name for one in mine.clusters for name in one.tags)}
    meant = {name for name in known if shown(name) in hidden}
    mine.hidden, mine.hidden_ms = sorted({*hidden, *meant}), time_ms
    mine.tags = {name: tag for name, tag in mine.tags.items() if not hides(mine.hidden, name)}
    return True


def reward(one: Interest) -> float:
    """Share of positive among all rewards, with one of each to begin with."""
    return (1 + one.positive) / (2 + one.positive + one.negative)


def faded(value: float, last_ms: int, time_ms: int, settings: InterestSettings) -> float:
    """What is left of a value after a time."""
    age_days = max(0, time_ms - last_ms) / DAY_MS
    return value * float(2.0 ** (-age_days / settings.half_life_days))


def unit(packed: bytes, kind: str = "i1") -> Vector:
    """A packed vector at unit length."""
    vector = np.frombuffer(packed, kind).astype(np.float32)
    found: Vector = _unit(vector)
    return found


@kernel
def _unit(vector: Any) -> Any:
    """At unit length; summed in order, so that no machine word width decides a cluster."""
    total = 0.0
    for number in vector:
        total += float(number) * float(number)
    return vector / np.float32(max(1e-12, np.sqrt(total)))


@kernel
def _cosine(one: Any, other: Any) -> float:
    """Of two unit vectors."""
    total = 0.0
    for place in range(len(one)):
        total += float(one[place]) * float(other[place])
    return total


def _nearest(mine: Interests, model: str, code: Vector) -> tuple[int | None, float]:
    """Place and cosine of the nearest centroid of this model; of equal ones the first."""
    places = [n for n, one in enumerate(mine.clusters) if one.model == model
              and len(one.centroid) == 2 * len(code)]  # fmt: skip
    if not places:
        return None, -1.0
    cosines = [_cosine(unit(mine.clusters[n].centroid, "<f2"), code) for n in places]
    nearest = max(cosines)
    return places[cosines.index(nearest)], nearest


def _join(
    one: Interest,
    about: About,
    code: Vector,
    item: tuple[str, str],
    share: float,
    time_ms: int,
    settings: InterestSettings,
) -> None:
    known = min(one.weight, settings.memory - 1)
    add = max(share, 0.1)
    centroid = code if not one.centroid else known * unit(one.centroid, "<f2") + add * code
    one.weight = known + add
    one.centroid = centroid.astype("<f2").tobytes()
    one.valence += (about.sentiment - one.valence) * add / one.weight
    middle = unit(one.centroid, "<f2")
    if _cosine(middle, code) >= _cosine(middle, unit(one.code)):
        one.code, (one.item, one.title) = about.code, item
    newer = max(time_ms, one.last_ms)
    one.importance = faded(one.importance, one.last_ms, newer, settings) + faded(
        share, time_ms, newer, settings
    )
    one.last_ms = newer
    one.positive += share if share >= 0.5 else 0.0
    one.negative += 1 - 2 * share if share < 0.5 else 0.0
    _add_tags(one.tags, [(name, share * weight) for name, weight in about.tags])


def _make_room(mine: Interests, time_ms: int, settings: InterestSettings) -> Moves:
    """Where all slots are taken: merge the two nearest, or else drop the weakest."""
    if len(mine.clusters) < settings.interests_max:
        return {}
    pair = _closest(mine)
    if pair is not None and pair[2] >= settings.merge_min:
        kept, gone = mine.clusters[pair[0]], mine.clusters[pair[1]]
        _merge(kept, gone, settings)
        target = kept.slot
    else:
        gone = min(
            mine.clusters,
            key=lambda one: (
                faded(one.importance, one.last_ms, time_ms, settings) * reward(one), one.slot
            ),
        )  # fmt: skip
        target = LOST
    mine.clusters.remove(gone)
    for number, slot in mine.slots.items():
        if slot == gone.slot:
            mine.slots[number] = target
    return {gone.slot: target}


def _closest(mine: Interests) -> tuple[int, int, float] | None:
    """Places and cosine of the two nearest centroids of one model; the heavier one first."""
    best: tuple[int, int, float] | None = None
    units = [unit(one.centroid, "<f2") for one in mine.clusters]
    for n, one in enumerate(mine.clusters):
        for m in range(n):
            other = mine.clusters[m]
            if one.model != other.model or len(units[n]) != len(units[m]):
                continue
            cosine = _cosine(units[n], units[m])
            if best is None or cosine > best[2]:
                best = (n, m, cosine) if one.weight > other.weight else (m, n, cosine)
    return best


def _merge(kept: Interest, gone: Interest, settings: InterestSettings) -> None:
    """Make one of two: its medoid is that of the heavier one."""
    middle = kept.weight * unit(kept.centroid, "<f2") + gone.weight * unit(gone.centroid, "<f2")
    kept.centroid = middle.astype("<f2").tobytes()
    total = kept.weight + gone.weight
    kept.valence = (kept.valence * kept.weight + gone.valence * gone.weight) / total
    kept.weight = min(total, settings.memory)
    newer = max(kept.last_ms, gone.last_ms)
    kept.importance = faded(kept.importance, kept.last_ms, newer, settings) + faded(
        gone.importance, gone.last_ms, newer, settings
    )
    kept.last_ms = newer
    kept.positive += gone.positive
    kept.negative += gone.negative
    _add_tags(kept.tags, gone.tags.items())


def _add_tags(tags: dict[str, float], named: Iterable[tuple[str, float]]) -> None:
    """Add to the tags of an interest; of too many the lightest go."""
    for name, weight in named:
        renamed(tags, name)
        tags[name] = tags.get(name, 0.0) + weight
    while len(tags) > TAGS_OF_INTEREST:
        del tags[min(tags, key=lambda name: (tags[name], name))]


def _tag(
    mine: Interests,
    named: list[tuple[str, float]],
    share: float,
    time_ms: int,
    settings: InterestSettings,
    sentiment: float | None = None,
) -> None:
    """Add to tags; with a sentiment, as something the user has written."""
    tags = mine.tags
    for name, weight in named:
        if hides(mine.hidden, name):
            continue
        renamed(tags, name)
        tag = tags.setdefault(name, Tag(last_ms=time_ms))
        newer = max(time_ms, tag.last_ms)
        left = faded(1.0, tag.last_ms, newer, settings)
        added = weight * share * faded(1.0, time_ms, newer, settings)
        tag.weight, tag.said, tag.last_ms = tag.weight * left + added, tag.said * left, newer
        if sentiment is not None and added > 0:
            tag.said += added
            tag.sentiment += (sentiment - tag.sentiment) * added / tag.said
    while len(tags) > settings.tags_max:
        del tags[min(tags, key=lambda name: (tags[name].weight, tags[name].last_ms, name))]


def write(mine: Interests, said: Said, slot: int, settings: InterestSettings) -> None:
    """Let a text of the user count: for its tags, and for the interest it is about.

    Args:
        mine: Changed in place.
        said: What the text says.
        slot: Of the interest of the item it is about, `LOST` if that is not known: then of the
            interest that the text is nearest to, if it is near enough.
        settings: Of the interests.
    """
    _tag(mine, said.tags, 1.0, said.time_ms, settings, said.sentiment)
    one = next((known for known in mine.clusters if known.slot == slot), None)
    if one is None and said.code:
        place, nearest = _nearest(mine, said.model, unit(said.code))
        one = mine.clusters[place] if place is not None and nearest >= settings.same_min else None
    if one is None:
        return
    newer = max(said.time_ms, one.last_ms)
    one.importance = faded(one.importance, one.last_ms, newer, settings)
    one.importance += WRITTEN * faded(1.0, said.time_ms, newer, settings)
    one.last_ms = newer
    if said.sentiment >= 0:
        one.positive += said.sentiment
    else:
        one.negative -= said.sentiment


def name_of(one: Interest, hidden: Collection[str] = ()) -> str:
    """An interest in words: its three heaviest tags that are not hidden, or its medoid's title."""
    free = [tag for tag in one.tags.items() if not hides(hidden, tag[0])]
    best = sorted(free, key=lambda tag: (-tag[1], tag[0]))[:3]
    return ", ".join(shown(name) for name, weight in best if weight > 0) or one.title
