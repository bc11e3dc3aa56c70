"""What a data set says about items, held against the wire contract."""

from pathlib import Path
from typing import Any

import msgspec

from deploy.replay.columns import Vocabulary
from deploy.replay.report import Report
from operators.events import Border, Item, Rejected, parse_item

Info = dict[str, Any]
"""Fields of an item by name, without its id, time and tenant."""

_BORDER = Border()
_ALWAYS_MS = 2**53


class Catalogue:
    """Items by code; an item of which nothing is known has its id as its title."""

    def __init__(self, items: Vocabulary, tenant: str) -> None:
        """Share the codes of items with the table of events."""
        self._items, self._tenant = items, tenant
        self._infos: dict[int, Info] = {}

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items and self._items[item_id] in self._infos

    def add(self, item_id: str, info: Info, file: Path, line: int, report: Report) -> None:
        """Keep what is known of an item; bad rows and second rows of an item are reported."""
        if item_id in self:
            report.skip(file, line, f"item {item_id!r} has a row already, and the first one counts")
        elif reason := self._broken(item_id, info):
            report.skip(file, line, reason)
        else:
            self._infos[self._items[item_id]] = info

    def item(self, code: int, item_id: str, time_ms: int) -> Item:
        """Make the record of an item."""
        info: Info = {"title": item_id} | self._infos.get(code, {})
        return Item(item_id=item_id, event_time=time_ms, tenant=self._tenant, **info)

    def _broken(self, item_id: str, info: Info) -> str | None:
        try:
            fields = {"title": item_id, "item_id": item_id, "event_time": 0, "tenant": self._tenant}
            raw = msgspec.json.encode(fields | info)
        except UnicodeEncodeError as error:
            return str(error)
        parsed = parse_item(raw, _ALWAYS_MS, _BORDER)
        return parsed.reason if isinstance(parsed, Rejected) else None
