"""Records to Kafka rows and Cassandra writes: bytes as the driver's, few at once, none lost."""

from struct import unpack as unpacked
from types import SimpleNamespace

import numpy as np
import pytest
from cassandra import cqltypes

from operators import feature_rows
from operators.features_wire import (
    Complete,
    ItemFeatures,
    ItemGone,
    Named,
    encode,
    marker_key,
)
from operators.flink.cassandra import WriteFailedError
from operators.flink.features import VectorWriter, writes_of
from operators.readings import Record

FEATURES = ItemFeatures(
    item_id="ü", event_time=7, model="m/1", vector=[0.6, 0.8], language="en", tenant="shop",
    topics=[Named("crime", 0.5)], tags=[Named("heist", 1.0), Named("雨", 0.25)], sentiment=0.25,
    neighbours=[],
)  # fmt: skip


def record(features=FEATURES, written_us: int = 7000) -> Record:
    return Record(features.item_id, encode(features).decode(), written_us)


def driver(kind, value) -> bytes:
    return kind.serialize(value, 5)


def test_the_bytes_are_those_of_the_driver():
    tag = cqltypes.UserType.make_udt_class(
        "headwater", "weighted_tag", ("name", "weight", "sentiment"),
        (cqltypes.UTF8Type, cqltypes.FloatType, cqltypes.FloatType),
    )  # fmt: skip
    tags = cqltypes.ListType.apply_parameters([tag])
    vector = cqltypes.VectorType.apply_parameters([cqltypes.FloatType, 2], None)
    assert feature_rows.said(FEATURES, 7000) == [
        b"shop", "ü".encode(), driver(vector, [0.6, 0.8]), driver(tags, [("crime", 0.5, None)]),
        driver(tags, [("heist", 1.0, None), ("雨", 0.25, None)]), b"en", b"m/1",
        driver(cqltypes.LongType, 7000),
    ]  # fmt: skip
    assert feature_rows.SAID.count("?") == 8
    gone = feature_rows.gone(ItemGone(item_id="i"), 7)
    assert (unpacked(">q", gone[0]), gone[1:]) == ((7,), [b"default", b"i"])


def test_without_a_vector_the_rest_is_written_and_the_vector_removed():
    bare = ItemFeatures(
        **{name: getattr(FEATURES, name) for name in FEATURES.__struct_fields__}
        | {"vector": [], "model": ""}
    )
    values = feature_rows.said(bare, 1)
    assert (values[2], values[6]) == (None, None)
    assert values[5] == b"en"


def test_the_newest_record_of_an_item_is_written_and_markers_are_not():
    newer = ItemFeatures(
        **{name: getattr(FEATURES, name) for name in FEATURES.__struct_fields__} | {"model": "m/2"}
    )
    marker = Complete(event_time=1, model="m/2", tenant="shop")
    writes = writes_of([
        record(newer, 9000), record(written_us=8000),
        Record(marker_key("shop"), encode(marker).decode(), 9000), Record("j", None, 5),
    ])  # fmt: skip
    assert [cql for cql, _ in writes] == [feature_rows.SAID, feature_rows.GONE]
    assert writes[0][1][6] == b"m/2"


def test_what_is_no_record_is_an_error_and_not_a_loss():
    with pytest.raises(TypeError, match="contract"):
        writes_of([Record("i", "{}", 1)])


def writer(*failures: int, attempts: int = 3):
    """A writer whose first calls lose so many writes; and the lengths of its calls."""
    calls, left = [], list(failures)

    def execute(writes):
        calls.append(len(writes))
        failed = left.pop(0) if left else 0
        return list(writes[:failed]), OSError("busy") if failed else None

    made = VectorWriter(SimpleNamespace(attempts=attempts), execute, pause=lambda _: None)
    return made, calls


def test_what_failed_is_written_again_and_only_that():
    made, calls = writer(3, 1)
    made.write(writes_of([record()] + [Record(f"i{n}", None, 1) for n in range(4)]))
    assert calls == [5, 3, 1]


def test_a_write_that_fails_every_time_fails_the_batch():
    made, calls = writer(1, 1, 1)
    with pytest.raises(WriteFailedError, match="1 vectors"):
        made.write(writes_of([record()]))
    assert calls == [1, 1, 1]


def test_a_vector_arrives_at_unit_length():
    packed = feature_rows.said(FEATURES, 0)[2]
    assert np.linalg.norm(np.frombuffer(packed, ">f4")) == pytest.approx(1.0)
