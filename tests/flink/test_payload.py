"""What crosses between stages: messages in, the same messages out, long pieces shorter."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pybase64 import b64decode, b64encode_as_string

from operators.compression import COMPRESSED_FROM
from operators.flink.payload import pack, unpack
from operators.flink.state import Journal

TEXTS = msgspec.msgpack.Decoder(list[str])
PIECES = st.lists(st.lists(st.text(max_size=400), max_size=8), min_size=1, max_size=4)


@given(PIECES)
def test_all_messages_of_all_pieces_come_out_in_order(pieces):
    payload = ",".join(pack(piece) for piece in pieces)
    assert unpack(TEXTS, payload) == [text for piece in pieces for text in piece]
    assert payload.isascii()
    assert not set(payload) & {Journal.HELD, " ", "\n"}


def test_a_long_piece_is_compressed_and_a_short_one_is_not():
    long, short = ["same again"] * 1000, ["short"]
    plain = msgspec.msgpack.encode(long)
    assert len(plain) >= COMPRESSED_FROM
    assert len(pack(long)) < len(plain) / 10
    assert b64decode(pack(short)) == msgspec.msgpack.encode(short)


def test_long_pieces_of_earlier_releases_are_read():
    """A journal that is restored may hold them."""
    messages = ["same again"] * 1000
    assert unpack(TEXTS, b64encode_as_string(msgspec.msgpack.encode(messages))) == messages


@pytest.mark.parametrize("cut", [1, 3, 40])
def test_a_piece_that_lost_its_end_is_no_shorter_batch(cut):
    body = b64decode(pack([str(number) for number in range(1000)]))
    with pytest.raises((OSError, msgspec.DecodeError)):
        unpack(TEXTS, b64encode_as_string(body[:-cut]))
