"""What was being served before an event: against the reader itself, and how an event is judged."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from operators.features import FEATURES, Weights
from operators.messages import SOURCES, Outcome
from operators.outcome_records import as_json, record_of, replayed_record_of
from operators.parameters import RankingSettings
from operators.reading import ListedItem, StoredList, read
from operators.results import ListRow, TrendingRow
from operators.seen import SeenFilter
from operators.served import SharedRow, StoredRow, serve
from operators.strategy import parse_gradient
from tests.builders import event, listing
from tests.driven import near, noted, plain, popular_list, sent, user_changed
from tests.graph import Graph
from tests.operators.test_ranking import ranking
from tests.strategies import streams

VALUES = {name: 1.0 + 0.3 * place for place, name in enumerate(FEATURES)}


def listed(row: Any) -> Iterator[ListedItem]:
    """The items of a row as a reader gets them."""
    scores, parts = np.frombuffer(row.scores, "<f4"), np.frombuffer(row.item_scores, "<f4")
    sources = getattr(row, "sources", bytes([SOURCES.index("trending")]) * len(row.ids))
    for item, score, part, source in zip(row.ids, scores.tolist(), parts.tolist(), sources,
                                         strict=True):  # fmt: skip
        yield ListedItem(item_id=item, score=score, item_score=part, source=SOURCES[source],
                         seed=None, reason="")  # fmt: skip


class Reader:
    """Keeps the rows as Cassandra would, and serves users from them."""

    def __init__(self) -> None:
        self.lists: dict[str, ListRow] = {}
        self.shared: StoredList | None = None

    def write(self, rows: list[Any]) -> None:
        for row in sorted(rows, key=lambda one: one.written_us):
            if isinstance(row, ListRow):
                self.lists[row.user] = row
            elif isinstance(row, TrendingRow) and row.segment == "all":
                self.shared = StoredList(items=list(listed(row)), as_of_ms=row.written_us // 1000)

    def serve(self, user: str, unavailable: set[str]) -> list[ListedItem]:
        row = self.lists.get(user)
        own = row and StoredList(items=list(listed(row)), as_of_ms=row.written_us // 1000)
        seen = SeenFilter(row.known) if row else ()
        size, gone = 1000, sorted(unavailable)
        return list(read(own, self.shared, seen=seen, unavailable=gone, size=size).items)


def test_a_list_is_merged_in_64_bits_as_a_reader_does():
    """In 32 bits the item with its fresh part would come behind the other, by one unit."""
    scores, part = np.array([-6.8490596], "<f4"), np.array([1.7339307], "<f4")
    fresh, other = np.array([1.7339312, 1.7339312], "<f4"), np.array([-6.849059] * 2, "<f4")
    own = StoredRow(["b"], np.array([2], np.uint64), scores, part, 0, "m", b"\0")
    shared = SharedRow(["a", "b"], np.array([1, 2], np.uint64), other, fresh, 0, "m")
    none = np.empty(0, np.uint64)
    before = [ListedItem(item_id=item, score=float(score), item_score=float(piece), source="",
                         seed=None, reason="")
              for item, score, piece in (("b", scores[0], part[0]), ("a", other[0], fresh[0]),
                                         ("b", other[1], fresh[1]))]  # fmt: skip
    want = read(StoredList(items=before[:1], as_of_ms=0), StoredList(items=before[1:], as_of_ms=0))
    assert serve(own, shared, b"", none).shown == [one.item_id for one in want.items]


@given(streams(max_size=60), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_an_outcome_is_the_place_in_what_the_reader_would_have_served_before(records, together):
    """Whatever else lies in the batch, the event's own effect on the shared lists included."""
    weights = Weights(values=VALUES)
    graph, reader = Graph(weights, ranking=RankingSettings(list_max=4)), Reader()
    for start in range(0, len(records), together):
        # No millisecond is shared with the batch before: its row would be as old as these events.
        window = [replace(one, event_time=one.event_time + start)
                  for one in records[start : start + together]]  # fmt: skip
        users = {one.user_id for one in window if hasattr(one, "action")}
        served = {user: reader.serve(user, set()) for user in users}
        outs = graph.run(window)
        for outcome in (out.message for out in outs["outcomes"]):
            before = served[outcome.user]
            assert outcome.shown == [one.item_id for one in before[:10]]
            found = {one.item_id: (place, one.source) for place, one in enumerate(before, 1)}
            assert (outcome.rank, outcome.source) == found.get(outcome.item, (None, None))
        reader.write([out.message for out in outs["rows"]])


def test_every_touch_and_refusal_has_an_outcome_and_nothing_else():
    graph = Graph()
    graph.run_all([listing("a"), listing("b")])
    outs = graph.run_all(
        [event("u", "a", 1), event("u", "a", 2), event("u", "b", 3, "hide"),
         event("u", None, 4, "search", text="x"), event("u", "b", 5, "satisfaction", value=3)]
    )  # fmt: skip
    found = [out.message for out in outs["outcomes"]]
    assert [(one.item, one.action, one.first, one.liked) for one in found] == [
        ("a", "like", True, True), ("a", "like", False, False), ("b", "hide", True, False),
    ]  # fmt: skip
    assert [(one.strength, one.user_events, one.item_users) for one in found] == [
        (8, 0, 0), (8, 1, 1), (0, 2, None),
    ]  # fmt: skip


def outcome_of_next(stage, item: str, **fields) -> Outcome:
    (outcome,) = sent(stage.touch("u", item, **fields), "outcomes")
    return outcome


