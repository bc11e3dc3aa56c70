"""Records of topics as one text, whatever bytes they have."""

from hypothesis import given
from hypothesis import strategies as st

from operators.framing import Framed, frame, framed

PARTS = st.none() | st.binary(max_size=40)
RECORDS = st.builds(
    Framed, st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**53),
    st.booleans(), PARTS, PARTS,
)  # fmt: skip


@given(st.lists(RECORDS, max_size=5))
def test_records_come_out_of_their_text_as_they_went_in(records):
    assert list(framed("".join(map(frame, records)))) == records


def test_bytes_that_look_like_frames_are_bytes():
    inner = frame(Framed(1, 2, 3, False, b"k", b"v")).encode("latin-1")
    record = Framed(0, 7, 5, True, inner, b"\n 0 0 0 0 - 3\n" + bytes(range(256)))
    assert list(framed(frame(record) * 2)) == [record, record]
