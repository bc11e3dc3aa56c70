"""Chunks of vectors, the exact search, and the map between an encoder's space and the compared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.vectors import CHUNK_ROWS, VectorChunk, VectorChunkCodec, nearest
from operators.whitening import (
    SHRINKAGE_VECTORS,
    Moments,
    MomentsCodec,
    SpaceMap,
    SpaceMapCodec,
    fit,
    unit,
)

DIMENSIONS = 6
PLAIN = SpaceMap(0)


def vectors(count: int, seed: int = 3) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, DIMENSIONS))
    return unit(drawn.astype(np.float16).astype(np.float32))


def chunks_of(rows: np.ndarray, names=None) -> list[VectorChunk]:
    names = names or [f"i{n}" for n in range(len(rows))]
    made = [VectorChunk.empty(DIMENSIONS) for _ in range(0, len(rows), CHUNK_ROWS)]
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        made[number // CHUNK_ROWS].set(number % CHUNK_ROWS, name, row.astype(np.float16))
    return made


@pytest.mark.parametrize("count", [1, 5, CHUNK_ROWS, CHUNK_ROWS + 1, 2 * CHUNK_ROWS + 88])
def test_the_search_finds_what_comparing_with_everything_finds(count):
    rows, k = vectors(count), 7
    chunks = chunks_of(rows)
    packed = np.concatenate([chunk.encoded for chunk in chunks])[:count].astype(np.float32)
    kept = PLAIN.apply(packed)
    own = [f"i{n}" for n in range(count)]
    found = nearest(kept, own, chunks, PLAIN, k, -1.0)
    for number in range(0, count, 17):
        cosines = kept @ kept[number]
        order = sorted((-round(float(cosines[n]), 4), f"i{n}") for n in range(count) if n != number)
        assert [hit[0] for hit in found[number]] == [name for _, name in order[:k]]


def test_far_items_free_rows_and_the_item_itself_are_no_neighbours():
    rows = unit(np.array([[1, 0, 0, 0, 0, 0], [1, 0.1, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0]], "f4"))
    chunks = chunks_of(rows)
    (found,) = nearest(rows[:1], ["i0"], chunks, PLAIN, 5, 0.5)
    assert [item for item, _ in found] == ["i1"]
    chunks[0].set(1, "", np.zeros(DIMENSIONS, np.float16))
    assert nearest(rows[:1], ["i0"], chunks, PLAIN, 5, 0.5) == [[]]
    assert nearest(rows[:1], ["i0"], [], PLAIN, 5, 0.5) == [[]]


def test_a_row_that_changes_is_mapped_anew():
    rows = vectors(3)
    chunk = chunks_of(rows)[0]
    before = chunk.in_space(PLAIN).copy()
    chunk.set(0, "i0", rows[2].astype(np.float16))
    assert np.array_equal(chunk.in_space(PLAIN)[0], before[2])
    moved = SpaceMap(1, np.full(DIMENSIONS, 0.5, np.float32), np.eye(DIMENSIONS, dtype=np.float32))
    assert not np.allclose(chunk.in_space(moved), chunk.in_space(PLAIN).copy())


def test_chunks_sums_and_maps_come_back_as_they_were():
    chunk = chunks_of(vectors(9))[0]
    again = VectorChunkCodec().decode(VectorChunkCodec().encode(chunk))
    assert again.ids == chunk.ids
    assert np.array_equal(again.encoded, chunk.encoded)
    moments = Moments.none(DIMENSIONS)
    moments.add(vectors(9))
    back = MomentsCodec().decode(MomentsCodec().encode(moments))
    assert back.count == 9
    assert np.array_equal(back.total, moments.total)
    assert np.allclose(back.outer, moments.outer)
    space = fit(moments, 3)
    for one in (space, PLAIN):
        other = SpaceMapCodec().decode(SpaceMapCodec().encode(one))
        assert other.version == one.version
        assert np.array_equal(other.apply(vectors(4)), one.apply(vectors(4)))


def cone(count: int, seed: int) -> np.ndarray:
    """Vectors around one direction, of very different spread by axis: as encoders make them."""
    random = np.random.default_rng(seed)
    spread = random.normal(size=(count, DIMENSIONS)) * np.geomspace(1.0, 0.3, DIMENSIONS)
    return unit((3.0 + spread).astype(np.float32))


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_map_centres_and_flattens_half_way(seed):
    rows = cone(2000, seed)
    moments = Moments.none(DIMENSIONS)
    for start in range(0, len(rows), 100):
        moments.add(rows[start : start + 100])
    space = fit(moments, 1)
    centred = rows - space.mean
    assert np.abs(centred.mean(axis=0)).max() < 1e-5
    before = np.linalg.eigvalsh(np.cov(centred.T))
    after = np.linalg.eigvalsh(np.cov((centred @ space.root).T))
    # Half way: the largest eigenvalue over the others, the root of what it was (less what is
    # shrunk). One axis, the cone's own, hardly varies: it is left out.
    assert after[-1] / after[1] == pytest.approx(np.sqrt(before[-1] / before[1]), rel=0.25)
    assert before[-1] / before[1] > 4.0
    assert np.allclose(np.linalg.norm(space.apply(rows), axis=1), 1.0, atol=1e-4)


def test_a_map_of_few_or_equal_vectors_is_harmless():
    for rows in (np.repeat(cone(1, 1), 70, axis=0), cone(2, 1)):
        moments = Moments.none(DIMENSIONS)
        moments.add(rows)
        mapped = fit(moments, 1).apply(cone(5, 2))
        assert np.isfinite(mapped).all()
    assert SHRINKAGE_VECTORS > 2
