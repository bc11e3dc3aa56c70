"""Text files, plain or gzip, as chunks of columns or of JSON records, with line numbers."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar

import msgspec
from msgspec import Struct

from deploy.replay.report import Report, SourceError

CHUNK_ROWS = 10_000
HEAD_LINES = 5

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_LINE_END = re.compile(r"\r\n|\r|\n")
_R = TypeVar("_R")


class Chunk(Struct, frozen=True):
    """Rows of one file, column by column.

    Attributes:
        lines: The line of each row, the first is 1.
        columns: One sequence of cells a column, all as long as `lines`.
    """

    lines: Sequence[int]
    columns: list[Sequence[str]]


class Records(Struct, Generic[_R], frozen=True):
    """JSON records of one file with the line of each."""

    lines: list[int]
    records: list[_R]


@contextmanager
def reading(path: Path, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Open a text file, unpacked if it is gzip, whatever its name.

    Bytes that are not text become lone surrogates: the row that holds them is refused later, with
    its line, and the others are read.

    Raises:
        SourceError: If the file cannot be read to its end.
    """
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            if magic == _ZIP:
                msg = f"{path} is a zip archive; unpack it first, or compress it with gzip"
                raise SourceError(msg)
            binary = gzip.GzipFile(fileobj=raw) if magic[:2] == _GZIP else raw
            with io.TextIOWrapper(binary, encoding, "surrogateescape", newline="") as text:
                yield text
    except csv.Error as error:
        msg = f"{path}: {error}; if quotes are never closed in it, it is not CSV"
        raise SourceError(msg) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise SourceError(msg) from error


def head(path: Path) -> list[str]:
    """Give the first lines of a file without their ends, at most `HEAD_LINES`, none if empty."""
    with reading(path) as text:
        return [line.rstrip("\r\n") for line in islice(text, HEAD_LINES)]


def find(place: Path, *names: str) -> Path | None:
    """Look in a folder, or beside a file, for the first of the names, with or without `.gz`."""
    folder = place if place.is_dir() else place.parent
    candidates = (folder / (name + end) for name in names for end in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def plain_name(path: Path) -> str:
    """Give a file's name in lower case without `.gz`."""
    return path.name.lower().removesuffix(".gz")


class Delimited:
    """A file of rows and columns.

    Attributes:
        path: The file.
        columns: Names of its columns.
    """

    def __init__(
        self,
        path: Path,
        report: Report,
        *,
        delimiter: str = ",",
        quoted: bool = True,
        columns: Sequence[str] | None = None,
        encoding: str = "utf-8",
    ) -> None:
        """Read the names of the columns.

        Args:
            path: The file.
            report: Where rows of another width than the columns are counted.
            delimiter: Between columns; with more than one character nothing is quoted.
            quoted: Whether cells may be in double quotes, as in CSV.
            columns: Names, for a file whose first line is a row; empty means `0`, `1` and so on.
            encoding: Of the text.

        Raises:
            SourceError: If the file is empty or cannot be read.
        """
        self.path, self._report = path, report
        self._delimiter, self._quoted, self._encoding = delimiter, quoted, encoding
        self._header = columns is None
        with reading(path, encoding) as text:
            first = next((row for row in self._rows(text) if any(row)), None)
        if first is None:
            msg = f"{path} is empty"
            raise SourceError(msg)
        names = first if columns is None else columns or [str(i) for i in range(len(first))]
        self.columns: list[str] = [name.strip() for name in names]

    def require(self, *names: str) -> list[int]:
        """Give the places of the columns.

        Raises:
            SourceError: If some are missing; names them and the present ones.
        """
        if missing := [name for name in names if name not in self.columns]:
            msg = (
                f"{self.path} has no column {', '.join(f'`{name}`' for name in missing)}; "
                f"it has {', '.join(f'`{name}`' for name in self.columns)}"
            )
            raise SourceError(msg)
        return [self.columns.index(name) for name in names]

    def chunks(self) -> Iterator[Chunk]:
        """Give the rows in file order; blank lines are none, rows of another width are reported."""
        with reading(self.path, self._encoding) as text:
            rows, line = self._rows(text), 1
            if self._header:
                above = next(i for i, row in enumerate(rows) if any(row))
                line = 1 + getattr(rows, "line_num", above + 1)
            while raw := list(islice(rows, CHUNK_ROWS)):
                # Only the CSV reader can join lines, and it counts them.
                last = getattr(rows, "line_num", line - 1 + len(raw))
                lines, kept = self._regular(_starts(raw, line, last), raw)
                line = last + 1
                if kept:
                    yield Chunk(lines, list(zip(*kept, strict=True)))

    def _rows(self, text: TextIO) -> Iterator[list[str]]:
        if len(self._delimiter) > 1:
            return (line.rstrip("\r\n").split(self._delimiter) for line in text)
        if self._quoted:
            return csv.reader(text, delimiter=self._delimiter)
        return csv.reader(text, delimiter=self._delimiter, quoting=csv.QUOTE_NONE)

    def _regular(
        self, lines: Sequence[int], rows: list[list[str]]
    ) -> tuple[Sequence[int], list[list[str]]]:
        width = len(self.columns)
        if set(map(len, rows)) == {width}:
            return lines, rows
        kept: list[tuple[int, list[str]]] = []
        for line, row in zip(lines, rows, strict=True):
            if len(row) == width:
                kept.append((line, row))
            elif any(row):
                reason = f"the row has {len(row)} columns; {width} are expected"
                self._report.skip(self.path, line, reason)
        return [line for line, _ in kept], [row for _, row in kept]


def _starts(rows: list[list[str]], first: int, last: int) -> Sequence[int]:
    """Give the line on which each row begins; together they fill the lines `first` to `last`."""
    if len(rows) == last - first + 1:
        return range(first, last + 1)
    heights = (1 + sum(len(_LINE_END.findall(cell)) for cell in row) for row in rows)
    return list(accumulate(heights, initial=first))[:-1]


def json_records(
    path: Path, report: Report, decoder: msgspec.json.Decoder[_R], encoding: str = "utf-8"
) -> Iterator[Records[_R]]:
    """Give the records of a file of JSON lines in chunks; lines that are none are reported."""
    with reading(path, encoding) as text:
        numbered = enumerate(text, 1)
        while batch := list(islice(numbered, CHUNK_ROWS)):
            lines, records = [], []
            for line, raw in batch:
                try:
                    record = decoder.decode(raw)
                except (msgspec.DecodeError, UnicodeError) as error:
                    if raw.strip():
                        report.skip(path, line, f"not the JSON object it should be: {error}")
                    continue
                lines.append(line)
                records.append(record)
            yield Records(lines, records)


def is_json(lines: Iterable[str]) -> bool:
    """Whether the first line that is not blank is a JSON object."""
    first: Any = next((line for line in lines if line.strip()), "")
    try:
        return isinstance(msgspec.json.decode(first), dict)
    except (msgspec.DecodeError, UnicodeError):
        return False
