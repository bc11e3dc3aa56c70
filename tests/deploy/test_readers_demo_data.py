"""The data set of the demo, as it lies in the project."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

import deploy
from deploy.replay.options import Options
from deploy.replay.readers import Source, open_source
from operators.events import Interaction, Item

FOLDER = Path(deploy.__file__).parent / "demo" / "ml-latest-small"


def ms(*day_and_time: int) -> int:
    return int(datetime(*day_and_time, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture(scope="module")
def source() -> Source:
    return open_source(FOLDER)


def test_it_has_the_counts_and_dates_its_readme_gives(source: Source):
    report = source.report
    assert (report.events, report.items, report.users) == (100_836, 9_742, 610)
    assert (report.skipped, report.duplicates) == (0, 0)
    assert report.first_ms == ms(1996, 3, 29, 18, 36, 55)
    assert report.last_ms == ms(2018, 9, 24, 14, 27, 30)


def test_its_records_are_sorted_complete_and_with_unique_ids(source: Source):
    records = list(source.records())
    assert Counter(map(type, records)) == {Interaction: 100_836, Item: 9_742}
    times = [record.event_time for record in records]
    assert times == sorted(times)
    assert len({r.event_id for r in records if isinstance(r, Interaction)}) == 100_836
    assert len({r.item_id for r in records if isinstance(r, Item)}) == 9_742


def test_the_eighteen_films_nobody_rated_come_first(source: Source):
    records = source.records()
    first = [next(records) for _ in range(19)]
    assert all(isinstance(record, Item) for record in first)
    rated = {e.item_id for e in source.records() if isinstance(e, Interaction)}
    assert [record.item_id in rated for record in first] == [False] * 18 + [True]


def test_its_tags_are_there_for_who_wants_them():
    report = open_source(FOLDER, Options(tags=True)).report
    assert (report.events, report.duplicates) == (100_836 + 3_683, 0)


def test_its_terms_of_use_and_its_origin_lie_beside_it():
    assert "F. Maxwell Harper" in (FOLDER / "README.txt").read_text()
    assert "grouplens.org" in (FOLDER / "NOTICE").read_text()
