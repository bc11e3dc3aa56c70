"""`headwater train-head`: labelled texts in, a versioned head in a folder out."""

from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from rich.console import Console

from deploy.errors import HeadwaterError
from deploy.replay.progress import Show, show_on
from deploy.understanding.handlers import loaded_encoder, spoken
from deploy.understanding.texts import Labelled, read_labelled
from udfs.analysis import CIRCUMPLEX, valences
from udfs.embedding import Encoder, EncoderSettings
from udfs.handler import Failure, Text
from udfs.heads import Head, versions
from udfs.text import prepare
from udfs.training import TEST_SHARE, data_hash, split, train

_STEP = 256


class Order(Struct, frozen=True, kw_only=True):
    """What is to be trained.

    Attributes:
        task: `sentiment`, `emotions` or `topics`.
        data: File with the training texts; a fifth of them is the test if there is no other.
        test: File with the test texts.
        text, label: Columns.
        limit: Texts taken at most, drawn by the seed.
        out: Folder of heads.
        seed: Of everything drawn.
        encoder: Whose vectors it reads.
    """

    task: str
    data: Path
    test: Path | None
    text: str
    label: str
    limit: int | None
    out: Path
    seed: int
    encoder: EncoderSettings


def run(order: Order) -> Head:
    """Train, write, and print what came out.

    Raises:
        HeadwaterError: The data or the model cannot be read, or the labels do not suit the task.
    """
    console = Console(stderr=True)
    train_set, test_set = _sets(order)
    with spoken():
        _check_labels(order.task, sorted({*train_set.labels, *test_set.labels}))
    with show_on(console) as show:
        show.begin("loading the model", None)
        encoder = loaded_encoder(order.encoder)
        learned = vectors_of(train_set, encoder, show, "reading training texts")
        tested = vectors_of(test_set, encoder, show, "reading test texts")
        show.begin("training", None)
        everything = (train_set.texts + test_set.texts, train_set.labels + test_set.labels)
        with spoken():
            head = train(
                learned,
                tested,
                task=order.task,
                version=max(versions(order.out, order.task), default=0) + 1,
                space=encoder.space,
                seed=order.seed,
                hashed=data_hash(*everything),
            )
    folder = head.save(order.out)
    _report(Console(), head, folder)
    return head


def _sets(order: Order) -> tuple[Labelled, Labelled]:
    """Training and test texts."""
    data = read_labelled(order.data, order.text, order.label)
    count = len(data.texts)
    drawn = split(count, order.seed, 0)[0][: order.limit]
    held_out = 0 if order.test else round(len(drawn) * TEST_SHARE)
    test_set = _take(data, drawn[:held_out])
    if order.test:
        test_set = read_labelled(order.test, order.text, order.label)
    if not test_set.texts:
        message = f"{order.data}: {count} texts with a label; none is left to test on."
        raise HeadwaterError(message)
    return _take(data, drawn[held_out:]), test_set


def _take(data: Labelled, indices: list[int]) -> Labelled:
    return Labelled([data.texts[at] for at in indices], [data.labels[at] for at in indices])


def _check_labels(task: str, labels: list[str]) -> None:
    if task == "sentiment":
        valences(labels)
    elif task == "emotions" and not set(labels) <= set(CIRCUMPLEX):
        unknown = ", ".join(sorted(set(labels) - set(CIRCUMPLEX))[:5])
        message = f"Unknown emotions {unknown}: legal are {', '.join(CIRCUMPLEX)}."
        raise HeadwaterError(message)


def vectors_of(
    data: Labelled, encoder: Encoder, show: Show, what: str
) -> tuple[NDArray[np.float32], list[str]]:
    """Vectors and labels of the texts that can be read."""
    show.begin(what, len(data.texts))
    rows, labels = [], []
    for at in range(0, len(data.texts), _STEP):
        prepared = [prepare(text) for text in data.texts[at : at + _STEP]]
        good = [text for text in prepared if isinstance(text, Text)]
        vectors = iter(encoder.infer(good))
        for text, label in zip(prepared, data.labels[at : at + _STEP], strict=True):
            vector = text if isinstance(text, Failure) else next(vectors)
            if not isinstance(vector, Failure):
                rows.append(vector)
                labels.append(label)
        show(at + len(prepared))
    if not rows:
        message = "The encoder can read none of the texts."
        raise HeadwaterError(message)
    return np.stack(rows), labels


def _report(console: Console, head: Head, folder: Path) -> None:
    meta = head.meta
    console.print(
        f"{meta.task} {meta.version}: accuracy {meta.accuracy:.3f} ± {meta.standard_error:.3f} on "
        f"{meta.texts_test:,} texts not trained on ({meta.majority:.3f} by always saying the most "
        f"frequent label); {len(meta.labels)} labels, {meta.texts_train:,} texts, seed {meta.seed}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    console.print(f"written to {folder}", markup=False, highlight=False, soft_wrap=True)
