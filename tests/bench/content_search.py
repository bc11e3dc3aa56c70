"""Where should the nearest items be searched? Exact products against an index in the process.

Usage: python tests/bench/content_search.py [ITEMS ...]. Vectors are random mixtures of 200 centres,
as those of a catalogue are of its topics; usearch is measured if it is installed. What Cassandra's
index costs is measured where a Cassandra runs: `ORDER BY vector ANN OF`, one request a query.
Times are of the CPU, so that a busy machine does not matter much; set OPENBLAS_NUM_THREADS=1.
"""

import sys
import time

import numpy as np

from operators.vectors import CHUNK_ROWS, VectorChunk, nearest
from operators.whitening import SpaceMap, unit

DIMENSIONS, K, QUERIES = 384, 20, 256


def catalogue(items: int) -> np.ndarray:
    random = np.random.default_rng(1)
    centres = random.normal(size=(200, DIMENSIONS)).astype(np.float32)
    noise = random.normal(size=(items, DIMENSIONS)).astype(np.float32)
    return unit(centres[random.integers(0, 200, items)] + noise)


def chunks_of(vectors: np.ndarray) -> list[VectorChunk]:
    chunks = []
    for start in range(0, len(vectors), CHUNK_ROWS):
        chunk = VectorChunk.empty(DIMENSIONS)
        for row, vector in enumerate(vectors[start : start + CHUNK_ROWS]):
            chunk.set(row, f"i{start + row}", vector.astype(np.float16))
        chunk.in_space(SpaceMap(0))
        chunks.append(chunk)
    return chunks


def exact(vectors: np.ndarray, queries: np.ndarray, at_once: int) -> tuple[float, list[set[str]]]:
    """CPU milliseconds a query, so many asked for together, and what was found."""
    chunks, found = chunks_of(vectors), []
    started = time.process_time()
    for start in range(0, len(queries), at_once):
        part = queries[start : start + at_once]
        hits = nearest(part, [""] * len(part), chunks, SpaceMap(0), K, -1.0)
        found += [{item for item, _ in one} for one in hits]
    return 1000 * (time.process_time() - started) / len(queries), found


def indexed(vectors: np.ndarray, queries: np.ndarray, truth: list[set[str]]) -> str:
    try:
        from usearch.index import Index
    except ImportError:
        return "usearch is not installed"
    index = Index(ndim=DIMENSIONS, metric="cos", dtype="f16")
    started = time.process_time()
    index.add(np.arange(len(vectors)), vectors, threads=1)
    added = 1000 * (time.process_time() - started) / len(vectors)
    started = time.process_time()
    answers = [index.search(query, K, threads=1) for query in queries]
    asked = 1000 * (time.process_time() - started) / len(queries)
    recall = np.mean(
        [len({f"i{key}" for key in answer.keys} & right) / K
         for answer, right in zip(answers, truth, strict=True)]
    )  # fmt: skip
    return f"usearch: add {added:.2f} ms, query {asked:.2f} ms, recall@{K} {recall:.3f}"


def main(sizes: list[int]) -> None:
    for items in sizes:
        vectors = catalogue(items)
        queries = catalogue(items)[:QUERIES] if items >= QUERIES else vectors
        single, truth = exact(vectors, queries[:32], 1)
        batched, truth = exact(vectors, queries, 64)
        print(f"{items:>7} items, exact: {single:.2f} ms alone, {batched:.2f} ms of 64 together")
        print(f"{'':>7} {indexed(vectors, queries, truth)}")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [10_000, 100_000])
