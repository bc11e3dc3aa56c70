"""Measures the handlers: `python -m deploy.understanding.benchmark quality|throughput ...`.

Quality is accuracy on texts drawn by a seed, with a trained head and with label prototypes alone.
Throughput is that of the encoder with its own batches against the bare model in a loop (sorted by
length, fixed batches, padded), alternating in one process, in texts a second of CPU time: what else
the machine does then counts little. Vectors are kept in a folder by model and data, so that a
second run costs nothing.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from deploy.replay.progress import show_on
from deploy.understanding.handlers import loaded_encoder
from deploy.understanding.texts import Labelled, read_labelled
from deploy.understanding.training import vectors_of
from udfs.embedding import Encoder, EncoderSettings, pool
from udfs.handler import Embedded, Text
from udfs.models import E5
from udfs.prototypes import Prototypes, descriptions
from udfs.settings import TEMPERATURES
from udfs.text import prepare
from udfs.training import data_hash, split, train

SEED = 20261125
_BATCH = 32

Rows = NDArray[np.float32]
Precision = Literal["float32", "int8"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _drawn(data: Labelled, count: int, seed: int) -> Labelled:
    indices = split(len(data.texts), seed, 0)[0][:count]
    return Labelled([data.texts[at] for at in indices], [data.labels[at] for at in indices])


def _encoder(model: str, precision: Precision, threads: int) -> Encoder:
    return loaded_encoder(
        EncoderSettings(model=model, device="cpu", precision=precision, threads=threads)
    )


def kept_vectors(data: Labelled, encoder: Encoder, cache: Path) -> tuple[Rows, list[str]]:
    """Vectors and labels of the texts, computed if they are not in the cache folder yet."""
    hashed = data_hash(data.texts, data.labels)
    name = f"{encoder.space}".replace("/", "-").replace(":", "-")
    path = cache / f"{name}-{hashed}.npz"
    if path.is_file():
        with np.load(path) as file:
            return file["vectors"], file["labels"].tolist()
    with show_on(Console(stderr=True)) as show:
        vectors, labels = vectors_of(data, encoder, show, f"reading by {encoder.space}")
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(path, vectors=vectors, labels=np.array(labels))
    return vectors, labels


@app.command()
def quality(
    data: Path,
    task: Annotated[str, typer.Option(help="sentiment, emotions or topics.")] = "sentiment",
    text: Annotated[str, typer.Option(help="Column, or its number.")] = "review",
    label: Annotated[str, typer.Option(help="Column, or its number.")] = "label",
    names: Annotated[
        str, typer.Option(help="Prototype of each label, LABEL=PROTOTYPE,…; none: head only.")
    ] = "0=negative,1=positive",
    train_texts: Annotated[int, typer.Option(min=10)] = 4800,
    test_texts: Annotated[int, typer.Option(min=10)] = 1200,
    seed: int = SEED,
    model: str = E5,
    precision: Precision = "float32",
    threads: int = 1,
    cache: Path = Path(".headwater/vectors"),
    *,
    int8_too: Annotated[bool, typer.Option(help="The same head on vectors of int8.")] = False,
) -> None:
    """Print accuracies with a head and with prototypes alone, as JSON."""
    chosen = _drawn(read_labelled(data, text, label), train_texts + test_texts, seed)
    encoder = _encoder(model, precision, threads)
    vectors, labels = kept_vectors(chosen, encoder, cache)
    learned, tested = (vectors[:-test_texts], labels[:-test_texts]), vectors[-test_texts:]
    truth = labels[-test_texts:]
    head = train(
        learned, (tested, truth), task=task, version=1, space=encoder.space, seed=seed,
        hashed=data_hash(chosen.texts, chosen.labels),
    )  # fmt: skip
    result = {
        "model": str(encoder.space), "task": task, "seed": seed, "texts_train": len(learned[1]),
        "texts_test": len(truth), "head": head.meta.accuracy,
        "standard_error": head.meta.standard_error, "majority": head.meta.majority,
    }  # fmt: skip
    if names:
        known = dict(pair.split("=", 1) for pair in names.split(","))
        result["prototypes"] = _by_prototypes(task, known, encoder, tested, truth)
    if int8_too:
        last = Labelled(chosen.texts[-test_texts:], chosen.labels[-test_texts:])
        small, labels = kept_vectors(last, _encoder(model, "int8", threads), cache)
        best = head.of_vectors(small).argmax(axis=1)
        right = [head.labels[at] == label for at, label in zip(best, labels, strict=True)]
        result["head_on_int8"] = round(float(np.mean(right)), 4)
    print(json.dumps(result))


def _by_prototypes(
    task: str, names: dict[str, str], encoder: Encoder, vectors: Rows, truth: Sequence[str]
) -> float:
    """Accuracy among the labels of the data."""
    described = {name: descriptions(task)[name] for name in names.values()}
    prototypes = Prototypes(task, described, encoder, TEMPERATURES[task])
    prototypes.load()
    spoken = Text(text="", language="zh")
    answers = prototypes.classify([Embedded(spoken, vector) for vector in vectors])
    best = [prototypes.labels[int(np.argmax(np.asarray(one)))] for one in answers]
    right = [guess == names[label] for guess, label in zip(best, truth, strict=True)]
    return round(float(np.mean(right)), 4)


@app.command()
def throughput(
    data: Path,
    text: str = "review",
    label: str = "label",
    texts: int = 300,
    rounds: int = 3,
    seed: int = SEED,
    model: str = E5,
    threads: int = 1,
) -> None:
    """Print texts a CPU second: own batches, the bare model in a loop, and eight bits, as JSON."""
    chosen = _drawn(read_labelled(data, text, label), texts, seed)
    prepared = [one for one in map(prepare, chosen.texts) if isinstance(one, Text)]
    full = _encoder(model, "float32", threads)
    small = _encoder(model, "int8", threads)
    ways: dict[str, Callable[[], Any]] = {
        "batches": lambda: full.infer(prepared),
        "bare_sorted": lambda: bare(full, prepared, in_order=False),
        "bare_in_order": lambda: bare(full, prepared, in_order=True),
        "int8": lambda: small.infer(prepared),
    }
    for way in ways.values():
        way()
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began_s = time.process_time()
            way()
            taken[name].append(time.process_time() - began_s)
    rates = {name: len(prepared) / median(seconds) for name, seconds in taken.items()}
    result = {
        "model": str(full.space), "texts": len(prepared), "rounds": rounds, "threads": threads,
        "texts_per_cpu_second": {name: round(rate, 1) for name, rate in rates.items()},
        "batches_to_bare_sorted": round(rates["batches"] / rates["bare_sorted"], 3),
        "batches_to_bare_in_order": round(rates["batches"] / rates["bare_in_order"], 3),
        "int8_to_float32": round(rates["int8"] / rates["batches"], 3),
        "spread": {name: round(max(s) / min(s), 2) for name, s in taken.items()},
    }  # fmt: skip
    print(json.dumps(result))


def bare(encoder: Encoder, texts: Sequence[Text], *, in_order: bool) -> list[Rows]:
    """The model in a plain loop: batches of 32, padded to the longest."""
    tokenizer, model = encoder.parts
    ids = encoder.token_ids(texts)
    if not in_order:
        ids = sorted(ids, key=len)
    return [
        pool(model, ids[at : at + _BATCH], tokenizer.pad_token_id)
        for at in range(0, len(ids), _BATCH)
    ]


if __name__ == "__main__":
    app()
