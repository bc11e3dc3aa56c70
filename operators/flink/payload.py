"""What crosses between stages: a batch's messages as text.

Pieces of MessagePack in base64, joined by commas. Text because that is what crosses from the JVM
into an embedded Python in one piece: BYTES are converted byte by byte, and arrays of text are not
accepted at all by the DataStream bridge of PyFlink 2.3.

A long piece is compressed: a backlog then costs a quarter less, .73 instead of .96 ms of CPU an
event of MovieLens, .87 instead of 1.18 of made-up users.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from pybase64 import b64decode, b64encode_as_string

from operators.compression import compress, decompress

_ENCODER = msgspec.msgpack.Encoder()


def pack(messages: Sequence[Any]) -> str:
    """A piece of a batch."""
    return b64encode_as_string(compress(_ENCODER.encode(messages)))


def unpack(decoder: msgspec.msgpack.Decoder[list[Any]], payload: str) -> list[Any]:
    """All messages of a payload: pieces joined by commas."""
    messages: list[Any] = []
    for piece in payload.split(","):
        messages += decoder.decode(decompress(b64decode(piece, validate=True)))
    return messages
