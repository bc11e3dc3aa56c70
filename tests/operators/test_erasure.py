"""After an erasure the state is that of a stream without the user."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.admission import Admission
from operators.pairs import rebuild
from tests.builders import erase, event, rated
from tests.graph import Graph, pairs_in
from tests.strategies import streams


def truth(graph: Graph) -> dict:
    """What must be exact: integers of items and pairs, and what is kept of each user."""
    graph.settle()
    state = graph.state
    return {
        "figures": {
            key: (item.raw, item.likes, item.users, item.title, item.categories, item.available)
            for key, item in state["figures"].item.items()
        },
        "sums": {key: item.sum for key, item in state["neighbours"].item.items()},
        "pairs": pairs_in(state["neighbours"].pair),
        "seen": dict(state["admission"].seen.data),
        "touched": dict(state["admission"].touched.data),
        "users": {key: (user.items, user.segment) for key, user in state["admission"].user.items()
                  if user.items},
        "history": {
            key: list(user.strengths.items())
            for key, user in state["history"].user.items()
            if user.items
        },
        "log": dict(state["history"].log.data),
        "ranked_seen": dict(state["ranking"].seen.data),
    }  # fmt: skip


def caches(graph: Graph) -> dict:
    """The neighbour caches, rebuilt from the truth."""
    pairs: dict[str, list] = {}
    for (owner, other), sums in pairs_in(graph.state["neighbours"].pair).items():
        pairs.setdefault(owner, []).append((other, sums, 1.0))
    totals = {key: item.sum for key, item in graph.state["neighbours"].item.items()}
    built = {
        owner: rebuild(mine, totals[owner], 100, (0.7, 100.0)) for owner, mine in pairs.items()
    }
    return {owner: (cache.ids, cache.sums.tolist()) for owner, cache in built.items()}


@given(streams(), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_state_after_erase_is_that_of_a_stream_without_the_user(records, window):
    last_ms = max(record.event_time for record in records)
    with_user, without = Graph(), Graph()
    for start in range(0, len(records), window):
        batch = records[start : start + window]
        with_user.run(batch)
        without.run([one for one in batch if getattr(one, "user_id", None) != "u0"])
    with_user.run([erase("u0", last_ms + 1)])
    assert truth(with_user) == truth(without)
    assert caches(with_user) == caches(without)


@given(streams())
@settings(max_examples=30, deadline=None)
def test_popularity_after_erase_is_right_up_to_rounding(records):
    last_ms = max(record.event_time for record in records)
    with_user, without = Graph(), Graph()
    with_user.run_all(records)
    with_user.run([erase("u0", last_ms + 1)])
    without.run_all(one for one in records if getattr(one, "user_id", None) != "u0")
    plain = dict(without.state["figures"].item.items())
    for key, item in with_user.state["figures"].item.items():
        assert item.likes_log2 == pytest.approx(plain[key].likes_log2, abs=1e-6)


def test_erasing_everybody_leaves_no_counter():
    graph = Graph()
    graph.run_all([event(user, item, 1000 + n) for n, user in enumerate("ab") for item in "xyz"])
    graph.run([erase("a", 5000), erase("b", 5000)])
    left = truth(graph)
    assert not left["pairs"]
    assert not left["sums"]
    assert not left["seen"]
    assert not left["log"]
    assert all(counts[:3] == (0, 0, 0) for counts in left["figures"].values())


def test_a_late_event_does_not_bring_an_erased_user_back():
    graph = Graph()
    graph.run_all([event("a", "x", 1000), erase("a", 5000)])
    outs = graph.run([event("a", "y", 4999)])
    assert [(out.key, out.message) for out in outs["count"]] == [("after_erasure", 1)]
    assert graph.state["figures"].item.get("default\x1fy") is None
    again = graph.run([event("a", "y", 5001)])
    assert [out.message.user for out in again["rows"] if hasattr(out.message, "user")] == ["a"]


def test_a_straggler_that_erasure_overtook_is_dropped_by_the_later_stages():
    """Live, a signal can reach the history a window after the erasure that admission sent on."""
    graph = Graph()
    admission = graph.stages[0]
    assert isinstance(admission, Admission)
    state = graph.state["admission"]
    signal = admission.apply(state, [event("a", "x", 1000)])[0]
    outs = admission.apply(state, [erase("a", 2000)])
    by_stage = {stage.name: stage for stage in graph.stages}
    for out in outs:
        if out.to in ("history", "ranking"):
            by_stage[out.to].apply(graph.state[out.to], [out.message])
    counted = by_stage["figures"].apply(graph.state["figures"], [signal.message])[0]
    by_stage["figures"].apply(
        graph.state["figures"], [o.message for o in outs if o.to == "figures"]
    )
    late = by_stage["history"].apply(graph.state["history"], [counted.message])
    assert [(out.to, out.key) for out in late] == [("count", "after_erasure")]
    assert graph.state["figures"].item.get("default\x1fx").raw == 0


def test_a_heavy_user_is_erased_to_the_last_pair():
    graph = Graph()
    graph.run_all(event("heavy", f"i{n % 300}", 1000 + n, action="view" if n % 3 else "like")
                  for n in range(900))  # fmt: skip
    graph.run_all([rated("other", "i1", 4.0, 2000), rated("other", "i2", 4.0, 2001)])
    graph.run([erase("heavy", 10_000)])
    assert set(truth(graph)["pairs"].values()) == {(800, 0, 800), (0, 800, 0)}
