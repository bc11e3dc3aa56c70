"""Topics that nobody named: clusters of vectors, learned online, with names in both languages.

Encoders put all texts into a narrow cone, so vectors are centred and then clustered by cosine. The
first `warm_up` of them are kept and give the centre, which stays, and the clusters (k-means++ and
Lloyd's steps); from then on each batch moves the centroids a little (mini-batch k-means, Sculley,
WWW 2010):

    count += 1,  centroid += (vector - centroid) / count

with counts that fade, so that clusters follow the stream. A cluster may instead come from the
catalogue, as the mean of a category's items. An id belongs to a cluster for ever: it is never given
again, and learning goes on under it; a cluster that has faded away makes room for a new one.

Names are by class-based TF-IDF (BERTopic): tf(word, cluster) * log(1 + words a cluster / tf(word)).
Everything follows from the order of the vectors and the seed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from udfs.errors import UnderstandingError
from udfs.handler import Named, Vector

Rows = NDArray[np.float32]

VERSION = 1
_LLOYD_STEPS = 10
_TEMPERATURE = 0.1
_WEIGHT_MIN = 0.1
_GRACE = 4.0  # a new cluster has this many times the least weight, time to be found


class ClusterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the clustering.

    Attributes:
        clusters: At most so many.
        warm_up: Vectors looked at before the first clusters are made.
        keep: What is left of counts and words after a batch of 1,000 vectors.
        weight_min: A cluster with a smaller count has faded away.
        novelty: Where there is room, a vector begins a cluster if no centroid is as near as this.
        words_max: Words kept a cluster and language.
        name_words: Words of a name.
        seed: Of the first clusters.
    """

    clusters: int = 32
    warm_up: int = 512
    keep: float = 0.99
    weight_min: float = 1.0
    novelty: float = 0.1
    words_max: int = 200
    name_words: int = 3
    seed: int = 1


class Seen(NamedTuple):
    """A text as the clustering sees it: unit vector, language, its tags."""

    vector: Vector
    language: str
    words: Sequence[str]


class Cluster(Struct, kw_only=True):
    """One cluster.

    Attributes:
        id: Never changes, never given again.
        label: Category it was seeded by; empty if it was found.
        weight: Vectors in it, faded.
        centroid: float32, not scaled to length one.
        words: Faded counts by language and word.
    """

    id: int
    label: str
    weight: float
    centroid: Vector
    words: dict[str, dict[str, float]] = field(default_factory=dict)


class _State(Struct, kw_only=True):
    """What is kept, as plain data."""

    version: int
    dimensions: int
    next_id: int
    mean: bytes
    waiting: list[tuple[bytes, str, list[str]]]
    clusters: list[tuple[int, str, float, bytes, dict[str, dict[str, float]]]]


