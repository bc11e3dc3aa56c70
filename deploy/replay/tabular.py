"""Rows of CSV or of JSON lines by the name of the column, and what their cells say."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from deploy.replay.catalogue import Info
from deploy.replay.files import Delimited, head, is_json, json_records, plain_name
from deploy.replay.options import ITEM_LISTS, ITEM_TEXTS, Options
from deploy.replay.report import Report, SourceError

_CSV_ENDS, _JSON_ENDS = (".csv", ".tsv", ".txt"), (".json", ".jsonl", ".ndjson")
_DELIMITERS = ("\t", ";", "|", ",")
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_ARRAY = re.compile(r"\[\s*(\{.*)?$")
_NAMES_SHOWN = 40


class Rows(Struct, frozen=True):
    """Rows of one file.

    Attributes:
        lines: Their lines.
        names: The columns there are.
        cells: Gives the cells of a column, None for cells there are none of.
    """

    lines: Sequence[int]
    names: Sequence[str]
    cells: Callable[[str], Sequence[Any]]

    def has(self, column: str) -> bool:
        """Whether any row has something in the column."""
        return column in self.names or any(cell is not None for cell in self.cells(column))

    def refuse_missing(self, file: Path, columns: Sequence[str], option: str) -> None:
        """Complain about columns that are not there, and name the option that maps them.

        Raises:
            SourceError: Names the missing ones and those there are.
        """
        if missing := [column for column in columns if not self.has(column)]:
            msg = (
                f"{file} has no column {', '.join(f'`{name}`' for name in missing)}; "
                f"it has {', '.join(f'`{name}`' for name in self.names[:_NAMES_SHOWN])}; "
                f"{option} FIELD=COLUMN names the column of a field"
            )
            raise SourceError(msg)


def find_table(place: Path, *, json: bool) -> Path | None:
    """Give the file, or the only file of the kind in a folder.

    Raises:
        SourceError: If the folder has several.
    """
    if place.is_file():
        return place
    ends = _JSON_ENDS if json else _CSV_ENDS
    found = sorted(f for f in place.iterdir() if f.is_file() and plain_name(f).endswith(ends))
    if len(found) > 1:
        msg = f"{place} has {', '.join(f.name for f in found)}; name one of the files"
        raise SourceError(msg)
    return found[0] if found else None


def read_json(file: Path, report: Report, encoding: str) -> Iterator[Rows]:
    """Give the rows of JSON lines; `a.b` is the value of `b` in the object `a`."""
    if not is_json(head(file)):
        first = (head(file) or [""])[0][:80]
        msg = f"{file} begins with {first!r}; JSON lines have an object on every line"
        raise SourceError(msg)
    decoder = msgspec.json.Decoder(dict[str, Any])
    for chunk in json_records(file, report, decoder, encoding):
        records = chunk.records
        names = list(dict.fromkeys(name for record in records for name in record))
        yield Rows(chunk.lines, names, partial(_column_of, records))


def read_csv(
    file: Path, report: Report, *, delimiter: str | None, header: bool, encoding: str
) -> Iterator[Rows]:
    """Give the rows of CSV; without a header the columns are called `0`, `1` and so on."""
    first = (head(file) or [""])[0]
    if _ARRAY.match(first):
        msg = f"{file} is a JSON array; write it as JSON lines, an object a line"
        raise SourceError(msg)
    table = Delimited(
        file,
        report,
        delimiter=delimiter or max(_DELIMITERS, key=first.count),
        columns=None if header else (),
        encoding=encoding,
    )
    for chunk in table.chunks():
        columns = dict(zip(table.columns, chunk.columns, strict=True))
        absent = (None,) * len(chunk.lines)
        yield Rows(chunk.lines, table.columns, partial(_cells_of, columns, absent))


def _cells_of(columns: dict[str, Sequence[Any]], absent: Sequence[Any], name: str) -> Sequence[Any]:
    return columns.get(name, absent)


def _column_of(records: list[dict[str, Any]], path: str) -> Sequence[Any]:
    return [_at(record, path) for record in records]


def _at(record: dict[str, Any], path: str) -> Any:
    if path in record:
        return record[path]
    head_name, _, rest = path.partition(".")
    inner = record.get(head_name)
    return _at(inner, rest) if rest and isinstance(inner, dict) else None


def word(cell: Any) -> str:
    """Give an id or a text; empty for none.

    >>> word(None), word(12), word("a b")
    ('', '12', 'a b')

    Raises:
        ValueError: If the cell is neither a text nor a number.
    """
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return str(cell)
    msg = f"{cell!r} is neither a text nor a number"
    raise ValueError(msg)


def truth(cell: Any) -> bool:
    """Give a yes or no; true, 1, yes and their opposites are known.

    Raises:
        ValueError: If it is something else.
    """
    known = _TRUTH.get(str(cell).strip().lower())
    if known is None:
        msg = f"{cell!r} is neither of {', '.join(_TRUTH)}"
        raise ValueError(msg)
    return known


def item_info(cells: dict[str, Any], options: Options) -> Info:
    """Give the fields of an item from its cells, by field; empty cells say nothing.

    Raises:
        ValueError: If a cell cannot be what its field is.
    """
    info: Info = {}
    for name, cell in cells.items():
        if cell is None or cell == "":
            continue
        if name in ITEM_LISTS:
            parts = cell if isinstance(cell, list) else word(cell).split(options.list_separator)
            info[name] = [part for part in (word(p).strip() for p in parts) if part]
        elif name == "price":
            info[name] = _price(cell)
        elif name in ITEM_TEXTS or name == "language":
            info[name] = word(cell)
    return info


def _price(cell: Any) -> float:
    try:
        return float(cell)
    except (ValueError, TypeError) as error:
        msg = f"`price` is {cell!r}; a number is expected"
        raise ValueError(msg) from error
