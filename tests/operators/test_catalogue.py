"""The catalogue of vectors: neighbours, versions, markers, and the laws of a stage."""

import json
from random import Random

import msgspec
import numpy as np
import pytest

from operators.catalogue import Catalogue, CatalogueSettings
from operators.features_wire import (
    Complete,
    ItemFeatures,
    ItemGone,
    TextSignal,
    parse_features,
    parse_signal,
)
from operators.readings import CaughtUp, ItemLeft, ItemRead, Reading, TextRead
from operators.whitening import Moments, SpaceMap, fit
from tests import contracts
from tests.driven import Driven, counts, plain

DIMENSIONS = 8
ENCODER = "fake:1"
SETTINGS = CatalogueSettings(neighbours=3, similarity_min=-1.0, map_counts=[6, 12])
DIRECTIONS = np.random.default_rng(5).normal(size=(40, DIMENSIONS)).astype(np.float32)


def reading(number: int | None, encoder: str = ENCODER, **fields) -> Reading:
    """A vector in a narrow cone, as encoders make them; None is a text without one."""
    packed = b""
    if number is not None:
        vector = DIRECTIONS[number] * 0.3 + 2.0
        packed = (vector / np.linalg.norm(vector)).astype("<f2").tobytes()
    return Reading(
        encoder, packed, fields.get("language", "en"), 0.5, {"joy": 1.0}, [("drama", 0.7)],
        [("sea", 1.0)], fields.get("fallback", ""),
    )  # fmt: skip


def read(number: int, at_ms: int = 1000, item: str = "", **fields) -> ItemRead:
    item = item or f"i{number}"
    tenant, encoder = fields.pop("tenant", "default"), fields.pop("encoder", ENCODER)
    return ItemRead(
        at_ms, f"\x00{item}", tenant, item, f"c{number}", reading(number, encoder, **fields)
    )


def left(item: str, at_ms: int) -> ItemLeft:
    return ItemLeft(at_ms, f"\x00{item}", "default", item)


def wrote(number: int | None, **fields) -> TextRead:
    return TextRead(
        5000, "e1", "default", "u", fields.get("item", ""), "search", reading(number, **fields)
    )


def caught_up(partition: int, partitions: int = 2, encoder: str = ENCODER) -> CaughtUp:
    return CaughtUp(0, "", encoder, partition, partitions)


def records(outs, to: str = "features") -> list:
    """What a reader of the topic would see, in order."""
    found = [out.message for out in outs if out.to == to]
    if to == "signals":
        return [parse_signal(one.value.encode()) for one in found]
    return [parse_features(one.key.encode(), one.value and one.value.encode()) for one in found]


def features(outs) -> dict[str, ItemFeatures]:
    return {one.item_id: one for one in records(outs) if isinstance(one, ItemFeatures)}


@pytest.fixture
def stage() -> Driven:
    return Driven(Catalogue(SETTINGS))


def brute_force(numbers: list[int], of: int, space: SpaceMap) -> list[str]:
    encoded = {n: np.frombuffer(reading(n).encoded, "<f2").astype(np.float32) for n in numbers}
    mapped = {n: space.apply(vector[None])[0] for n, vector in encoded.items()}
    others = [n for n in numbers if n != of]
    return [f"i{n}" for n in sorted(others, key=lambda n: -float(mapped[n] @ mapped[of]))][:3]


def test_an_item_gets_its_nearest_items_but_not_itself(stage):
    outs = stage.send(*(read(n) for n in range(5)))
    found = features(outs)
    assert list(found) == [f"i{n}" for n in range(5)]
    for number in range(5):
        near = [one.item_id for one in found[f"i{number}"].neighbours]
        assert near == brute_force(list(range(5)), number, SpaceMap(0))
    assert counts(outs)["published"] == 5


def test_what_is_published_is_what_was_read(stage):
    found = features(stage.send(read(0, 1234, fallback="cut")))["i0"]
    assert (found.event_time, found.language, found.sentiment) == (1234, "en", 0.5)
    assert (found.model, found.content, found.fallback) == (f"{ENCODER}/0", "c0", "cut")
    assert np.linalg.norm(found.vector) == pytest.approx(1.0, abs=1e-3)
    assert [one.name for one in [*found.topics, *found.tags]] == ["drama", "sea"]