class Clusters:
    """The clusters of one space.

    Args:
        dimensions: Length of its vectors.
        settings: See there.
    """

    def __init__(self, dimensions: int, settings: ClusterSettings | None = None) -> None:
        self.settings = settings or ClusterSettings()
        self.clusters: list[Cluster] = []
        self._dimensions = dimensions
        self._next_id = 1
        self._mean = np.zeros(dimensions, np.float32)
        self._waiting: list[Seen] = []

    def seed(self, label: str, vectors: Rows) -> int:
        """Make a cluster of a category's vectors, (items, dimensions); returns its id.

        All categories come first, then `learn`: the centre is that of the categories.
        """
        centroid = np.asarray(vectors.mean(axis=0), np.float32)
        made = self._add(centroid, float(len(vectors)), label)
        if len(self.clusters) > 1:
            centroids = [cluster.centroid for cluster in self.clusters]
            self._mean = np.asarray(np.mean(centroids, axis=0), np.float32)
        return made

    def learn(self, batch: Sequence[Seen]) -> list[int]:
        """Learn from a batch; returns the cluster of each vector, 0 while there is none yet."""
        if not batch:
            return []
        vectors = np.stack([one.vector for one in batch])
        if not self.clusters:
            self._waiting += batch
            if len(self._waiting) < self.settings.warm_up:
                return [0] * len(batch)
            self._begin()
            return self.assign(vectors)
        self._fade(len(batch))
        ids = self.assign(vectors)
        self._move(batch, ids)
        return ids

    def assign(self, vectors: Rows) -> list[int]:
        """The nearest cluster of each vector, (texts, dimensions); 0 while there is none yet."""
        if not self.clusters or not len(vectors):
            return [0] * len(vectors)
        best = self._similarities(vectors).argmax(axis=1)
        return [self.clusters[at].id for at in best]

    def topics(self, vector: Vector, language: str) -> list[Named]:
        """Clusters of a text by name, best first; none below a tenth."""
        if not self.clusters:
            return []
        scores = self._similarities(vector[None, :])[0] / _TEMPERATURE
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        order = [at for at in np.argsort(-weights, kind="stable") if weights[at] >= _WEIGHT_MIN]
        names = self.names(language)
        return [Named(names[self.clusters[at].id], round(float(weights[at]), 4)) for at in order]

    def names(self, language: str) -> dict[int, str]:
        """A name for each cluster: its category, or its most telling words in the language.

        A cluster without words in that language is named in whatever language it has.
        """
        return {
            cluster.id: cluster.label or self._name(cluster, language) for cluster in self.clusters
        }

    def dump(self) -> bytes:
        """Everything that is known, as plain bytes."""
        state = _State(
            version=VERSION,
            dimensions=self._dimensions,
            next_id=self._next_id,
            mean=_pack(self._mean),
            waiting=[(_pack(one.vector), one.language, list(one.words)) for one in self._waiting],
            clusters=[
                (one.id, one.label, one.weight, _pack(one.centroid), one.words)
                for one in self.clusters
            ],
        )
        return msgspec.msgpack.encode(state)

    @classmethod
    def load(cls, data: bytes, settings: ClusterSettings | None = None) -> "Clusters":
        """What `dump` gave.

        Raises:
            UnderstandingError: It is something else.
        """
        try:
            state = msgspec.msgpack.decode(data, type=_State)
        except msgspec.DecodeError as error:
            message = f"No clusters in these {len(data)} bytes: {error}."
            raise UnderstandingError(message) from error
        if state.version != VERSION:
            message = f"Clusters of version {state.version}, and {VERSION} is what can be read."
            raise UnderstandingError(message)
        made = cls(state.dimensions, settings)
        made._next_id, made._mean = state.next_id, _unpack(state.mean)
        made._waiting = [
            Seen(_unpack(raw), language, words) for raw, language, words in state.waiting
        ]
        made.clusters = [
            Cluster(id=number, label=label, weight=weight, centroid=_unpack(raw), words=words)
            for number, label, weight, raw, words in state.clusters
        ]
        return made

    def _add(self, centroid: Vector, weight: float, label: str = "") -> int:
        made = Cluster(id=self._next_id, label=label, weight=weight, centroid=centroid)
        self._next_id += 1
        self.clusters.append(made)
        return made.id

    def _begin(self) -> None:
        """The first clusters, from the vectors that waited."""
        vectors = np.stack([one.vector for one in self._waiting])
        self._mean = np.asarray(vectors.mean(axis=0), np.float32)
        directions = self._directions(vectors)
        groups = _lloyd(directions, self.settings.clusters, self.settings.seed)
        for group in sorted(set(groups)):
            self._add(np.asarray(vectors[groups == group].mean(axis=0), np.float32), 0.0)
        waited, self._waiting = self._waiting, []
        self._count_words(waited, self.assign(vectors))

    def _fade(self, count: int) -> None:
        keep = self.settings.keep ** (count / 1000)
        for cluster in self.clusters:
            cluster.weight *= keep
            cluster.words = {
                language: {word: n * keep for word, n in words.items()}
                for language, words in cluster.words.items()
            }
        alive = [
            one for one in self.clusters if one.label or one.weight >= self.settings.weight_min
        ]
        self.clusters = alive or self.clusters

    def _move(self, batch: Sequence[Seen], ids: Sequence[int]) -> None:
        self._count_words(batch, ids)
        by_id = {cluster.id: cluster for cluster in self.clusters}
        for one, number in zip(batch, ids, strict=True):
            cluster = by_id[number]
            cluster.centroid = cluster.centroid + (one.vector - cluster.centroid) / cluster.weight
        if len(self.clusters) < self.settings.clusters:
            self._split(batch, ids)

    def _split(self, batch: Sequence[Seen], ids: Sequence[int]) -> None:
        """Room for a cluster goes to the vector that is worst off, if it is nowhere at home."""
        vectors = np.stack([one.vector for one in batch])
        similarities = self._similarities(vectors).max(axis=1)
        worst = int(similarities.argmin())
        if similarities[worst] < self.settings.novelty:
            self._add(batch[worst].vector.copy(), _GRACE * self.settings.weight_min)

    def _count_words(self, batch: Sequence[Seen], ids: Sequence[int]) -> None:
        by_id = {cluster.id: cluster for cluster in self.clusters}
        for one, number in zip(batch, ids, strict=True):
            cluster = by_id[number]
            cluster.weight += 1
            words = cluster.words.setdefault(one.language, {})
            for word in one.words:
                words[word] = words.get(word, 0.0) + 1
        for cluster in self.clusters:
            cluster.words = {
                language: self._strongest(words) for language, words in cluster.words.items()
            }

    def _strongest(self, words: Mapping[str, float]) -> dict[str, float]:
        if len(words) <= 2 * self.settings.words_max:
            return dict(words)
        best = sorted(words.items(), key=lambda one: (-one[1], one[0]))
        return dict(best[: self.settings.words_max])

    def _name(self, cluster: Cluster, language: str) -> str:
        spoken = language if cluster.words.get(language) else max(
            cluster.words, key=lambda one: (sum(cluster.words[one].values()), one), default=""
        )  # fmt: skip
        everywhere: Counter[str] = Counter()
        for other in self.clusters:
            everywhere.update(other.words.get(spoken, {}))
        average = sum(everywhere.values()) / len(self.clusters)
        own = cluster.words.get(spoken, {})
        best = sorted(
            own, key=lambda word: (-own[word] * log(1 + average / everywhere[word]), word)
        )
        return " / ".join(best[: self.settings.name_words]) or f"topic {cluster.id}"

    def _directions(self, vectors: Rows) -> Rows:
        centred = vectors - self._mean
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        return np.asarray(centred / np.maximum(lengths, 1e-9), np.float32)

    def _similarities(self, vectors: Rows) -> Rows:
        centroids = np.stack([cluster.centroid for cluster in self.clusters])
        return np.asarray(self._directions(vectors) @ self._directions(centroids).T, np.float32)


def _lloyd(directions: Rows, count: int, seed: int) -> NDArray[np.intp]:
    """Cluster of each unit vector: k-means++ and some of Lloyd's steps, by cosine."""
    random = np.random.default_rng(seed)
    chosen = [int(random.integers(len(directions)))]
    distance = 1 - directions @ directions[chosen[0]]
    while len(chosen) < min(count, len(directions)):
        chances = np.maximum(distance, 0).astype(np.float64)
        if chances.sum() < 1e-6:
            break  # what is left are copies
        chosen.append(int(random.choice(len(directions), p=chances / chances.sum())))
        distance = np.minimum(distance, 1 - directions @ directions[chosen[-1]])
    centres = directions[chosen]
    for _ in range(_LLOYD_STEPS):
        groups = (directions @ centres.T).argmax(axis=1)
        for group in np.unique(groups):
            mean = directions[groups == group].mean(axis=0)
            centres[group] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return np.asarray((directions @ centres.T).argmax(axis=1), np.intp)


def _pack(vector: Vector) -> bytes:
    return vector.astype("<f4").tobytes()


def _unpack(raw: bytes) -> Vector:
    return np.frombuffer(raw, "<f4").astype(np.float32)
