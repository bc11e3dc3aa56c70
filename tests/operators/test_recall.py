"""Who is back after long gets a list of what the own items are worth by now."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.candidates import BEST_AT, EXPOSED, MAIN
from operators.history import History
from operators.id_list import as_text, split
from operators.messages import Recall, Recalled
from operators.parameters import HistorySettings
from operators.recall import REMAINS
from operators.results import ListRow
from tests.builders import erase, event
from tests.driven import Driven, Ranked, counted, counts, forget, near, pulled, sent, signal
from tests.graph import Graph
from tests.operators.test_ranking import ranking

DAY_MS = 86_400_000


class Visitor:
    """A user of a history of its own."""

    def __init__(self, **fields) -> None:
        self.stage = Driven(History(HistorySettings(**fields), 1))
        self.seq = 0

    def touch(self, item: str, at_ms: int, strength: int = 8) -> list[Recall]:
        self.seq += 1
        one = counted(signal("u", item, at_ms, strength, seq=self.seq))
        return [m for m in sent(self.stage.send(one), "neighbours") if isinstance(m, Recall)]


def test_after_a_day_the_last_items_are_asked_for_once_newest_first():
    user = Visitor(pair_window=3)
    for place, item in enumerate("abcd"):
        assert user.touch(item, 1000 + place, 5 + place) == []
    back_ms = 1003 + DAY_MS
    asked = user.touch("c", back_ms)
    assert [(one.item, one.place, one.strength) for one in asked] == [("d", 0, 8), ("b", 1, 6)]
    assert {(one.seq, one.time_ms, one.user) for one in asked} == {(5, back_ms, "u")}
    assert user.touch("e", back_ms + 1) == []


@pytest.mark.parametrize(
    ("fields", "away_ms"), [({}, DAY_MS - 1), ({"rebuild_after_ms": 0}, 10**12)]
)
def test_who_was_not_away_for_long_or_is_never_to_be_asked_for_is_not(fields, away_ms):
    user = Visitor(**fields)
    user.touch("a", 1000)
    assert user.touch("b", 1000 + away_ms) == []


def test_a_late_event_brings_nobody_back():
    user = Visitor()
    user.touch("a", 10 * DAY_MS)
    user.touch("b", 1 * DAY_MS)
    assert user.touch("c", 10 * DAY_MS + 5) == []


def answer(item: str, place: int, *rows, seq: int = 9, at_ms: int = 5000) -> Recalled:
    like = pulled(counted(signal("u", item)), *rows)
    return Recalled(
        at_ms, f"\x00e@{place}", "default", "u", seq, item, 10, place, like.ids, like.rows
    )


def returning(stage: Ranked, item: str, *rows):
    """The answer for the item that brings the user back."""
    one = signal("u", item, 5000, seq=9, event_id="e")
    like = pulled(counted(one), *rows)
    return type(like)(5000, "e", like.counted, like.ids, like.rows, None, True)


def rows_of(stage: Ranked) -> dict[str, np.ndarray]:
    user = stage.state.user.get("default\x1fu")
    return dict(zip(split(as_text(user.ids)), user.rows, strict=True))


A = near("p", 0.4, 0.2), near("q", 0.3), near("said", 0.0, raw=2)
"""A neighbour's sum of strengths stands where an answer has its part of content."""
B = near("q", 0.2, 0.1), near("r", 0.1)
C = near("r", 0.5, 0.3), near("s", 0.2), near("said", 0.1, raw=1)


