"""All stages against the laws of `tests.contracts`."""

import sys
from random import Random
from types import ModuleType
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.stage import DictTable
from tests import contracts
from tests.contracts import (
    EXCLUDED,
    LAWS,
    STAGES,
    TRUTH,
    Recorder,
    data_of,
    discovered,
    plain_run,
    pure_stages,
    recorded,
    small_stages,
    strangers,
    stream,
)
from tests.graph import new_state


@pytest.fixture(scope="module")
def run() -> Recorder:
    run = recorded(7, 400)
    for call in run.calls:  # fills what the stages memorise
        if call.batch is not None:
            contracts.an_empty_batch_changes_nothing(call)
    return run


def test_every_stage_there_is_is_held_against_the_laws():
    named = {type(stage) for stage in STAGES.values()}
    found = {kind for kind in pure_stages() if kind.__name__ not in EXCLUDED}
    assert found == named
    assert set(TRUTH) == set(strangers()) == set(STAGES)


def test_a_stage_that_nobody_registered_is_found():
    module = ModuleType("made_up")
    sys.modules["made_up"] = module
    source = "class New:\n" + "".join(f"    {trait} = None\n" for trait in contracts._TRAITS)
    exec(source, module.__dict__)
    assert {kind.__name__ for kind in discovered(iter([module]))} == {"New"}
    del sys.modules["made_up"]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("stage", STAGES)
def test_law(run, stage, law):
    calls = [call for call in run.calls if call.stage == stage]
    assert len(calls) > 100
    for call in calls:
        law(call)


@given(st.integers(0, 10**6), st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_all_laws_on_any_stream(seed, size):
    for call in recorded(seed, size).calls:
        for law in LAWS:
            law(call)


def test_the_run_holds_every_kind_of_message_and_row(run):
    for name, stage in STAGES.items():
        kinds = {type(one) for call in run.calls if call.stage == name for one in call.batch or ()}
        assert kinds == (set(get_args(stage.inputs)) or {stage.inputs}), name
    rows = {type(out.message) for call in run.calls for out in call.outs if out.to == "rows"}
    assert rows == set(get_args(contracts.Row))


def test_the_run_reaches_the_bounds(run):
    """Else the laws would say little about evictions."""
    last = {call.stage: call.after for call in run.calls}
    codec = STAGES["neighbours"].codecs["item"]
    items = [codec.decode(data) for data in last["neighbours"]["item"].values()]
    assert max(len(item.ids) for item in items) == 3
    assert any(item.pairs > 3 for item in items)
    codec = STAGES["ranking"].codecs["user"]
    assert max(len(codec.decode(data).ids.ends) for data in last["ranking"]["user"].values()) == 4


@given(st.integers(0, 10**6), st.integers(1, 80))
@settings(max_examples=25, deadline=None)
def test_values_that_live_on_and_values_read_anew_give_the_same(seed, size):
    """A value changed in place without a `put` would be kept in the one and lost in the other."""
    anew, alive = recorded(seed, size), plain_run(seed, size)
    for one, other in zip(anew.calls, alive.calls, strict=True):
        assert one.said == other.said
        assert one.after == other.after


@given(st.integers(0, 10**6), st.integers(2, 50), st.data())
@settings(max_examples=25, deadline=None)
def test_the_graph_may_end_a_window_between_any_two_moments(seed, size, data):
    """One window or two, in the end the same is true, in all stages."""
    records = [one for window in stream(Random(seed), size) for one in window]
    times = sorted({moment(one) for one in records})
    cut = data.draw(st.sampled_from(times))
    whole, split = Recorder(), Recorder()
    whole.run(records, settle=False)
    for part in ([one for one in records if moment(one) < cut],
                 [one for one in records if moment(one) >= cut]):  # fmt: skip
        split.run(part, settle=False)
    for name in ("admission", "figures", "history", "neighbours"):
        truth = TRUTH[name]
        assert truth(whole.data(name)) == truth(split.data(name)), name


def moment(record) -> int:
    return record.time_ms if hasattr(record, "time_ms") else record.event_time


@pytest.mark.parametrize(
    ("stage", "message"),
    [(stage, message) for stage, messages in strangers().items() for message in messages],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_message_about_nobody_is_no_error_and_may_come_twice(stage, message):
    one = small_stages()[stage]
    state = new_state(one)
    first = one.apply(state, [message])
    one.apply(state, [message])
    one.settle(state)
    assert {out.to for out in first} <= {*STAGES, "rows", "outcomes", "strategy", "count"}
    assert set(data_of(state)) == set(one.codecs)


def test_an_erasure_that_overtakes_a_pair_and_the_pair_leave_nothing():
    one = small_stages()["neighbours"]
    state = new_state(one)
    for message in contracts.pair_taken_and_given("a", "b"):
        one.apply(state, [message])
    one.settle(state)
    assert not any(data_of(state).values())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_has_seen_nothing_holds_and_says_nothing(stage):
    one = small_stages()[stage]
    state = new_state(one, DictTable)
    assert one.apply(state, []) == []
    assert one.settle(state) == []
    assert not any(data_of(state).values())
