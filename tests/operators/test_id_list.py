"""Ids as one text: whatever characters they have, and wherever their rows go."""

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from operators.accumulator import RankedUser, UserCodec
from operators.compression import compress, decompress
from operators.id_list import (
    IdList,
    as_text,
    ends_of,
    id_list,
    join,
    pick,
    picked,
    split,
    take,
    text_of,
)
from operators.messages import Pulled
from tests.driven import counted, near, pulled, signal
from tests.operators.test_ranking import ranking

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\x00\x010a")))
"""As the border lets them in, and empty ones."""


@given(IDS)
@example([])
@example([""])
@example(["\x010", "\x00", "\x01\x00", "\x0110", "01"])
def test_any_ids_are_found_again_in_their_text(ids):
    text = join(ids)
    assert split(text) == ids
    assert text_of(text) == text_of(ids) == text
    found = id_list(ids)
    assert as_text(found) == text
    assert len(found.ends) == len(ids)
    assert id_list(text).ends.tolist() == found.ends.tolist()


def places_of(data, size: int) -> np.ndarray:
    chosen = st.lists(st.sampled_from(range(size)), unique=True) if size else st.just([])
    return np.array(data.draw(chosen), np.int64)


@given(IDS, IDS, st.data())
def test_ids_follow_their_rows(known, told, data):
    places = places_of(data, len(known) + len(told))
    expected = [(known + told)[place] for place in places]
    more = np.frombuffer(join(told).encode(), np.uint8)
    left = IdList(*picked(*id_list(known), more, ends_of(more, len(told)), places))
    assert split(as_text(left)) == expected
    assert [len(join(expected[: n + 1]).encode()) for n in range(len(expected))] == (
        left.ends.tolist()
    )
    assert pick(id_list(known), id_list(told), places) == expected
    own = places[places < len(known)]
    assert split(as_text(take(id_list(known), own))) == [known[place] for place in own]


@pytest.mark.parametrize("told", [["a"], ["a", "b", "c"], []])
def test_a_text_of_more_or_fewer_ids_than_rows_is_refused(told):
    with pytest.raises(ValueError, match="another number of ids"):
        ends_of(np.frombuffer(join(told).encode(), np.uint8), 2)


ODD = ("日本", "b\x00c", "\x01", "d\x010", "Z")


def test_a_list_names_items_of_any_characters():
    stage = ranking()
    stage.touch("u", "a", *(near(one, 0.1 * (9 - n)) for n, one in enumerate(ODD)))
    assert stage.lists["u"].ids == list(ODD)
    stage.touch("u", "\x01")
    assert stage.lists["u"].ids == ["日本", "b\x00c", "d\x010", "Z"]


def test_answers_and_users_of_earlier_releases_say_the_same():
    rows = [near(one, 0.1 * (9 - n)) for n, one in enumerate(ODD)]
    lists, users = [], []
    for as_before in (False, True):
        stage = ranking()
        told = pulled(counted(signal("u", "a", 1000, event_id="e")), *rows)
        if as_before:
            told = msgspec.structs.replace(told, ids=split(told.ids))
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=Pulled)
        assert again.ids == (list(ODD) if as_before else join(ODD))
        stage.send(again)
        lists.append(stage.lists["u"].ids)
        users.append(stage.state.user.get("default\x1fu"))
    assert lists == [list(ODD)] * 2
    new, old = map(UserCodec().encode, users)
    assert new == old

    fields = msgspec.msgpack.decode(decompress(new))
    place = fields.index(join(ODD))
    fields[place] = list(ODD)
    stored: RankedUser = UserCodec().decode(compress(msgspec.msgpack.encode(fields)))
    assert as_text(stored.ids) == join(ODD)
    assert UserCodec().encode(stored) == new
