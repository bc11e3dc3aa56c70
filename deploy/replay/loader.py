"""What a format is given to put its rows into."""

from collections.abc import Callable
from pathlib import Path

from deploy.replay.batch import Batch, check
from deploy.replay.catalogue import Catalogue, Info
from deploy.replay.identity import EventIds
from deploy.replay.options import Options
from deploy.replay.report import Report, SourceError
from deploy.replay.table import Table


class Loader:
    """Collects the rows of a data set.

    Attributes:
        options: How the data set is to be read.
        report: What was read so far.
        table: The events.
        catalogue: The items.
    """

    def __init__(
        self,
        options: Options,
        report: Report,
        ids: EventIds,
        on_rows: Callable[[int], object] | None = None,
    ) -> None:
        """Begin empty; `on_rows` hears the number of rows read so far, now and then."""
        self.options, self.report, self._ids, self._on_rows = options, report, ids, on_rows
        self.table = Table()
        self.catalogue = Catalogue(self.table.items, options.tenant)

    def add(self, batch: Batch, describe: Callable[[int], Info | None] | None = None) -> None:
        """Check rows of events and keep the good ones.

        Args:
            batch: The rows.
            describe: Tells what the row at a place says about its item, None for nothing; the
                first row of a file that says something counts.
        """
        checked = check(batch, self._ids, self.options, self.report)
        self.table.append(checked)
        if describe and batch.items:
            for row in checked.rows:
                item = batch.items[row]
                if item and item not in self.catalogue:
                    self._describe(item, describe, batch, row)
        if self._on_rows:
            self._on_rows(len(self.table) + self.report.skipped)

    def _describe(
        self, item: str, describe: Callable[[int], Info | None], batch: Batch, row: int
    ) -> None:
        try:
            info = describe(row)
        except ValueError as error:
            reason = f"the event is kept, what is said about the item is not: {error}"
            self.report.skip(batch.file, batch.lines[row], reason)
            return
        if info is not None:
            self.add_item(item, info, batch.file, batch.lines[row])

    def add_item(self, item_id: str, info: Info, file: Path, line: int) -> None:
        """Check what is said about an item and keep it if it keeps the contract."""
        self.catalogue.add(item_id, info, file, line, self.report)

    def finish(self, place: Path) -> None:
        """Sort the events and complete the report.

        Raises:
            SourceError: If there are no events.
        """
        table, report = self.table, self.report
        report.duplicates = table.finish()
        if not len(table):
            found = f"; {report.samples[0]}" if report.samples else ""
            msg = f"{place} holds no usable event ({report.skipped} rows skipped){found}"
            raise SourceError(msg)
        report.events, report.reordered = len(table), not table.in_order
        report.users, report.sessions = len(table.users.words()), table.anonymous_sessions()
        report.first_ms, report.last_ms = int(table.times.min()), int(table.times.max())
        if report.last_ms < YEAR_1990_MS:
            report.notes.append("all times lie before 1990; is the time unit right?")


YEAR_1990_MS = 631_152_000_000
"""Recorded behaviour is younger; seconds read as milliseconds end up in 1970."""