def test_a_catalogue_that_has_grown_gets_a_map_and_is_published_anew(stage):
    stage.send(*(read(n) for n in range(5)))
    outs = stage.send(read(5))
    found = features(outs)
    assert sorted(found) == [f"i{n}" for n in range(6)]
    assert {one.model for one in found.values()} == {f"{ENCODER}/1"}
    moments = Moments.none(DIMENSIONS)
    for number in range(6):
        moments.add(np.frombuffer(reading(number).encoded, "<f2").astype(np.float32)[None])
    for number in range(6):
        near = [one.item_id for one in found[f"i{number}"].neighbours]
        assert near == brute_force(list(range(6)), number, fit(moments, 1))
    assert list(features(stage.send(read(6)))) == ["i6"]


def test_the_map_opens_the_cone(stage):
    """Whatever the encoder says, arbitrary items must not look alike."""
    before = features(stage.send(*(read(n) for n in range(5))))
    after = features(stage.send(*(read(n) for n in range(5, 40))))

    def mean_cosine(found):
        vectors = np.array([one.vector for one in found.values()])
        cosines = vectors @ vectors.T
        return cosines[~np.eye(len(cosines), dtype=bool)].mean()

    assert mean_cosine(before) > 0.9
    assert abs(mean_cosine(after)) < 0.1


def test_the_newest_record_of_an_item_counts(stage):
    stage.send(read(0, 2000), read(1, 1000))
    assert features(stage.send(read(2, 1999, item="i0"))) == {}
    assert features(stage.send(read(2, 2001, item="i0")))["i0"].content == "c2"
    assert stage.send(left("i0", 2000)) == []


def test_write_times_of_an_item_only_grow(stage):
    outs = stage.send(*(read(n) for n in range(5)))
    first = {out.key: out.message.written_us for out in outs if out.to == "features"}
    outs = stage.send(*(read(n) for n in range(5, 12)))
    again = {out.key: out.message.written_us for out in outs if out.to == "features"}
    assert again["i0"] > first["i0"]


def test_an_item_that_left_is_nobodys_neighbour_and_its_row_is_used_again(stage):
    stage.send(*(read(n) for n in range(4)))
    (gone,) = records(stage.send(left("i2", 2000)))
    assert gone == ItemGone(item_id="i2")
    found = features(stage.send(read(4)))
    assert "i2" not in [one.item_id for one in found["i4"].neighbours]
    group = stage.state.group.get(f"default\x1f{ENCODER}")
    assert (group.items, group.rows, group.free) == (4, 4, [])


def test_a_changed_text_takes_the_place_of_the_old_one(stage):
    stage.send(*(read(n) for n in range(4)))
    found = features(stage.send(read(7, 2000, item="i0")))
    near = [one.item_id for one in found["i0"].neighbours]
    assert near == [name for name in brute_force([1, 2, 3, 7], 7, SpaceMap(0)) if name != "i7"]
    assert stage.state.size.get("default") == 4


def test_items_that_come_and_leave_leave_nothing_behind_but_the_map(stage):
    stage.send(*(read(n) for n in range(8)))
    for number in range(8):
        stage.send(left(f"i{number}", 2000))
    assert dict(stage.data()["item"]) == {}
    assert stage.state.size.get("default") == 0
    (chunk,) = [stage.state.chunk.get(key) for key in stage.state.chunk.all_keys()]
    assert not any(chunk.ids)
    assert not chunk.encoded.any()


def test_a_marker_comes_when_the_catalogue_is_read_and_at_each_map_after(stage):
    assert not [r for r in records(stage.send(*(read(n) for n in range(3)), caught_up(0)))
                if isinstance(r, Complete)]  # fmt: skip
    (marker,) = records(stage.send(caught_up(1)))
    assert marker == Complete(event_time=1000, model=f"{ENCODER}/0")
    assert stage.send(caught_up(1)) == []
    *_, marker = records(stage.send(*(read(n, 1500) for n in range(3, 8))))
    assert marker == Complete(event_time=1500, model=f"{ENCODER}/1")


