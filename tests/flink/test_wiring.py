"""What stages do at set times they do one after the other, by processing time."""

import pytest

from jobs.settings import Recommend
from jobs.wiring import STAGES_IN_A_ROW, Flow
from operators.meaning import Meaning


@pytest.mark.parametrize(
    ("clock", "span_ms", "offsets_ms"),
    [
        ("live", 100, [-20, 0, 20, 40, 60, 80]),
        ("live", 2500, [-500, 0, 500, 1000, 1500, 2000]),
        ("replay", 2500, [0, *[0] * STAGES_IN_A_ROW]),
    ],
)
def test_the_parser_and_stages_in_a_row_share_a_span(clock, span_ms, offsets_ms):
    flow = Flow(None, Recommend(clock=clock), Meaning())
    depths = range(1 + STAGES_IN_A_ROW)
    assert [flow._offset_ms(depth, span_ms) for depth in depths] == offsets_ms
