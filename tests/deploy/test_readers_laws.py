"""Laws of every reading: sorted, nothing lost, items first, ids one to one, chunks do not show."""

import csv
import tempfile
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.replay import files
from deploy.replay.options import Options
from deploy.replay.readers import open_source
from operators.events import Interaction, Item

IDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1, max_size=6)
ROWS = st.lists(
    st.tuples(IDS, IDS, st.integers(0, 9), st.sampled_from(["view", "click", "buy?"])),
    min_size=1,
    max_size=40,
)
OPTIONS = Options(
    map={"user_id": "0", "item_id": "1", "event_time": "2", "action": "3"},
    header=False,
    delimiter=",",
)


def reading(rows, chunk_rows=files.CHUNK_ROWS):
    """The records and the report of rows written as CSV."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([*rows, ("u", "i", 0, "view")])
        with patch.object(files, "CHUNK_ROWS", chunk_rows):
            source = open_source(path, OPTIONS)
        return list(source.records()), source.report


@settings(deadline=None)
@given(ROWS)
def test_events_are_sorted_and_none_is_lost(rows):
    records, report = reading(rows)
    good = [row for row in [*rows, ("u", "i", 0, "view")] if row[3] != "buy?"]
    expected = sorted(good, key=lambda row: row[2])
    events = [record for record in records if isinstance(record, Interaction)]
    assert [(e.user_id, e.item_id, e.event_time // 1000, e.action) for e in events] == expected
    assert (report.events, report.skipped) == (len(good), len(rows) + 1 - len(good))


@settings(deadline=None)
@given(ROWS)
def test_every_item_comes_once_before_its_events_and_times_never_fall(rows):
    records, report = reading(rows)
    known: set[str] = set()
    for record in records:
        if isinstance(record, Item):
            assert record.item_id not in known
            known.add(record.item_id)
        else:
            assert record.item_id in known
    times = [record.event_time for record in records]
    assert times == sorted(times)
    assert len(known) == report.items


@settings(deadline=None)
@given(ROWS)
def test_ids_are_equal_exactly_where_user_item_action_and_time_are(rows):
    records, report = reading(rows)
    events = [record for record in records if isinstance(record, Interaction)]
    contents = {(e.user_id, e.item_id, e.action, e.event_time) for e in events}
    ids = {event.event_id for event in events}
    assert len(contents) == len(ids) == len(events) - report.duplicates


@settings(deadline=None)
@given(ROWS, st.integers(1, 5))
def test_the_size_of_chunks_does_not_show(rows, chunk_rows):
    assert reading(rows, chunk_rows) == reading(rows)
