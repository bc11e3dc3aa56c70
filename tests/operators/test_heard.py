"""Pairs wait at an item until it is asked for, and are learned as if each were added at once."""

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from operators import neighbours as stage_module
from operators import runs
from operators.heard import HEARD_MAX
from operators.id_list import split
from tests.driven import TENANT, counted, learn, pair_seen, signal
from tests.operators.test_neighbours import neighbours
from tests.operators.test_runs import SAID, message_of

KEY = f"{TENANT}\x1fa"


def waiting(stage):
    """Others of the pairs that wait at item `a`."""
    found = stage.state.heard.get(KEY)
    return found.others if found else []


@given(
    st.lists(st.lists(SAID, max_size=12), max_size=8), st.sampled_from([1, 4, 100]),
    st.sampled_from([5, 50_000]), st.sampled_from([2, 3, 256]), st.sampled_from([2, 5, 64]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_nobody_can_tell_that_pairs_wait(batches, rows_max, pairs_max, a_segment, heard_max):
    """Answers and lists are those of a stage that adds each pair at once; in the end all is."""
    late, at_once = (neighbours(rows_max=rows_max, pairs_max=pairs_max) for _ in range(2))
    number = 0
    with patch.object(runs, "PAIRS_A_SEGMENT", a_segment):
        for said in batches:
            messages = [message_of(number + place, *one) for place, one in enumerate(said)]
            number += len(messages)
            answers = []
            for stage, most in ((late, heard_max), (at_once, 1)):
                with patch.object(stage_module, "HEARD_MAX", most):
                    outs = stage.send(*messages)
                    answers.append((outs, stage.stage.settle(stage.state, 1)))
            assert answers[0] == answers[1]
        assert late.settle() == at_once.settle()
        assert late.data() == at_once.data()


def test_pairs_wait_until_their_item_is_touched():
    stage = neighbours()
    stage.send(learn(counted(signal("u", "a", 1)), 10))
    stage.send(pair_seen("a", "b", 500, 0, 0, at_ms=2), pair_seen("a", "c", 300, 0, 0, at_ms=3))
    assert waiting(stage) == ["b", "c"]
    (answer,) = stage.send(learn(counted(signal("v", "a", 4)), 10))
    assert split(answer.message.ids) == ["b", "c"]
    assert waiting(stage) == []


def test_few_pairs_of_an_item_wait_and_none_is_lost():
    stage = neighbours()
    stage.send(learn(counted(signal("u", "a", 1)), 10))
    for number in range(3 * HEARD_MAX + 1):
        stage.send(pair_seen("a", f"i{number}", 100, 0, 0, at_ms=2 + number))
        assert len(waiting(stage)) < HEARD_MAX
    assert len(waiting(stage)) == 1
    stage.settle()
    assert stage.state.item.get(KEY).pairs == 3 * HEARD_MAX + 1


def test_a_bucket_with_work_adds_only_those_whose_list_it_renews():
    stage = neighbours()
    stage.send(pair_seen("a", "b", 500, 0, 0, at_ms=1), pair_seen("c", "b", 500, 0, 0, at_ms=2))
    stage.send(learn(counted(signal("u", "c", 3)), 10))
    stage.send(pair_seen("c", "d", 500, 0, 0, at_ms=4))
    (similar,) = stage.stage.settle(stage.state, 5)
    assert similar.message.ids == ["b", "d"]
    assert waiting(stage) == ["b"]
    assert stage.settle() == []
    assert waiting(stage) == []