def test_a_new_encoder_is_not_complete_while_items_of_the_old_one_are_left(stage):
    stage.send(*(read(n) for n in range(3)), caught_up(0, 1))
    new = "fake:2"
    outs = stage.send(read(0, 2000, encoder=new), caught_up(0, 1, new))
    assert [type(one) for one in records(outs)] == [ItemFeatures]
    assert features(outs)["i0"].neighbours == [], "vectors of two encoders never meet"
    outs = stage.send(read(1, 2000, encoder=new), read(2, 2000, encoder=new))
    *_, marker = records(outs)
    assert marker == Complete(event_time=2000, model=f"{new}/0")


def test_an_item_without_a_vector_is_published_with_the_reason(stage):
    message = ItemRead(1, "\x00n", "default", "n", "", reading(None, "", fallback="no model"))
    found = features(stage.send(message, read(0)))["n"]
    assert (found.vector, found.model, found.neighbours) == ([], "", [])
    assert found.fallback == "no model"


def test_a_text_goes_through_the_map_of_the_items(stage):
    stage.send(*(read(n) for n in range(12)))
    item = features(stage.send(read(12)))["i12"]
    (signal,) = records(stage.send(wrote(12, item="i1")), "signals")
    assert isinstance(signal, TextSignal)
    assert signal.vector == item.vector
    assert (signal.model, signal.item_id, signal.action) == (item.model, "i1", "search")
    assert signal.emotions == {"joy": 1.0}


def test_tenants_do_not_see_each_other(stage):
    stage.send(read(0), read(1))
    assert features(stage.send(read(2, tenant="shop")))["i2"].neighbours == []


# --- the laws of a stage


def history(seed: int, size: int) -> list[list]:
    random, batches, now_ms = Random(seed), [[]], 1000
    for _ in range(size):
        now_ms += random.choice([0, 1, 50])
        if random.random() < 0.3:
            batches.append([])
        number, kind = random.randrange(20), random.random()
        encoder = random.choice([ENCODER, ENCODER, ENCODER, "fake:2"])
        tenant = random.choice(["default", "default", "shop"])
        if kind < 0.7:
            item = f"i{random.randrange(12)}"
            message = read(number, now_ms, item=item, encoder=encoder, tenant=tenant)
        elif kind < 0.85:
            message = left(f"i{random.randrange(12)}", now_ms)
        elif kind < 0.95:
            message = wrote(random.choice([number, None]), encoder=encoder)
        else:
            message = caught_up(random.randrange(2), encoder=encoder)
        batches[-1].append(message)
    return [batch for batch in batches if batch]


def run(seed: int, table=None) -> tuple[list, dict]:
    driven = Driven(Catalogue(SETTINGS), *([table] if table else []))
    said = [contracts.wire(driven.send(*batch)) for batch in history(seed, 120)]
    codecs = Catalogue.codecs
    data = {
        name: dict(values.data) if hasattr(values, "data")
        else {key: codecs[name].encode(value) for key, value in values.items()}
        for name, values in vars(driven.state).items()
    }  # fmt: skip
    return said, data


@pytest.mark.parametrize("seed", range(20))
def test_values_that_live_on_and_values_read_anew_give_the_same(seed):
    assert run(seed) == run(seed, plain)


@pytest.mark.parametrize("seed", range(5))
def test_codecs_give_back_what_they_took(seed):
    for name, values in run(seed)[1].items():
        codec = Catalogue.codecs[name]
        for packed in values.values():
            assert codec.encode(codec.decode(packed)) == packed


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_has_one_order_and_messages_survive_the_wire(seed):
    decoder = msgspec.msgpack.Decoder(list[Catalogue.inputs])
    one, other = Driven(Catalogue(SETTINGS)), Driven(Catalogue(SETTINGS))
    for batch in history(seed, 120):
        again = decoder.decode(contracts.ENCODER.encode(batch))
        assert again == batch
        # Of one moment and item the last one sent counts, so those keep their places.
        moments = {(m.time_ms, m.event_id) for m in batch}
        if len(moments) == len(batch):
            Random(seed).shuffle(again)
        assert contracts.wire(one.send(*batch)) == contracts.wire(other.send(*again))


def test_nothing_comes_of_nothing(stage):
    assert stage.send() == []
    assert stage.settle() == []
    assert not any(stage.data().values())


def test_records_hold_no_text_and_fit_the_contract(stage):
    for out in stage.send(read(0)):
        if out.to == "features":
            assert {"item_id", "event_time", "model", "vector", "language", "topics", "tags",
                    "sentiment", "neighbours"} <= set(json.loads(out.message.value))  # fmt: skip
