"""Texts through the encoder and what is behind it: nothing computed twice, nothing lost."""

import numpy as np
import pytest

from udfs.errors import ModelError
from udfs.fake import HashEncoder
from udfs.handler import Failure, Limits, Text
from udfs.reader import Answer, Reader, Remembered, pack, unpack
from udfs.text import content_key


class Broken:
    """An encoder that cannot be loaded."""

    def load(self) -> None:
        raise ModelError("no such folder")


class Lengths:
    """Finds how long a text is, unless it is long."""

    name = model = "length"
    limits = Limits()

    def load(self) -> None:
        pass

    def infer(self, batch):
        return [len(one.text.text) if len(one.text.text) < 9 else Failure("in", "long")
                for one in batch]  # fmt: skip


def text(words: str, **fields) -> Text:
    return Text(text=words, language="en", role="passage", **fields)


def loaded(encoder=None, finders=None, size: int = 100, **options) -> tuple[Reader, HashEncoder]:
    encoder = encoder or HashEncoder(refuse="poison")
    reader = Reader(encoder, lambda: finders or {}, remembered=Remembered(size), **options)
    reader.load()
    return reader, encoder


def test_an_answer_carries_the_vector_and_the_key_of_its_text():
    reader, encoder = loaded()
    (answer,) = reader.read([text("a cat")], remember=True)
    (vector,) = encoder.infer([text("a cat")])
    assert answer.vector == pytest.approx(vector, abs=1e-3)
    assert answer.content == content_key(text("a cat"), encoder.space)
    assert answer.fallback == ""
    assert reader.encoder == "hash"


def test_no_text_of_the_catalogue_is_computed_twice():
    reader, encoder = loaded()
    first = reader.read([text("a cat"), text("a dog"), text("a cat")], remember=True)
    assert encoder.texts == 2
    again = reader.read([text("a dog"), text("a cat")], remember=True)
    assert encoder.texts == 2
    assert (reader.hits, reader.misses) == (3, 2)
    assert np.array_equal(again[1].vector, first[0].vector)
    assert np.array_equal(first[0].vector, first[2].vector)


def test_vectors_of_users_are_not_kept():
    reader, encoder = loaded()
    reader.read([text("what I think")], remember=False)
    reader.read([text("what I think")], remember=False)
    assert encoder.texts == 2


def test_what_was_published_before_is_known_at_the_start():
    encoder = HashEncoder()
    (vector,) = encoder.infer([text("a cat")])
    remembered = Remembered(10)
    remembered.put(content_key(text("a cat"), encoder.space), pack(vector))
    reader = Reader(encoder, dict, remembered=remembered)
    reader.load()
    (answer,) = reader.read([text("a cat")], remember=True)
    assert encoder.texts == 1
    assert np.array_equal(answer.vector, unpack(pack(vector)))


def test_the_longest_unused_is_forgotten():
    reader, encoder = loaded(size=2)
    for words in ("one", "two", "one", "three", "one"):
        reader.read([text(words)], remember=True)
    assert encoder.texts == 3
    reader.read([text("two")], remember=True)
    assert encoder.texts == 4


def test_one_text_that_fails_does_not_take_the_others_with_it():
    reader, _ = loaded()
    good, bad, other = reader.read([text("a"), text("poison"), text("b")], remember=True)
    assert isinstance(good, Answer)
    assert isinstance(other, Answer)
    assert bad == Failure("in", "refused")
    assert isinstance(reader.read([text("poison")], remember=True)[0], Failure)


def test_a_finder_that_fails_leaves_out_its_part_and_says_so():
    reader, _ = loaded(finders={"length": Lengths()})
    short, long = reader.read([text("a cat", notes=("cut",)), text("a long text")], remember=True)
    assert (short.found, short.fallback) == ({"length": 5}, "cut")
    assert (long.found, long.fallback) == ({}, "no length: long")
    assert long.vector is not None


def test_without_a_model_it_fails_unless_it_may_degrade():
    with pytest.raises(ModelError):
        loaded(Broken())
    reader, _ = loaded(Broken(), degrade=True)
    (answer,) = reader.read([text("a cat", notes=("cut",))], remember=True)
    assert answer == Answer("", None, {}, "no model: no such folder; cut")
    assert reader.encoder == ""


def test_a_device_that_is_missing_is_said_in_every_answer():
    reader, _ = loaded(note="on the CPU: no cuda")
    assert reader.read([text("a")], remember=True)[0].fallback == "on the CPU: no cuda"


def test_nothing_to_read_is_nothing():
    reader, encoder = loaded()
    assert reader.read([], remember=True) == []
    assert encoder.texts == 0