def test_an_outcome_names_place_source_and_age():
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4), near("b", 0.1), at_ms=1000)
    outcome = outcome_of_next(stage, "b", at_ms=1700)
    assert (outcome.rank, outcome.source, outcome.shown) == (2, "co_occurrence", ["a", "b"])
    assert (outcome.model, outcome.variant, outcome.list_age_ms) == ("itemcf-1", "default", 700)
    assert not outcome.fallback
    missed = outcome_of_next(stage, "z", at_ms=1800)
    assert (missed.rank, missed.source) == (None, None)


def test_an_event_that_a_later_one_of_its_user_has_overtaken_says_so_by_its_age():
    """Live, the two go by different items; the list that stands there is of the later one."""
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4), near("b", 0.1), at_ms=1000)
    stage.touch("u", "y", near("a", 0.4), at_ms=1900)
    assert outcome_of_next(stage, "b", at_ms=1700).list_age_ms == -200


def test_a_user_without_a_list_is_judged_by_what_is_popular():
    stage = ranking()
    stage.send(popular_list("all", ("p", near("p", 0)[3]), ("q", near("q", 0)[3]), at_ms=400))
    outcome = outcome_of_next(stage, "q", at_ms=1000)
    assert (outcome.rank, outcome.source, outcome.list_age_ms) == (2, "trending", 600)
    assert outcome.fallback
    assert outcome.shown == ["p", "q"]


def test_an_event_is_not_judged_by_the_popular_row_that_it_changed():
    stage = ranking()
    stage.send(popular_list("all", ("p", near("p", 0)[3]), at_ms=400))
    stage.send(popular_list("all", ("q", near("q", 0)[3]), ("p", near("p", 0)[3]), at_ms=1000))
    told = [stage.answer("u", "q", at_ms=1000), stage.answer("v", "q", at_ms=1001)]
    outcomes = sent(stage.send(*told), "outcomes")
    assert [(one.rank, one.shown) for one in outcomes] == [(None, ["p"]), (1, ["q", "p"])]


def test_a_popular_row_that_is_made_twice_of_one_event_does_not_judge_it_either():
    stage = ranking()
    stage.send(popular_list("all", ("p", near("p", 0)[3]), at_ms=400))
    for _ in range(2):
        stage.send(popular_list("all", ("q", near("q", 0)[3]), at_ms=1000))
    outcome = outcome_of_next(stage, "q", at_ms=1000)
    assert (outcome.rank, outcome.shown) == (None, ["p"])


def test_the_first_event_of_all_was_shown_nothing_though_it_comes_behind_its_own_row():
    stage = ranking()
    stage.send(popular_list("all", ("q", near("q", 0)[3]), at_ms=1000))
    outcome = outcome_of_next(stage, "q", at_ms=1000)
    assert (outcome.rank, outcome.shown, outcome.model) == (None, [], "")


def test_before_anything_is_stored_nothing_was_served():
    outcome = outcome_of_next(ranking(), "x")
    assert (outcome.rank, outcome.shown, outcome.model) == (None, [], "")
    assert outcome.list_age_ms is None
    assert outcome.fallback


def test_all_events_of_a_batch_are_judged_by_the_list_before_it():
    stage = ranking(plain)
    stage.touch("u", "x", near("a", 0.4), near("b", 0.1))
    batch = [stage.answer("u", "a", near("c", 0.9), at_ms=2000), stage.answer("u", "b", at_ms=2001)]
    assert [one.rank for one in sent(stage.send(*batch), "outcomes")] == [1, 2]


def test_who_is_shown_no_list_of_his_own_is_judged_by_what_is_popular():
    stage = ranking()
    stage.send(popular_list("all", ("p", near("p", 0)[3])))
    stage.touch("u", "x", near("a", 0.4))
    stage.send(user_changed("u", 2000, stage.seq("u"), personalise=False))
    outcome = outcome_of_next(stage, "p", at_ms=2500)
    assert (outcome.rank, outcome.fallback, outcome.shown) == (1, True, ["p"])


def test_a_refusal_is_judged_and_is_no_hit():
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4))
    outs = stage.send(noted("u", "a", 2000, "hide", stage.seq("u")))
    (outcome,) = sent(outs, "outcomes")
    assert (outcome.action, outcome.rank, outcome.first, outcome.liked) == ("hide", 1, True, False)
    assert not [out for out in outs if out.to == "count"]


def test_hits_are_counted_among_first_likes_of_users_with_a_past():
    stage = ranking()
    total: dict[str, int] = defaultdict(int)
    for item, fields in (("x", {}), ("a", {}), ("a", {}), ("n", {}), ("b", {"liked": False})):
        outs = stage.touch("u", item, near("a", 0.4), near("b", 0.4), **fields)
        for out in outs:
            if out.to == "count":
                total[out.key] += out.message
    assert total == {"outcomes": 2, "hits_10": 1}


def test_the_record_of_a_replay_has_nothing_to_learn_and_is_else_the_same():
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4), near("b", 0.1), at_ms=1000)
    outcome = outcome_of_next(stage, "b", at_ms=1500)
    (key, live), (same, replayed) = record_of(outcome), replayed_record_of(outcome)
    told = json.loads(live)
    assert told.pop("gradient")
    assert (same, json.loads(replayed)) == (key, told)
    assert parse_gradient(replayed.encode()) is None


def test_the_record_holds_the_contract_s_fields():
    stage = ranking()
    stage.touch("u", "x", near("a", 0.4), at_ms=1000)
    record = json.loads(as_json(outcome_of_next(stage, "a", at_ms=1500)))
    assert record.pop("event_id")
    assert record == {
        "tenant": "default", "user_id": "u", "item_id": "a", "event_time": 1500, "rank": 1,
        "source": "co_occurrence", "variant": "default", "model": "itemcf-1", "list_age_ms": 500,
    }  # fmt: skip
