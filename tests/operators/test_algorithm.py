"""The stages together against the algorithm written down a second time, and its laws."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings

from operators.messages import SOURCES
from operators.parameters import HistorySettings
from operators.results import ListRow, ProfileRow
from tests.builders import event, listing
from tests.graph import Graph
from tests.oracle import Oracle
from tests.strategies import ITEMS, USERS, streams

CF = SOURCES.index("co_occurrence")


def co_occurring(row: ListRow) -> list[tuple[str, float]]:
    scores = np.frombuffer(row.scores, "<f4").tolist()
    return [
        (item, score)
        for item, score, source in zip(row.ids, scores, row.sources, strict=True)
        if source == CF
    ]


@given(streams(max_size=80))
@settings(max_examples=60, deadline=None)
def test_lists_are_those_of_the_oracle_after_every_event(records):
    # The oracle of the published algorithm asks for nothing when somebody comes back.
    graph, oracle = Graph(history=HistorySettings(rebuild_after_ms=0)), Oracle()
    graph.run_all(record for record in records if not hasattr(record, "action"))
    lists: dict[str, ListRow] = {}
    for one in records:
        if not hasattr(one, "action"):
            continue
        for out in graph.run([one])["rows"]:
            if isinstance(out.message, ListRow):
                lists[out.message.user] = out.message
        oracle.act(one.user_id, one.item_id, one.action, one.value)
        want = oracle.ranked(one.user_id)
        got = co_occurring(lists[one.user_id]) if one.user_id in lists else []
        # 4 * sqrt(main / largest) is the score at the starting weights
        top = want[0][1] if want else 1.0
        assert [score for _, score in got] == pytest.approx(
            [4 * (main / top) ** 0.5 for _, main in want], rel=1e-4
        )
        assert {item for item, _ in got} == {item for item, _ in want}
        for item, score in got:
            assert score == pytest.approx(4 * (dict(want)[item] / top) ** 0.5, rel=1e-4)


@given(streams())
@settings(max_examples=40, deadline=None)
def test_no_list_ever_holds_a_seen_or_refused_item(records):
    graph, touched = Graph(), defaultdict(set)
    for start in range(0, len(records), 3):
        window = records[start : start + 3]
        for one in window:
            if hasattr(one, "action"):
                touched[one.user_id].add(one.item_id)
        for out in graph.run(window)["rows"]:
            if isinstance(out.message, ListRow):
                assert not touched[out.message.user] & set(out.message.ids)
                assert len(set(out.message.ids)) == len(out.message.ids)


@given(streams())
@settings(max_examples=20, deadline=None)
def test_the_order_inside_a_window_does_not_matter(records):
    one, other = Graph(), Graph()
    for start in range(0, len(records), 8):
        window = records[start : start + 8]
        assert one.run(window)["rows"] == other.run(window[::-1])["rows"]
    for name in one.state:
        for table in vars(one.state[name]):
            assert getattr(one.state[name], table).data == getattr(other.state[name], table).data


def test_an_unavailable_item_leaves_all_lists_with_its_record_and_comes_back():
    graph = Graph()
    graph.run_all(listing(item) for item in ITEMS)
    graph.run_all(event(user, item, 1000 + n) for n, user in enumerate(USERS) for item in ITEMS[:3])

    def fresh(user: str, at_ms: int) -> list[str]:
        rows = graph.run([event(user, ITEMS[0], at_ms)])["rows"]
        return next(out.message.ids for out in rows if isinstance(out.message, ListRow))

    assert ITEMS[1] in fresh("n1", 2000)
    graph.run([listing(ITEMS[1], 3000, available=False)])
    assert ITEMS[1] not in fresh("n2", 4000)
    graph.run([listing(ITEMS[1], 5000)])
    assert ITEMS[1] in fresh("n3", 6000)


def test_items_of_a_blocked_category_are_not_listed():
    from operators.events import Preferences
    from tests.builders import user_update

    graph = Graph()
    graph.run_all(listing(item, categories=["war" if item == "i1" else "drama"]) for item in ITEMS)
    graph.run_all(event(user, item, 1000 + n) for n, user in enumerate(USERS) for item in ITEMS[:3])
    graph.run([user_update("n", 1500, preferences=Preferences(blocked_categories=["war"]))])
    rows = graph.run([event("n", "i0", 2000)])["rows"]
    ids = next(out.message.ids for out in rows if isinstance(out.message, ListRow))
    assert "i1" not in ids
    assert "i2" in ids


def test_who_switches_personalisation_off_gets_an_empty_row_that_says_so():
    from tests.builders import user_update

    graph = Graph()
    graph.run_all(event(user, item, 1000 + n) for n, user in enumerate(USERS) for item in ITEMS[:3])
    rows = graph.run([user_update("u0", 5000, personalise=False)])["rows"]
    row = next(out.message for out in rows if isinstance(out.message, ListRow))
    assert row.ids == []
    assert "personalisation" in row.fallback
    again = graph.run([event("u0", ITEMS[5], 6000)])["rows"]
    assert not [out for out in again if isinstance(out.message, ListRow)]


def test_a_user_with_one_event_on_an_unknown_item_gets_a_list_that_says_why():
    graph = Graph()
    graph.run_all(event(user, item, 1000 + n) for n, user in enumerate(USERS) for item in ITEMS[:3])
    row = next(out.message for out in graph.run([event("new", "never-seen", 9000)])["rows"]
               if isinstance(out.message, ListRow))  # fmt: skip
    assert set(row.ids) == set(ITEMS[:3])
    assert row.fallback
    assert {SOURCES[source] for source in row.sources} == {"trending"}


def test_the_very_first_event_of_all_gives_an_empty_list_that_says_why():
    row = next(out.message for out in Graph().run([event("u", "i")])["rows"]
               if isinstance(out.message, ListRow))  # fmt: skip
    assert row.ids == []
    assert row.fallback


def test_ten_thousand_events_of_a_user_in_one_second():
    graph = Graph()
    window = [event("heavy", f"i{n % 3000}", 1000 + n % 1000) for n in range(10_000)]
    outs = graph.run(window)
    rows = [out.message for out in outs["rows"] if isinstance(out.message, ListRow)]
    assert len(rows) == 1
    assert not set(rows[0].ids) & {f"i{n}" for n in range(3000)}
    profile = next(row for row in graph.settle() if isinstance(row, ProfileRow))
    assert profile.counts == {"like": 10_000}


def test_a_thousand_clicks_of_one_user_count_once():
    graph = Graph()
    graph.run([event("bot", "x", 1000 + n, action="click") for n in range(1000)])
    figures = graph.state["figures"].item.get("default\x1fx")
    assert (figures.raw, figures.likes, figures.users) == (5, 1, 1)
