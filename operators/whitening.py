"""The linear map between an encoder's vectors and those that are compared.

Encoders put all texts into a narrow cone: the cosine of two arbitrary texts lies near .8 for e5,
so that cosines say little (Su et al. 2021; WhitenRec, ICDE 2024). Subtracting the mean and
flattening the spectrum repairs that, but a fully white space also blows up what is noise. So it is
flattened half way,

    y = unit((x - mean) C^(-1/4)),    C = covariance, shrunk towards its mean variance

with the symmetric root, so that no direction is an accident of the solver. Mean and covariance come
from running sums over the catalogue's items; texts of users pass through the same map and leave
the sums alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.stage import StructCodec

Vectors = NDArray[np.float32]
"""Rows of unit length, shape (n, dimensions)."""

Sums = NDArray[np.float64]

SHRINKAGE_VECTORS = 64
"""How many vectors of evenly spread variance the estimate begins with."""


@dataclass
class Moments:
    """Running sums: count, sum of x (d,), sum of x xᵀ (d, d)."""

    count: int
    total: Sums
    outer: Sums

    @classmethod
    def none(cls, dimensions: int) -> "Moments":
        """Of no vectors."""
        return cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

    def add(self, vectors: Vectors) -> None:
        """Count in vectors, in this order."""
        wide = vectors.astype(np.float64)
        self.count += len(wide)
        self.total += wide.sum(axis=0)
        self.outer += wide.T @ wide


@dataclass(frozen=True)
class SpaceMap:
    """A version of the map; version 0 changes nothing.

    Attributes:
        mean: (d,).
        root: C^(-1/4), (d, d).
    """

    version: int
    mean: Vectors | None = None
    root: Vectors | None = None

    def apply(self, vectors: Vectors) -> Vectors:
        """Vectors of an encoder, (n, d), in the space where they are compared, of unit length."""
        if self.mean is None or self.root is None:
            return unit(vectors)
        return unit((vectors - self.mean) @ self.root)


def fit(moments: Moments, version: int) -> SpaceMap:
    """The map of what has been counted in."""
    mean = moments.total / moments.count
    covariance = moments.outer / moments.count - np.outer(mean, mean)
    even = np.trace(covariance) / len(mean)
    share = SHRINKAGE_VECTORS / (SHRINKAGE_VECTORS + moments.count)
    covariance = (1.0 - share) * covariance + share * even * np.eye(len(mean))
    values, axes = np.linalg.eigh(covariance)
    values = np.maximum(values, 1e-6 * even)
    if even <= 0.0:  # all the same text: there is nothing to flatten
        values = np.ones_like(values)
    root = (axes * values**-0.25) @ axes.T
    return SpaceMap(version, mean.astype(np.float32), root.astype(np.float32))


def unit(vectors: Vectors) -> Vectors:
    """Each row at length one; a row without a length stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.where(lengths > 0.0, lengths, 1.0)).astype(np.float32)
    return scaled


class MomentsCodec:
    """`Moments` as MessagePack; of the symmetric outer sums the upper half."""

    version = 1
    weight = 1
    _inner: StructCodec[tuple[int, bytes, bytes]] = StructCodec(tuple[int, bytes, bytes])

    def encode(self, value: Moments) -> bytes:
        upper = value.outer[np.triu_indices(len(value.total))]
        return self._inner.encode((value.count, value.total.tobytes(), upper.tobytes()))

    def decode(self, data: bytes) -> Moments:
        count, total, upper = self._inner.decode(data)
        moments = Moments.none(len(total) // 8)
        moments.count = count
        moments.total[:] = np.frombuffer(total, "<f8")
        moments.outer[np.triu_indices(len(moments.total))] = np.frombuffer(upper, "<f8")
        moments.outer = np.triu(moments.outer) + np.triu(moments.outer, 1).T
        return moments


class SpaceMapCodec:
    """`SpaceMap` as MessagePack."""

    version = 1
    weight = 1
    _inner: StructCodec[tuple[int, bytes, bytes]] = StructCodec(tuple[int, bytes, bytes])

    def encode(self, value: SpaceMap) -> bytes:
        mean = b"" if value.mean is None else value.mean.tobytes()
        root = b"" if value.root is None else value.root.tobytes()
        return self._inner.encode((value.version, mean, root))

    def decode(self, data: bytes) -> SpaceMap:
        version, mean, root = self._inner.decode(data)
        if not mean:
            return SpaceMap(version)
        middle = np.frombuffer(mean, "<f4").copy()
        return SpaceMap(version, middle, np.frombuffer(root, "<f4").reshape(len(middle), -1).copy())
