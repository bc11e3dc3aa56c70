"""Records of topics in one text: how a micro-batch of them gets from the JVM into Python at once.

Each is a line about it, and its bytes behind it, one character (ISO 8859-1) a byte:

    <partition> <offset> <time of the broker, ms> <late> <length of the key> <of the value>
    <key><value>

Text, for PyFlink hands an embedded Python each byte of BYTES as an object of its own. The SQL that
writes it is in `jobs.border`.
"""

from collections.abc import Iterator
from typing import NamedTuple

CHARSET = "ISO-8859-1"
NONE = "-"
"""In the place of the length of what is missing."""


class Framed(NamedTuple):
    """A record as it stands in a topic.

    Attributes:
        partition: Of the topic.
        offset: In the partition.
        arrived_ms: When the broker took it.
        late: Whether the watermark had passed its time.
        key: None where it has none.
        value: None where it deletes the key.
    """

    partition: int
    offset: int
    arrived_ms: int
    late: bool
    key: bytes | None
    value: bytes | None


def frame(record: Framed) -> str:
    """The text of one record; those of several are simply joined."""
    about = (record.partition, record.offset, record.arrived_ms, int(record.late))
    parts = [None if part is None else part.decode(CHARSET) for part in (record.key, record.value)]
    lengths = (NONE if part is None else len(part) for part in parts)
    return f"{' '.join(map(str, (*about, *lengths)))}\n{''.join(part or '' for part in parts)}"


def framed(text: str) -> Iterator[Framed]:
    """The records of a text."""
    at = 0
    while at < len(text):
        end = text.index("\n", at)
        partition, offset, arrived_ms, late, key_length, value_length = text[at:end].split(" ")
        key, at = _part(text, end + 1, key_length)
        value, at = _part(text, at, value_length)
        yield Framed(int(partition), int(offset), int(arrived_ms), late == "1", key, value)


def _part(text: str, at: int, length: str) -> tuple[bytes | None, int]:
    """What stands there, and where the next begins."""
    if length == NONE:
        return None, at
    end = at + int(length)
    return text[at:end].encode(CHARSET), end
