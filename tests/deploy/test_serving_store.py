"""Rows of the driver as structs."""

from collections import namedtuple
from datetime import datetime

import pytest

from deploy.serving.store import ItemFacts, Store, StoreError, Weighted, opened
from jobs.settings import Cassandra
from operators.packing import item_key
from operators.seen import build

Udt = namedtuple("Udt", "item_id score item_score source seed reason propensity")
NOON = datetime(2023, 11, 14, 22, 13, 20, 123_000)  # noqa: DTZ001 - as the driver gives it


class Row:
    def __init__(self, **columns):
        self.__dict__.update(columns)


class Session:
    """Answers a prepared statement by the table it reads."""

    def __init__(self, **rows):
        self.rows, self.asked = rows, []

    def prepare(self, cql):
        return cql

    def execute(self, cql, values=()):
        self.asked.append((cql, tuple(values)))
        table = cql.split(" FROM ks.")[1].split()[0]
        return Result(self.rows.get(table, []))


class Result(list):
    def one(self):
        return self[0] if self else None


def listed(**changes):
    row = {
        "items": [Udt("i1", 1.5, 0.5, "co_occurrence", "i0", "Because of i0", 1.0)],
        "generation": 3,
        "as_of": NOON,
        "model": "m",
        "variant": "v",
        "fallback": None,
        "seen": bytes(build([item_key("i0")], 1)),
    }
    return Row(**(row | changes))


def test_a_users_row_comes_with_its_list_and_the_filter_of_what_the_user_knows():
    session = Session(recommendations=[listed()])
    found = Store(session, "ks").user_list("t", "u", "home")
    (one,) = found.stored.items
    assert (one.item_id, one.score, one.item_score, one.seed) == ("i1", 1.5, 0.5, "i0")
    assert (found.stored.generation, found.stored.model, found.variant) == (3, "m", "v")
    assert found.stored.as_of_ms == 1_700_000_000_123
    assert "i0" in found.seen
    assert "i1" not in found.seen
    assert session.asked[-1][1] == ("t", "u", "home")


def test_columns_that_were_never_written_are_empty():
    row = listed(items=None, generation=None, model=None, variant=None, seen=None)
    found = Store(Session(recommendations=[row]), "ks").user_list("t", "u", "home")
    assert list(found.stored.items) == []
    assert (found.stored.generation, found.stored.model, found.variant) == (0, "", "")
    assert "anything" not in found.seen


def test_what_is_not_there_is_none():
    store = Store(Session(), "ks")
    assert store.user_list("t", "u", "home") is None
    assert store.trending("t", "all") is None
    assert store.similar("t", "i") is None
    assert store.profile("t", "u") is None
    assert not store.knows("t", "u")


def test_a_user_is_known_by_a_list_of_any_surface_or_by_a_profile():
    assert Store(Session(recommendations=[Row(surface="mail")]), "ks").knows("t", "u")
    profile = Row(interests=None, tags=None, mood=None, counts={}, recent=None, as_of=NOON)
    assert Store(Session(profiles=[profile]), "ks").knows("t", "u")


def test_segments_are_those_of_the_tenant():
    rows = [
        Row(tenant="t", segment="b"),
        Row(tenant="x", segment="c"),
        Row(tenant="t", segment="a"),
    ]
    assert Store(Session(trending=rows), "ks").segments("t") == ["a", "b"]


def test_a_profile_is_read_with_what_may_be_missing():
    Word = namedtuple("Word", "name weight item_id")
    row = Row(
        interests=[Word("jazz", 0.5, "i1")],
        tags=None,
        mood=None,
        counts={"view": 3},
        recent=["i1"],
        as_of=NOON,
    )
    found = Store(Session(profiles=[row]), "ks").profile("t", "u")
    assert found.interests == [Weighted("jazz", 0.5, item_id="i1")]
    assert (found.tags, found.mood, found.counts, found.recent) == ([], {}, {"view": 3}, ["i1"])


def test_titles_are_asked_for_once_an_item(monkeypatch):
    rows = {"i1": [Row(title="One", available=None)], "i2": [Row(title="", available=False)]}
    asked = []

    def all_at_once(session, statement, values, concurrency):
        asked.extend(values)
        return [(True, Result(rows.get(item, []))) for _, item in values]

    monkeypatch.setattr("cassandra.concurrent.execute_concurrent_with_args", all_at_once)
    found = Store(Session(), "ks").items("t", ["i1", "i2", "i1", "nothing"])
    assert asked == [("t", "i1"), ("t", "i2"), ("t", "nothing")]
    assert found == {"i1": ItemFacts("One"), "i2": ItemFacts("i2", available=False)}


def test_no_cassandra_says_where_and_what_to_do():
    nowhere = Cassandra(hosts=["127.0.0.1"], port=1)
    with (
        pytest.raises(StoreError, match=r"answers at 127\.0\.0\.1:1 .*: start one"),
        opened(nowhere),
    ):
        pass
