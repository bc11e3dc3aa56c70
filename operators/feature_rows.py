"""Features of items as writes of Cassandra's `item_features`: this job's columns of it alone.

Title, availability and time belong to `recommend`, which also deletes the row when the item leaves;
each column has one writer, and the newest time wins in every cell. The values are bytes of the
native protocol v4, as in `operators.rows`; a `vector<float, n>` is n big-endian floats.
"""

import struct
from collections.abc import Sequence

from operators.features_wire import ItemFeatures, ItemGone, Named, vector_of
from operators.rows import Value

_INT, _LONG = struct.Struct(">i"), struct.Struct(">q")
_WEIGHT = struct.Struct(">ifi")

SAID = (
    "INSERT INTO {keyspace}.item_features (tenant, item_id, vector, topics, tags, language, model)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
GONE = (
    "DELETE vector, topics, tags, language, model FROM {keyspace}.item_features"
    " USING TIMESTAMP ? WHERE tenant = ? AND item_id = ?"
)


def said(record: ItemFeatures, written_us: int) -> list[Value]:
    """Values of `SAID`."""
    vector = vector_of(record)
    return [
        record.tenant.encode(), record.item_id.encode(),
        None if vector is None else vector.astype(">f4").tobytes(),
        _named(record.topics), _named(record.tags), record.language.encode(),
        record.model.encode() or None, _LONG.pack(written_us),
    ]  # fmt: skip


def gone(record: ItemGone, written_us: int) -> list[Value]:
    """Values of `GONE`; a key names an item of the default tenant."""
    return [_LONG.pack(written_us), b"default", record.item_id.encode()]


def _named(names: Sequence[Named]) -> bytes:
    """A list of `weighted_tag` without a sentiment."""
    parts = [_INT.pack(len(names))]
    for one in names:
        name = one.name.encode()
        tag = _INT.pack(len(name)) + name + _WEIGHT.pack(4, one.weight, -1)
        parts.append(_INT.pack(len(tag)) + tag)
    return b"".join(parts)
