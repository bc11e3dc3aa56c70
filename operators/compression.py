"""Long MessagePack in short: what crosses between stages, and what they keep.

It is written, read and copied a dozen times: exchanges, windows, journal, write buffers, tables,
checkpoints, and again whenever RocksDB merges tables. LZ4 halves it for 2 us a kB.
"""

import pyarrow as pa

COMPRESSED_FROM = 1000
"""Length in bytes from which on it is worth it."""

_COMPRESSED = b"\xc1"
"""The one byte that no MessagePack begins with; the length before, 4 bytes, and LZ4 follow."""

_LZ4 = pa.Codec("lz4_raw")


def compress(body: bytes) -> bytes:
    """MessagePack as it is or, if it is long, in short.

    >>> len(compress(bytes(999))), len(compress(bytes(4000)))
    (999, 31)
    """
    if len(body) < COMPRESSED_FROM:
        return body
    length = len(body).to_bytes(4, "little")
    return b"".join((_COMPRESSED, length, _LZ4.compress(body, asbytes=True)))


def decompress(data: bytes) -> bytes:
    """The MessagePack of what `compress` gave, and of what was never compressed.

    Raises:
        OSError: The data is damaged.
    """
    if not data.startswith(_COMPRESSED):
        return data
    length = int.from_bytes(data[1:5], "little")
    body: bytes = _LZ4.decompress(memoryview(data)[5:], length, asbytes=True)
    return body
