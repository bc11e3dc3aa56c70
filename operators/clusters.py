"""Topics that nobody named: clusters of what items say, learned as items come.

Encoders put all texts into a narrow cone, and each language into a part of its own. So vectors are
compared by cosine, centred by the mean of the items in their language, and a topic is one in all
languages: centred together, 900 instruments in English among 5,000 Chinese reviews of goods were a
single cluster. (The half-white space of the catalogue's neighbours brings less: normalised
mutual information with the genres of films .27 for .33, with news .48 for .50.) With each new map
of the catalogue all items are grouped afresh (k-means++ and Lloyd's steps), beginning with the
clusters there are; in between each batch of new items moves the centroids (mini-batch k-means,
Sculley, WWW 2010):

    count += 1,  centroid += (vector - centroid) / count

Counts fade with the items that come, so that clusters follow the stream: one that nothing joins any
more ends, and an item that is like none begins one where there is room. An id belongs to a cluster
for ever and is never given again. Everything follows from the order of the items and the seed.

Only items teach, each text once. What users write is compared with the clusters and leaves them as
they are: neither words nor vectors of users are in them. An item that leaves the catalogue is not
taken back; it fades, and the next map, which groups what is there, does without it.
"""

from collections.abc import Sequence
from hashlib import blake2b
from math import isqrt
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field

from operators.k_means import lloyd
from operators.whitening import Vectors, unit

LANGUAGES_MAX = 4
"""Languages of a cluster whose words are kept: those most of its items are in."""

MEANS_MAX = 8
"""Languages that have a mean of their own."""

TOPICS_MAX = 3
WEIGHT_MIN = 0.1
"""Of one text: so many topics at most, none that weighs less."""

_FADED_ITEMS = 1000
_GAIN_MAX = 1e9
_ALL = ""
_SHRINKAGE = 8.0
_SETTLED = 64


class ClusterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the clusters; all may change under a running state.

    Attributes:
        clusters: At most so many, and never more than the root of the number of items.
        keep: What is left of counts and words when 1,000 more items have come.
        count_min: A cluster with a smaller count ends.
        novelty: Where there is room, an item begins a cluster if no centroid is as near as this.
        similarity_min: A text that is no nearer to any centroid has no topic.
        temperature: How sharp the weights of topics are; small is sharp.
        words_max: Words kept a cluster and language; twice as many for a while.
        name_words: Words of a name.
        seed: Of the grouping.
    """

    clusters: int = 32
    keep: float = 0.9
    count_min: float = 0.5
    novelty: float = 0.1
    similarity_min: float = 0.1
    temperature: float = 0.07
    words_max: int = 64
    name_words: int = 3
    seed: int = 1

    def __post_init__(self) -> None:
        legal = (
            2 <= self.clusters <= 256 and 0 < self.keep <= 1 and self.temperature > 0
            and 1 <= self.words_max <= 1000 and 1 <= self.name_words <= 10
        )  # fmt: skip
        if not legal:
            msg = (
                f"clusters {self.clusters} lies in 2 to 256, keep {self.keep} above 0 and up to 1, "
                f"temperature {self.temperature} above 0, words_max {self.words_max} in 1 to "
                f"1,000, name_words {self.name_words} in 1 to 10"
            )
            raise ValueError(msg)


class Sample(NamedTuple):
    """An item as the clusters see it: vector as the encoder gave it, language, weighted tags."""

    item: str
    vector: Vectors
    language: str
    words: Sequence[tuple[str, float]]


class Cluster(Struct, array_like=True):
    """One cluster.

    Attributes:
        id: Number of its beginning and a digest of the item it began with, such as `17-3fa1`: an
            encoder's clusters, and those of a state that began anew, have ids of their own.
        count: Items in it, faded, in units of `Clusters.gain`.
        centroid: Mean of the centred vectors of its items, packed little-endian float32.
        items: Faded counts by language.
        words: Faded weights by language and word.
        names: By language, as last made.
    """

    id: str
    count: float
    centroid: bytes
    items: dict[str, float] = field(default_factory=dict)
    words: dict[str, dict[str, float]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


class Clusters(Struct, array_like=True):
    """Those of one tenant and encoder.

    Attributes:
        means: Items by language (empty for all) and the mean of their vectors, packed likewise.
        begun: How many there have ever been.
        learned: Items that taught.
        named: Of these, how many had when names were last made.
        gain: What one more item counts: it grows where counts would fade, which spares touching
            them all.
    """

    clusters: list[Cluster] = field(default_factory=list)
    means: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    begun: int = 0
    learned: int = 0
    named: int = 0
    gain: float = 1.0


def group(known: Clusters, items: Sequence[Sample], settings: ClusterSettings) -> None:
    """Group all items afresh: clusters keep their ids, new ones join them, empty ones end.

    Args:
        known: Changed in place.
        items: All that are to be grouped.
        settings: Of the clusters.
    """
    overall = np.asarray(np.mean([one.vector for one in items], axis=0), np.float32)
    known.means = {_ALL: (len(items), _pack(overall))}
    _follow(known, items)
    centred = _centred(known, items)
    towards = unit(centred)
    room = _room(len(items), settings)
    known.clusters = _largest(known, room)
    before = _centres(known) if known.clusters else towards[:0]
    groups = lloyd(towards, before, room, settings.seed + known.begun)
    known.gain = 1.0
    kept = []
    for place in np.unique(groups).tolist():
        members = np.flatnonzero(groups == place)
        centroid = np.asarray(centred[members].mean(axis=0), np.float32)
        if place < len(before):
            one = known.clusters[place]
            one.centroid, one.count, one.items, one.words = _pack(centroid), 0.0, {}, {}
        else:
            nearest = members[int((towards[members] @ centroid).argmax())]
            one = _begin(known, items[nearest].item, centroid)
        kept.append(one)
        _count(one, [items[at] for at in members.tolist()], 1.0, settings)
    known.clusters = kept
    known.learned = max(known.learned, len(items))


def learn(known: Clusters, batch: Sequence[Sample], items: int, settings: ClusterSettings) -> None:
    """Let new items move the clusters.

    Args:
        known: Changed in place; there are clusters.
        batch: The new items.
        items: How many there are in all.
        settings: Of the clusters.
    """
    _follow(known, batch)
    centred = _centred(known, batch)
    towards = unit(centred)
    near = towards @ _centres(known).T
    worst = int(near.max(axis=1).argmin())
    if len(known.clusters) < _room(items, settings) and near[worst].max() < settings.novelty:
        known.clusters.append(_begin(known, batch[worst].item, centred[worst]))
        near = towards @ _centres(known).T
    _fade(known, len(batch), settings)
    groups = near.argmax(axis=1)
    for place in np.unique(groups).tolist():
        one, members = known.clusters[place], np.flatnonzero(groups == place)
        added = known.gain * len(members)
        step = np.float32(added / (one.count + added))
        centroid = _unpack(one.centroid)
        one.centroid = _pack(centroid + step * (centred[members].mean(axis=0) - centroid))
        _count(one, [batch[at] for at in members.tolist()], known.gain, settings)
    known.learned += len(batch)
    alive = [one for one in known.clusters if one.count >= settings.count_min * known.gain]
    known.clusters = alive or known.clusters


def weights(
    known: Clusters, texts: Sequence[Sample], settings: ClusterSettings
) -> list[list[tuple[Cluster, float]]]:
    """The clusters of each text, heaviest first, at most three and none below a tenth.

    Args:
        known: The clusters.
        texts: Items, or what users write.
        settings: Of the clusters.

    Returns:
        Softmax of the cosines over the temperature; nothing for a text that is near to none.
    """
    if not known.clusters or not texts:
        return [[] for _ in texts]
    near = (unit(_centred(known, texts)) @ _centres(known).T).astype(np.float64)
    shares = np.exp((near - near.max(axis=1, keepdims=True)) / settings.temperature)
    shares /= shares.sum(axis=1, keepdims=True)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :TOPICS_MAX]
    return [
        [(known.clusters[at], float(row[at])) for at in best.tolist() if row[at] >= WEIGHT_MIN]
        if highest >= settings.similarity_min else []
        for row, best, highest in zip(shares, order, near.max(axis=1), strict=True)
    ]  # fmt: skip


def _follow(known: Clusters, items: Sequence[Sample]) -> None:
    """Let the mean of a language follow its first items; then it stays until all are grouped.

    Centroids lie where they do by it: a mean that went on would follow whatever comes most of late
    into the middle of it.
    """
    for language in sorted({one.language for one in items}):
        count, packed = known.means.get(language, (0, b""))
        if count >= _SETTLED or not (count or len(known.means) <= MEANS_MAX):
            continue
        vectors = [one.vector for one in items if one.language == language]
        added = np.asarray(np.mean(vectors, axis=0), np.float32)
        total = count + len(vectors)
        mean = _unpack(packed) if count else added
        step = np.float32(len(vectors) / total)
        known.means[language] = total, _pack(mean + step * (added - mean))


def _centred(known: Clusters, texts: Sequence[Sample]) -> Vectors:
    """Vectors less the mean of their language, which that of all stands in for where it is new."""
    _, packed = known.means[_ALL]
    overall, middles = _unpack(packed), {}
    for language in {one.language for one in texts}:
        count, own = known.means.get(language, (0, packed))
        share = np.float32(count / (count + _SHRINKAGE))
        middles[language] = overall + share * (_unpack(own) - overall)
    return np.stack([one.vector - middles[one.language] for one in texts])


def _centres(known: Clusters) -> Vectors:
    """Directions of the centroids, (clusters, d)."""
    return unit(np.stack([_unpack(one.centroid) for one in known.clusters]))


def _unpack(packed: bytes) -> Vectors:
    vector: Vectors = np.frombuffer(packed, "<f4").astype(np.float32)
    return vector


def _pack(vector: Vectors) -> bytes:
    return vector.astype("<f4").tobytes()


def _room(items: int, settings: ClusterSettings) -> int:
    return min(settings.clusters, max(2, isqrt(items)))


def _largest(known: Clusters, most: int) -> list[Cluster]:
    """At most so many, in the order they are in: settings may allow fewer than before."""
    sizes = [one.count for one in known.clusters]
    places = sorted(range(len(sizes)), key=lambda place: (-sizes[place], place))[:most]
    return [known.clusters[place] for place in sorted(places)]


def _begin(known: Clusters, item: str, centroid: Vectors) -> Cluster:
    known.begun += 1
    joined = f"{item}\x1f".encode() + _pack(centroid)
    digest = blake2b(joined, digest_size=2).hexdigest()
    return Cluster(f"{known.begun}-{digest}", 0.0, _pack(centroid))


def _fade(known: Clusters, items: int, settings: ClusterSettings) -> None:
    known.gain /= settings.keep ** (items / _FADED_ITEMS)
    if known.gain < _GAIN_MAX:
        return
    for one in known.clusters:
        one.count /= known.gain
        one.items = {name: count / known.gain for name, count in one.items.items()}
        one.words = {
            language: {word: weight / known.gain for word, weight in words.items()}
            for language, words in one.words.items()
        }
    known.gain = 1.0


def _count(one: Cluster, members: Sequence[Sample], gain: float, settings: ClusterSettings) -> None:
    """Count items into their cluster, with their words."""
    one.count += gain * len(members)
    for member in members:
        one.items[member.language] = one.items.get(member.language, 0.0) + gain
        words = one.words.setdefault(member.language, {})
        for word, weight in member.words:
            words[word] = words.get(word, 0.0) + gain * weight
    spoken = sorted(one.words, key=lambda language: (-one.items[language], language))
    one.words = {
        language: _heaviest(one.words[language], settings.words_max)
        for language in spoken[:LANGUAGES_MAX]
    }


def _heaviest(words: dict[str, float], most: int) -> dict[str, float]:
    if len(words) <= 2 * most:
        return words
    best = sorted(words.items(), key=lambda one: (-one[1], one[0]))
    return dict(best[:most])
