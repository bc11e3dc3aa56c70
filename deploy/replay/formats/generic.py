"""CSV and JSON lines of any origin, their columns mapped to the fields of events and items.

A column that is named like a field is that field; `Options.map` names the others. What a row says
about its item (title, categories, price and so on) counts the first time; a catalogue may also
come in a file of its own (`Options.items`).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from deploy.replay.batch import Batch
from deploy.replay.catalogue import Info
from deploy.replay.columns import Bad
from deploy.replay.files import head, is_json
from deploy.replay.identity import Extra
from deploy.replay.loader import Loader
from deploy.replay.options import EXTRA_FIELDS, ITEM_FIELDS, ItemFile, Options
from deploy.replay.report import SourceError
from deploy.replay.tabular import (
    Rows,
    find_table,
    item_info,
    read_csv,
    read_json,
    truth,
    word,
)
from operators.events import Action

PREFIX: Final = "ev"
USUAL: Final[Action | None] = None

_NEEDS_VALUE = {"rating", "dwell", "satisfaction"}
_NEEDS_TEXT = {"search", "comment"}
_NEEDS_NO_ITEM = {"search", "satisfaction"}
_OTHER_KINDS = ("impression", "user", "erase")
_Context = dict[str, str | int | float | bool | None]


def recognise_json(place: Path) -> bool:
    """Whether the file, or the only such file of the folder, begins with a JSON object."""
    file = find_table(place, json=True)
    return file is not None and is_json(head(file))


def recognise_csv(place: Path) -> bool:
    """Whether there is one file that may hold columns; any text may."""
    return find_table(place, json=False) is not None


def load_json(place: Path, loader: Loader) -> None:
    """Read JSON lines.

    Raises:
        SourceError: If the file cannot be read, or fields are in no column.
    """
    file = _found(place, json=True)
    _load(file, read_json(file, loader.report, loader.options.encoding), loader)


def load_csv(place: Path, loader: Loader) -> None:
    """Read CSV.

    Raises:
        SourceError: If the file cannot be read, or fields are in no column.
    """
    file, options = _found(place, json=False), loader.options
    rows = read_csv(
        file,
        loader.report,
        delimiter=options.delimiter,
        header=options.header,
        encoding=options.encoding,
    )
    _load(file, rows, loader)


def _found(place: Path, *, json: bool) -> Path:
    file = find_table(place, json=json)
    if file is None:
        msg = f"{place} has no {'JSON lines' if json else 'CSV'} file"
        raise SourceError(msg)
    return file


def _load(file: Path, chunks: Iterator[Rows], loader: Loader) -> None:
    options = loader.options
    if options.items:
        _load_items(options.items, loader)
    is_first = True
    for rows in chunks:
        if is_first:
            rows.refuse_missing(file, _needed(rows, options), "--map")
            is_first = False
        _add(file, rows, loader)


def _needed(rows: Rows, options: Options) -> list[str]:
    """Give the columns without which no row can be an event, and all that were asked for."""
    needed = dict.fromkeys(options.map.values())

    def need(field: str) -> None:
        needed[options.map.get(field, field)] = None

    if not options.file_order:
        need("event_time")
    if not any(rows.has(options.map.get(name, name)) for name in ("user_id", "session_id")):
        need("user_id")
    if options.action is None:
        need("action")
    elif options.action not in _NEEDS_NO_ITEM:
        need("item_id")
    if options.action in _NEEDS_VALUE:
        need("value")
    if options.action in _NEEDS_TEXT:
        need("text")
    return list(needed)


def _add(file: Path, rows: Rows, loader: Loader) -> None:
    options, bad = loader.options, dict[int, str]()

    def cells(field: str) -> Sequence[Any]:
        return rows.cells(options.map.get(field, field))

    def words(field: str) -> list[str]:
        return _parsed(field, cells(field), word, bad, "")

    for row, kind in enumerate(rows.cells("kind")):
        if kind in _OTHER_KINDS:
            bad[row] = f"the record is of kind `{kind}`; only interactions are read"
    batch = Batch(
        file=file,
        lines=rows.lines,
        times=_file_times(rows) if options.file_order else cells("event_time"),
        time_unit="s" if options.file_order else options.time_unit,
        actions=options.action or [options.actions.get(w, w) for w in words("action")],
        users=words("user_id"),
        sessions=words("session_id"),
        items=words("item_id"),
        values=cells("value"),
        extras=_extras(cells, bad),
        bad=bad,
    )
    described = {name: cells(name) for name in ITEM_FIELDS}
    described = {name: of for name, of in described.items() if any(cell is not None for cell in of)}

    def describe(row: int) -> Info | None:
        return item_info({name: of[row] for name, of in described.items()}, options) or None

    loader.add(batch, describe if described else None)


FILE_START_S = 946_684_800
"""Time of the row before the first of a file without times: the year 2000."""


def _file_times(rows: Rows) -> list[float]:
    return [FILE_START_S + line for line in rows.lines]


def _parsed(
    field: str, cells: Sequence[Any], parse: Callable[[Any], Any], bad: Bad, default: Any
) -> list[Any]:
    parsed = []
    for row, cell in enumerate(cells):
        try:
            parsed.append(parse(cell))
        except ValueError as error:
            bad.setdefault(row, f"`{field}`: {error}")
            parsed.append(default)
    return parsed


def _extras(cells: Callable[[str], Sequence[Any]], bad: Bad) -> list[Extra] | None:
    """Give the free fields of each row, those that are empty left out."""
    columns: dict[str, list[Any]] = {}
    for name in EXTRA_FIELDS:
        found = [cell if cell != "" else None for cell in cells(name)]
        if any(cell is not None for cell in found):
            columns[name] = _parsed(name, found, _EXTRA_PARSERS.get(name, word), bad, None)
    if not columns:
        return None
    return [
        {name: cell for name, cell in zip(columns, row, strict=True) if cell not in (None, "")}
        for row in zip(*columns.values(), strict=True)
    ]


def _consent(cell: Any) -> bool | None:
    return None if cell is None else truth(cell)


def _context(cell: Any) -> dict[str, Any] | None:
    if cell is None:
        return None
    if isinstance(cell, str):
        return msgspec.json.decode(cell, type=_Context)
    return msgspec.convert(cell, _Context)


_EXTRA_PARSERS: dict[str, Callable[[Any], Any]] = {"consent": _consent, "context": _context}


def _load_items(source: ItemFile, loader: Loader) -> None:
    file, options = Path(source.file), loader.options
    if is_json(head(file)):
        chunks = read_json(file, loader.report, options.encoding)
    else:
        chunks = read_csv(
            file,
            loader.report,
            delimiter=source.delimiter,
            header=source.header,
            encoding=options.encoding,
        )
    is_first = True
    for rows in chunks:
        if is_first:
            wanted = dict.fromkeys((source.map.get("item_id", "item_id"), *source.map.values()))
            rows.refuse_missing(file, list(wanted), "--map-item")
            is_first = False
        columns = {
            n: rows.cells(source.map.get(n, n)) for n in ("item_id", *ITEM_FIELDS, "language")
        }
        for line, item_id, *cells in zip(rows.lines, *columns.values(), strict=True):
            described = dict(zip(list(columns)[1:], cells, strict=True))
            try:
                info = item_info(described, options)
                loader.add_item(word(item_id), info, file, line)
            except ValueError as error:
                loader.report.skip(file, line, str(error))
