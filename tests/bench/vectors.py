"""Vectors of what items say, for `tests.bench.hybrid`: run once, with the encoder's packages.

    python -m tests.bench.vectors DATA FOLDER [films] [instruments] [int8]

Films: title and genres. Instruments have no text of their own in this data
set: their text is made of the last three reviews of each (summary and first 200 characters), and
`hybrid` never asks for an item whose next event is one of these reviews.

Vectors are centred and of unit length; neighbours are the 20 nearest by cosine.
"""

import csv
import gzip
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from udfs.embedding import Encoder, EncoderSettings
from udfs.handler import Text

NEAREST = 20
REVIEWS_HELD = 3


def films(data: Path) -> dict[str, str]:
    """Text by item."""
    folder = data / "movielens-latest-small"
    with gzip.open(folder / "movies.csv.gz", "rt", encoding="utf-8") as file:
        return {
            row["movieId"]: f"{row['title']}. {row['genres'].replace('|', ', ')}"
            for row in csv.DictReader(file)
        }


def reviews(data: Path) -> list[dict]:
    """All reviews of instruments, oldest first; days are the finest times there are."""
    path = data / "amazon-musical-instruments-5core/reviews_Musical_Instruments_5.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return sorted(rows, key=lambda row: (row["unixReviewTime"], row["reviewerID"], row["asin"]))


def held(rows: list[dict]) -> set[tuple[str, str]]:
    """(user, item) of the reviews that serve as the items' text: the last of each."""
    by_item = defaultdict(list)
    for row in rows:
        by_item[row["asin"]].append(row["reviewerID"])
    return {(user, item) for item, users in by_item.items() for user in users[-REVIEWS_HELD:]}


def instruments(data: Path) -> dict[str, str]:
    """Text by item."""
    rows = reviews(data)
    kept, texts = held(rows), defaultdict(list)
    for row in rows:
        if (row["reviewerID"], row["asin"]) in kept:
            texts[row["asin"]].append(f"{row['summary']}. {row['reviewText'][:200]}")
    return {item: " ".join(parts) for item, parts in texts.items()}


def embedded(texts: list[str], precision: str) -> np.ndarray:
    """Vectors of the job's own encoder, all-MiniLM-L6-v2, shape (n, 384), float32."""
    encoder = Encoder(EncoderSettings(precision=precision, max_tokens=128))
    encoder.load()
    began_s = time.process_time()
    out = np.stack(encoder.infer([Text(text=one, language="en", role="passage") for one in texts]))
    rate = len(texts) / (time.process_time() - began_s)
    sys.stdout.write(f"{precision}: {rate:.0f} texts a second of CPU time\n")
    return out


def main(data: Path, folder: Path, names: list[str]) -> None:
    precision = "int8" if "int8" in names else "float32"
    names = [name for name in names if name != "int8"]
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ["films", "instruments"]:
        texts = {"films": films, "instruments": instruments}[name](data)
        ids = list(texts)
        vectors = embedded([texts[one] for one in ids], precision)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors -= vectors.mean(0)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, -2)
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]
        near = np.take_along_axis(cosines, nearest, 1).astype(np.float32)
        np.savez(folder / f"{name}.npz", ids=ids, vectors=vectors, nearest=nearest, near=near)
        sys.stdout.write(f"{name}: {len(ids)} items\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