@given(st.permutations(range(3)), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_answers_come_in_any_order_and_on_both_sides_of_the_event(order, together):
    stage = ranking()
    stage.touch("u", "a", near("old", 0.9))
    stage.touch("u", "b")
    messages = [answer("b", 0, *B), answer("a", 1, *A), returning(stage, "c", *C)]
    for start in range(0, 3, together):
        stage.send(*(messages[place] for place in order[start : start + together]))
    plain = ranking()
    for item, rows in (("a", A), ("b", B), ("c", C)):
        plain.touch("u", item, *rows)
    found, wanted = rows_of(stage), rows_of(plain)
    assert found.keys() - wanted.keys() == {"old"}
    assert found["old"][MAIN] == pytest.approx(0.9 * 0.9 * REMAINS * 0.9, rel=1e-5)
    for item, row in wanted.items():
        kept, row[EXPOSED] = found[item].copy(), found[item][EXPOSED]
        assert kept == pytest.approx(row, rel=1e-5), item
    assert stage.scores("u")


def test_the_reason_of_a_recalled_candidate_is_the_item_that_was_recalled():
    stage = ranking()
    stage.touch("u", "a", near("old", 0.9))
    stage.touch("u", "b")
    stage.send(answer("b", 0, *B), answer("a", 1, *A[:2]), returning(stage, "c"))
    assert {item: row[BEST_AT] for item, row in rows_of(stage).items()} == {
        "old": 1, "p": 1, "q": 1, "r": 2,
    }  # fmt: skip
    row = stage.lists["u"]
    told = {item: row.seed_items[seed][0] for item, seed in zip(row.ids, row.seeds, strict=True)}
    assert told == {"old": "a", "p": "a", "q": "a", "r": "b"}


def test_what_was_shown_in_vain_is_still_known():
    stage = ranking()
    stage.touch("u", "a", near("old", 0.9))
    stage.touch("u", "b", near("p", 0.1))
    stage.send(answer("b", 0, near("old", 0.2)), returning(stage, "c"))
    assert rows_of(stage)["old"][EXPOSED] == 2


def test_the_list_stands_while_the_answers_are_on_their_way():
    stage = ranking()
    stage.touch("u", "a", near("p", 0.4), near("q", 0.3))
    before = stage.lists["u"].ids
    stage.send(returning(stage, "c"))
    assert stage.lists["u"].ids == before


def test_an_answer_that_an_erasure_has_overtaken_is_dropped():
    stage = ranking()
    stage.touch("u", "a", near("p", 0.4))
    stage.send(forget("u", 6000, 9))
    assert counts(stage.send(answer("a", 0, *A))) == {"after_erasure": 1}
    assert not rows_of(stage)


def test_an_answer_of_an_earlier_return_changes_nothing():
    stage = ranking()
    stage.touch("u", "a")
    stage.send(answer("a", 0, *A, seq=9))
    before = rows_of(stage)
    stage.send(answer("a", 0, near("late", 1.0), seq=8))
    assert rows_of(stage).keys() == before.keys()


def lists_of(graph: Graph, **fields) -> list[str]:
    rows = graph.run([event("u", **fields)])["rows"]
    return next(out.message.ids for out in rows if isinstance(out.message, ListRow))


@pytest.mark.parametrize(("rebuild_after_ms", "learned"), [(DAY_MS, True), (0, False)])
def test_the_list_of_who_is_back_knows_what_others_did_meanwhile(rebuild_after_ms, learned):
    graph = Graph(history=HistorySettings(rebuild_after_ms=rebuild_after_ms))
    graph.run([event("u", "a", 1000)])
    for n in range(5):
        graph.run_all([event(f"v{n}", "a", 2000 + n), event(f"v{n}", "b", 3000 + n)])
    outs = graph.run([event("u", "unknown", 2000 + DAY_MS)])
    row = next(out.message for out in outs["rows"] if isinstance(out.message, ListRow))
    seeds = dict(zip(row.ids, row.seeds, strict=True))
    assert "b" in seeds
    assert (seeds["b"] != 255) == learned
    assert bool(row.fallback) != learned


def test_an_erased_user_is_not_recalled():
    graph = Graph()
    graph.run_all([event("u", "a", 1000), event("v", "a", 1500), event("v", "b", 1600)])
    graph.run([erase("u", 2000)])
    outs = graph.run([event("u", "c", 3000 + DAY_MS)])
    row = next(out.message for out in outs["rows"] if isinstance(out.message, ListRow))
    assert set(row.seeds) <= {255}
