"""Features of items and signals of texts on the wire."""

import json

import numpy as np
import pytest

from operators.events import Rejected
from operators.features_wire import (
    Complete,
    ItemFeatures,
    ItemGone,
    Named,
    Near,
    TextSignal,
    encode,
    marker_key,
    on_wire,
    parse_features,
    parse_signal,
    vector_of,
)

FEATURES = ItemFeatures(
    item_id="i", event_time=7, model="m/1", vector=[0.6, 0.8], language="en",
    topics=[Named("crime", 0.5)], tags=[Named("heist", 1.0)], sentiment=0.25,
    neighbours=[Near("j", 0.75)],
)  # fmt: skip
SIGNAL = TextSignal(
    event_id="e", event_time=7, user_id="u", language="zh", sentiment=-1.0,
    emotions={"anger": 1.0}, topics=[], tags=[], vector=[1.0, 0.0], model="m/1", action="search",
)  # fmt: skip


def test_features_read_as_they_were_written_and_as_the_contract_says():
    raw = encode(FEATURES)
    assert parse_features(b"i", raw) == FEATURES
    contract = {
        "item_id": "i", "event_time": 7, "model": "m/1", "vector": [0.6, 0.8], "language": "en",
        "topics": [{"name": "crime", "weight": 0.5}], "tags": [{"name": "heist", "weight": 1.0}],
        "sentiment": 0.25, "neighbours": [{"item_id": "j", "similarity": 0.75}],
    }  # fmt: skip
    own = {"tenant": "default", "fallback": None, "content": "", "encoded": ""}
    assert json.loads(raw) == contract | own


def test_a_signal_reads_as_it_was_written():
    assert parse_signal(encode(SIGNAL)) == SIGNAL
    assert json.loads(encode(SIGNAL))["item_id"] is None


def test_a_marker_and_a_deletion_are_told_by_their_keys():
    marker = Complete(event_time=7, model="m/2", tenant="shop")
    assert parse_features(marker_key("shop").encode(), encode(marker)) == marker
    assert parse_features(b"i", None) == ItemGone(item_id="i")


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"i", b"{"), (b"i", b"{}"), (None, None), (marker_key("").encode(), None), (b"i", b"\xff"),
     (b"i", encode(SIGNAL))],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_a_reason(key, value):
    found = parse_features(key, value)
    assert isinstance(found, Rejected)
    assert found.reason
    assert isinstance(parse_signal(value), Rejected) or value == encode(SIGNAL)


def test_a_vector_keeps_its_direction_and_its_length():
    vector = np.random.default_rng(1).normal(size=384).astype(np.float32)
    vector /= np.linalg.norm(vector)
    record = ItemFeatures(**{**{f: getattr(FEATURES, f) for f in FEATURES.__struct_fields__},
                             "vector": on_wire(vector)})  # fmt: skip
    back = vector_of(parse_features(b"i", encode(record)))
    assert back.dtype == np.float32
    assert np.linalg.norm(back) == pytest.approx(1.0, abs=1e-6)
    assert float(back @ vector) == pytest.approx(1.0, abs=1e-6)
    assert vector_of(SIGNAL) is not None
