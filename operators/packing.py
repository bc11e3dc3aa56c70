"""Fixed-width records: how figures and neighbour rows look in bytes.

Packed records cross stages and enter state as they are; a join of the rows of an item is a numpy
array without a loop. Little-endian throughout, so bytes mean the same on every machine.
"""

import math
import struct
from functools import cache, lru_cache
from hashlib import blake2b, shake_128
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Words = NDArray[np.float32]

CATEGORY_CODES = 6
EPOCH_MS = 946_684_800_000  # 2000-01-01: keeps times small enough for 32-bit floats
HOUR_MS = 3_600_000
NEVER_LOG2 = -1e9  # log2 of "no likes at all"; far below any real one, and finite

_FIGURES_FIELDS: list[Any] = [
    ("key", "<u8"),
    ("raw", "<f4"),
    ("likes", "<f4"),
    ("users", "<f4"),
    ("likes_1d", "<f4"),
    ("likes_30d", "<f4"),
    ("first_h", "<f4"),
    ("codes", "<u2", (CATEGORY_CODES,)),
]
FIGURES = np.dtype(_FIGURES_FIELDS)
"""An item at one moment: key, sum of strengths, likes, users, log2 of the decayed likes (half-life
1 and 30 days), hours from 2000 to its first time, category codes (0: none). All but the key and
the codes are 32-bit floats, so that a join of records is a matrix of words: numpy works on its
columns several times faster than on the fields of records."""

PULLED = np.dtype(
    [("sim", "<f4"), ("short", "<f4"), ("key", "<u8"), ("content", "<f4"), *_FIGURES_FIELDS[2:]]
)
"""A neighbour as the ranking gets it: its figures, and in place of the sum of strengths, which
nobody behind needs, how much the two say the like, on the scale of `sim`."""

LIKES, LIKES_1D, LIKES_30D = 3, 5, 6
POPULARITY = slice(3, 8)
"""Words of a `FIGURES` record; `POPULARITY`: likes, users, likes_1d, likes_30d, first_h."""

_RAW = struct.Struct("<f")
_CODES = struct.Struct(f"<{CATEGORY_CODES}H")
_FIGURES = struct.Struct(f"<Q6f{_CODES.size}s")
assert _FIGURES.size == FIGURES.itemsize


@lru_cache(maxsize=10_000)
def item_key(item: str) -> int:
    """64-bit name of an item id inside its tenant: BLAKE2b of the UTF-8 bytes.

    Two of n items share a key with probability n²/2⁶⁵; then one of them hides the other in the
    lists of users who know one of them. Nothing else depends on it.
    """
    return int.from_bytes(blake2b(item.encode(), digest_size=8).digest(), "little")


@lru_cache(maxsize=10_000)
def category_code(category: str) -> int:
    """16-bit code of a category; its low twelve bits, which are used alone too, are never 0."""
    digest = int.from_bytes(blake2b(category.encode(), digest_size=4).digest(), "little")
    return digest >> 16 & 0xF000 | digest % 4095 + 1


def pack_figures(
    key: int,
    counts: tuple[int, int, int],
    likes_log2: tuple[float, float],
    first_ms: int,
    categories: list[str],
) -> bytes:
    """One `FIGURES` record; `counts` are (sum of strengths, likes, users)."""
    codes = _pack_codes(tuple(categories))
    return _FIGURES.pack(key, *counts, *likes_log2, (first_ms - EPOCH_MS) / HOUR_MS, codes)


@lru_cache(maxsize=10_000)
def _pack_codes(categories: tuple[str, ...]) -> bytes:
    codes = [category_code(category) for category in categories[:CATEGORY_CODES]]
    return _CODES.pack(*codes, *[0] * (CATEGORY_CODES - len(codes)))


CODE_DIMENSIONS = 128


def code_of(vector: NDArray[np.float32]) -> bytes:
    """A vector in short: `CODE_DIMENSIONS` signed bytes that keep its angles.

    A longer vector is first projected by random signs (Achlioptas, PODS 2001), which keeps a
    cosine with an error of about 1/sqrt(dimensions); the signs come from a hash of the place, so
    that all machines and versions agree on them. Then the largest component becomes 127.
    """
    short = vector
    if len(vector) > CODE_DIMENSIONS:
        short = np.einsum("ij,j->i", _signs(len(vector)), vector)
    top = float(np.abs(short).max()) if len(short) else 0.0
    if not top > 0:
        return b""
    code: bytes = np.rint(short * np.float32(127 / top)).astype(np.int8).tobytes()
    return code


@cache
def _signs(dimensions: int) -> NDArray[np.float32]:
    """Random signs, shape (CODE_DIMENSIONS, dimensions)."""
    bits = shake_128(str(dimensions).encode()).digest(CODE_DIMENSIONS * dimensions // 8 + 1)
    flat = np.unpackbits(np.frombuffer(bits, np.uint8))[: CODE_DIMENSIONS * dimensions]
    return (2.0 * flat.reshape(CODE_DIMENSIONS, dimensions) - 1.0).astype(np.float32)


def raw_of(figures: bytes) -> float:
    """Sum of strengths in a packed record."""
    raw: float = _RAW.unpack_from(figures, 8)[0]
    return raw


def key_of(figures: bytes) -> int:
    """Item key in a packed record."""
    return int.from_bytes(figures[:8], "little")


def likes_of(figures: bytes) -> int:
    """Likes in a packed record."""
    return int(_RAW.unpack_from(figures, 12)[0])


def users_of(figures: bytes) -> int:
    """Users in a packed record."""
    return int(_RAW.unpack_from(figures, 16)[0])


def codes_of(figures: bytes) -> list[int]:
    """Category codes in a packed record, without the empty places."""
    return [code for code in _CODES.unpack_from(figures, 32) if code]


def log2_add(log2_sum: float, log2_term: float) -> float:
    """log2(2^a + 2^b) without overflow: forward decay adds an event without a sweep.

    >>> log2_add(3.0, 3.0)
    4.0
    """
    high, low = (log2_sum, log2_term) if log2_sum > log2_term else (log2_term, log2_sum)
    below = low - high
    return high + math.log2(1.0 + 2.0**below) if below > -1000.0 else high


def log2_subtract(log2_sum: float, log2_term: float) -> float:
    """log2(2^a - 2^b), or `NEVER_LOG2` when nothing is left.

    >>> log2_subtract(4.0, 3.0)
    3.0
    """
    rest = 1.0 - 2.0 ** min(0.0, max(-1000.0, log2_term - log2_sum))
    return log2_sum + math.log2(rest) if rest > 1e-12 else NEVER_LOG2


def words(packed: bytes, record: np.dtype[Any]) -> Words:
    """Packed records as a matrix of 32-bit words, shape (n, words of a record), without a copy."""
    return np.frombuffer(packed, "<f4").reshape(-1, record.itemsize // 4)


def keys_in(columns: Words) -> Keys:
    """Item keys from the two words that hold them, shape (n,)."""
    return np.ascontiguousarray(columns).view("<u8").reshape(-1)


def codes_in(columns: Words) -> NDArray[np.uint16]:
    """Category codes from the words that hold them, shape (n, CATEGORY_CODES)."""
    return np.ascontiguousarray(columns).view("<u2").reshape(-1, CATEGORY_CODES)


def contained(keys: Keys, within: Keys) -> NDArray[np.bool_]:
    """Which of `keys` are in the sorted array `within`."""
    if not len(within):
        return np.zeros(len(keys), bool)
    places = within.searchsorted(keys)
    np.minimum(places, len(within) - 1, out=places)
    found: NDArray[np.bool_] = within[places] == keys
    return found
