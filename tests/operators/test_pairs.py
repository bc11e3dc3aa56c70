"""Segments of an item's pairs: every pair is found, whatever was split, grown and taken."""

from hypothesis import given
from hypothesis import strategies as st

from operators.neighbours import Neighbours
from operators.pairs import PAIRS_A_SEGMENT, segment_of
from operators.parameters import NeighboursSettings
from operators.stage import DictTable
from tests.driven import Driven, pair_seen, plain
from tests.graph import pairs_in


@given(st.integers(0, 2**64 - 1), st.integers(1, 300))
def test_one_segment_more_moves_a_key_only_to_the_new_one(key, segments):
    before, after = segment_of(key, segments), segment_of(key, segments + 1)
    assert 0 <= before < segments
    assert after in (before, segments)


@given(st.integers(1, 8))
def test_keys_spread_over_all_segments(segments):
    assert {segment_of(key, segments) for key in range(16)} == set(range(segments))


def test_an_item_with_many_pairs_keeps_each_and_no_segment_grows_with_it():
    count = 8 * PAIRS_A_SEGMENT
    for table in (DictTable, plain):
        stage = Driven(Neighbours(NeighboursSettings()), table)
        for start in (0, 1):
            for n in range(count):
                stage.send(pair_seen("a", f"o{n}", 100 + n, start, 3, at_ms=n))
        segments = list(stage.state.pair.items())
        assert len(segments) == 8
        assert max(len(segment.ids) for _, segment in segments) < 3 * PAIRS_A_SEGMENT
        found = {other: sums for (_, other), sums in pairs_in(dict(segments)).items()}
        assert found == {f"o{n}": (200 + 2 * n, 1, 6) for n in range(count)}
        for n in range(count):
            stage.send(pair_seen("a", f"o{n}", -200 - 2 * n, -1, -6, 1.0, b""))
        stage.settle()
        assert not list(stage.state.pair.items())
        assert not list(stage.state.item.items())
