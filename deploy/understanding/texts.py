"""Texts from files and pipes: JSON records, plain lines, tables with a label."""

import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from deploy.errors import HeadwaterError
from deploy.replay.files import reading
from udfs.handler import Failure

BATCH_TEXTS = 256


class Line(Struct, frozen=True):
    """One line as it came.

    Attributes:
        number: The first is 1.
        raw: The text, or why there is none.
        language: What the record says.
    """

    number: int
    raw: str | bytes | Failure
    language: str | None = None


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Texts of a stream, one a line: a JSON object with `text`, or else the line itself."""
    for number, raw in enumerate(file, 1):
        if not raw.strip():
            continue
        is_json = raw.lstrip()[:1] == b"{"
        yield _record(number, raw) if is_json else Line(number, raw.rstrip(b"\r\n"))


def _record(number: int, raw: bytes) -> Line:
    # JSON is UTF-8; what is not becomes visible in the text, not a record that is lost.
    try:
        record = msgspec.json.decode(raw.decode("utf-8", "replace"))
    except msgspec.DecodeError as error:
        return Line(number, Failure("before", f"no JSON: {error}"))
    text = record.get("text")
    if not isinstance(text, str):
        found = "is missing" if text is None else f"is {type(text).__name__}"
        return Line(number, Failure("before", f"`text` {found}, and has to be a string"))
    language = record.get("language")
    return Line(number, text, language if isinstance(language, str) else None)


_End = BaseException | None
"""Why there are no more lines: None if that was all."""


def batches(lines: Iterable[Line], size: int = BATCH_TEXTS) -> Iterator[list[Line]]:
    """What has arrived, in batches: full ones from a file, whatever is there from a slow pipe."""
    arrived: queue.Queue[Line | _End] = queue.Queue(4 * size)
    threading.Thread(target=_pump, args=(lines, arrived), daemon=True).start()
    while True:
        batch = [arrived.get()]
        while isinstance(batch[-1], Line) and len(batch) < size and not arrived.empty():
            batch.append(arrived.get())
        whole = [line for line in batch if isinstance(line, Line)]
        if whole:
            yield whole
        end = batch[-1]
        if isinstance(end, BaseException):
            raise end
        if end is None:
            return


def _pump(lines: Iterable[Line], arrived: "queue.Queue[Line | _End]") -> None:
    end: _End = None
    try:
        for line in lines:
            arrived.put(line)
    except BaseException as error:
        end = error
    arrived.put(end)


class Labelled(Struct, frozen=True):
    """Texts and their labels, as long as each other."""

    texts: list[str]
    labels: list[str]


def read_labelled(path: Path, text: str, label: str) -> Labelled:
    """Texts with labels from a table or JSON lines, plain or gzip, where both are there.

    Args:
        path: `.jsonl`, `.csv` or `.tsv` (anything else is taken for tab-separated), also `.gz`.
        text: Column, or its number from 1 in a table without a header.
        label: Likewise.

    Raises:
        HeadwaterError: There is no such file or column.
    """
    if not path.is_file():
        message = f"No file {path}."
        raise HeadwaterError(message)
    with reading(path) as file:
        suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
        kind = suffixes[-1] if suffixes else ""
        if kind in {".jsonl", ".ndjson", ".json"}:
            rows = _json_rows(file, path)
        else:
            rows = _table_rows(file, path, "," if kind == ".csv" else "\t", (text, label))
        pairs = [(_cell(row, text, path), _cell(row, label, path)) for row in rows]
    kept = [(one, mark) for one, mark in pairs if one.strip() and mark.strip()]
    return Labelled([one for one, _ in kept], [mark for _, mark in kept])


def _table_rows(
    file: Iterable[str], path: Path, delimiter: str, wanted: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    import csv

    numbered = all(name.isdecimal() for name in wanted)
    # A quotation mark in a headline is a quotation mark; only CSV quotes its cells.
    quoted = delimiter == ","
    rows = csv.reader(
        file, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    )
    names: list[str] = [] if numbered else next(rows, [])
    try:
        for row in rows:
            header = names or [str(at + 1) for at in range(len(row))]
            yield dict(zip(header, row, strict=False))
    except csv.Error as error:
        message = f"{path}, line {rows.line_num}: {error}."
        raise HeadwaterError(message) from error


def _json_rows(file: Iterable[str], path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.DecodeError, UnicodeEncodeError) as error:
                message = f"{path}, line {number} is no JSON object: {error}."
                raise HeadwaterError(message) from error


def _cell(row: Mapping[str, Any], name: str, path: Path) -> str:
    value = row.get(name)
    if value is None:
        message = f"{path} has no column {name!r}; there are {', '.join(map(str, row)) or 'none'}."
        raise HeadwaterError(message)
    return str(value)
