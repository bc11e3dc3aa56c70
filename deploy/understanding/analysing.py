"""`headwater analyse`: texts in, JSON lines out, through the handlers of the job."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct, field
from rich.console import Console

from deploy.errors import HeadwaterError
from deploy.replay.progress import show_on
from deploy.understanding.handlers import loaded
from deploy.understanding.texts import Line, batches, read_lines
from jobs.understand_settings import Understand
from udfs.analysis import Emotions
from udfs.embedding import Encoder
from udfs.handler import Embedded, Failure, Handler, Text
from udfs.text import prepare

_ENCODE = msgspec.json.Encoder()


class Tally(Struct):
    """What came of the texts.

    Attributes:
        texts: Lines with something in them.
        failed: Got no answer.
        noted: Got one with a note: something was mended or left out.
        tokens: Read by the encoder.
    """

    texts: int = 0
    failed: int = 0
    noted: int = 0
    tokens: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def run(place: str, settings: Understand, *, out: BinaryIO | None = None) -> int:
    """Read `place` (a file, or `-` for standard input), write a line a text.

    Returns:
        0 if every text got its answer, 1 if some did not.

    Raises:
        HeadwaterError: There is no such file, or a model cannot be loaded.
    """
    console, sink = Console(stderr=True), out or sys.stdout.buffer
    source = _open(place)
    tally, began_s = Tally(), 0.0
    with source, show_on(console) as show:
        show.begin("loading the models", None)
        encoder, handlers = loaded(settings.encoder, settings.analysis)
        show.begin("reading texts", None)
        began_s = time.monotonic()
        for batch in batches(read_lines(source)):
            for record in analyse(batch, encoder, handlers, tally):
                sink.write(_ENCODE.encode(record) + b"\n")
            sink.flush()
            show(tally.texts)
    _summarise(console, tally, time.monotonic() - began_s, encoder)
    return 1 if tally.failed else 0


def _open(place: str) -> BinaryIO:
    if place == "-":
        return sys.stdin.buffer
    try:
        return Path(place).open("rb")
    except OSError as error:
        message = f"{place} cannot be read: {error.strerror}. Give a file, or - for a pipe."
        raise HeadwaterError(message) from error


def analyse(
    batch: Sequence[Line],
    encoder: Encoder,
    handlers: Mapping[str, Handler[Embedded, Any]],
    tally: Tally,
) -> list[dict[str, Any]]:
    """A record a line, in order; one that fails says in which phase and why."""
    prepared = [
        line.raw if isinstance(line.raw, Failure) else prepare(line.raw, line.language)
        for line in batch
    ]
    texts = [text for text in prepared if isinstance(text, Text)]
    lengths = iter(encoder.lengths(texts))
    vectors = iter(encoder.infer(texts))
    answers = [text if isinstance(text, Failure) else next(vectors) for text in prepared]
    read = [
        Embedded(text, vector)
        for text, vector in zip(prepared, answers, strict=True)
        if isinstance(text, Text) and not isinstance(vector, Failure)
    ]
    found = {name: iter(handler.infer(read)) for name, handler in handlers.items()}
    records = []
    for line, text, answer in zip(batch, prepared, answers, strict=True):
        tokens = next(lengths) if isinstance(text, Text) else 0
        if isinstance(answer, Failure) or isinstance(text, Failure):
            failure = answer if isinstance(answer, Failure) else Failure("before", "")
            records.append({"line": line.number, "failed": failure.phase, "reason": failure.reason})
        else:
            one = {name: next(answers) for name, answers in found.items()}
            records.append(_record(line, text, one, tokens))
        _count(tally, records[-1], tokens)
    return records


def _record(line: Line, text: Text, found: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    record: dict[str, Any] = {"line": line.number, "language": text.language}
    notes = list(text.notes)
    for name, value in found.items():
        if isinstance(value, Failure):
            notes.append(f"no {name}: {value.reason}")
        elif isinstance(value, Emotions):
            record |= {name: value.weights, "valence": value.valence, "arousal": value.arousal}
        else:
            record[name] = value
    record["tokens"] = tokens
    return record | ({"notes": notes} if notes else {})


def _count(tally: Tally, record: Mapping[str, Any], tokens: int) -> None:
    tally.texts += 1
    tally.tokens += tokens
    tally.noted += "notes" in record
    if "failed" in record:
        tally.failed += 1
        tally.reasons[record["reason"]] = tally.reasons.get(record["reason"], 0) + 1


def _summarise(console: Console, tally: Tally, seconds: float, encoder: Encoder) -> None:
    rate = tally.texts / seconds if seconds else 0.0
    console.print(
        f"{tally.texts:,} texts, {tally.tokens:,} tokens in {seconds:,.1f} s ({rate:,.0f}/s) by "
        f"{encoder.space} on {encoder.device}; {tally.failed:,} failed, {tally.noted:,} with notes",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    for reason, count in sorted(tally.reasons.items(), key=lambda one: -one[1])[:3]:
        console.print(f"  {count:,} x {reason}", markup=False, highlight=False, soft_wrap=True)
