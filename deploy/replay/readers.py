"""The way into data sets: tell what one is, read it, give its records in event order."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from deploy.replay.catalogue import Catalogue
from deploy.replay.formats import amazon, generic, movielens, netflix, taobao, yoochoose
from deploy.replay.identity import EventIds
from deploy.replay.loader import Loader
from deploy.replay.options import FORMATS, Format, Options
from deploy.replay.report import Report, SourceError
from deploy.replay.table import Table
from operators.events import Interaction, Item


class _Reader(NamedTuple):
    module: ModuleType
    recognise: Callable[[Path], bool]
    load: Callable[[Path, Loader], None]


# In the order they are asked in: the one that takes any text comes last.
_READERS: dict[Format, _Reader] = {
    "movielens": _Reader(movielens, movielens.recognise, movielens.load),
    "amazon": _Reader(amazon, amazon.recognise, amazon.load),
    "taobao": _Reader(taobao, taobao.recognise, taobao.load),
    "netflix": _Reader(netflix, netflix.recognise, netflix.load),
    "yoochoose": _Reader(yoochoose, yoochoose.recognise, yoochoose.load),
    "jsonl": _Reader(generic, generic.recognise_json, generic.load_json),
    "csv": _Reader(generic, generic.recognise_csv, generic.load_csv),
}
_OF_COLUMNS: tuple[Format, ...] = ("jsonl", "csv")


class Source:
    """A data set, read and sorted.

    Attributes:
        name: The format it was read as.
        report: Counts of what was read and what was not.
    """

    def __init__(
        self, table: Table, catalogue: Catalogue, report: Report, ids: EventIds, tenant: str
    ) -> None:
        self.name, self.report = report.name, report
        self._table, self._catalogue, self._ids, self._tenant = table, catalogue, ids, tenant

    def count(self, limit: int | None = None) -> int:
        """Give the number of events that `records` gives."""
        return len(self._table) if limit is None else min(limit, len(self._table))

    def last_ms(self, limit: int | None = None) -> int:
        """Give the time of the last event that `records` gives, of the first if there is none."""
        return self._table.time_at(max(0, self.count(limit) - 1))

    def records(self, limit: int | None = None, shift_ms: int = 0) -> Iterator[Interaction | Item]:
        """Give items and events by time, the same on every call.

        An item comes right before the first event that names it and has its time. Items of the
        catalogue that no event names come first, with the time of the first event.

        Args:
            limit: Stop before the event after so many.
            shift_ms: Added to all times; the ids of events stay what they are without it.
        """
        names = self._table.items.words()
        given = self._table.touched()
        first_ms = self.report.first_ms + shift_ms
        for code in (~given).nonzero()[0].tolist():
            yield self._catalogue.item(code, names[code], first_ms)
        given[:] = False
        for code, event in islice(self._table.events(self._ids, self._tenant, shift_ms), limit):
            if code >= 0 and not given[code]:
                given[code] = True
                yield self._catalogue.item(code, names[code], event.event_time)
            yield event


def detect(place: Path, options: Options | None = None) -> Format:
    """Tell the format of a file or folder by its content; mapped columns make it csv or jsonl.

    Raises:
        SourceError: If nothing is there, or nothing that any reader knows.
    """
    if not place.exists():
        msg = f"{place} does not exist; name a file or a folder"
        raise SourceError(msg)
    formats = _OF_COLUMNS if options and options.maps_columns else tuple(_READERS)
    found = next((name for name in formats if _READERS[name].recognise(place)), None)
    if found is None:
        msg = f"{place} holds no data set that is known; --format names one of {', '.join(FORMATS)}"
        raise SourceError(msg)
    return found


def open_source(
    place: Path,
    options: Options | None = None,
    on_rows: Callable[[int], object] | None = None,
    report: Report | None = None,
) -> Source:
    """Read a data set.

    Args:
        place: A file or folder, plain or gzip.
        options: How to read it.
        on_rows: Called now and then with the number of rows read so far.
        report: Filled while reading, also where that ends in an error.

    Raises:
        SourceError: If it cannot be read, has no usable event, or has a bad row while the options
            are strict.
    """
    options = options or Options()
    name = options.format or detect(place, options)
    if not place.exists():
        detect(place)
    reader = _READERS[name]
    report = report or Report(name=name)
    report.name, report.strict = name, options.strict
    ids = EventIds(reader.module.PREFIX, reader.module.USUAL)
    loader = Loader(options, report, ids, on_rows)
    with closing(loader.table):
        reader.load(place, loader)
        loader.finish(place)
    report.items = len(loader.table.items.words())
    return Source(loader.table, loader.catalogue, report, ids, options.tenant)
