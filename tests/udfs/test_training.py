"""Heads learn, are the same for the same seed, and say what they can do on texts not trained on."""

import numpy as np
import pytest

from udfs.errors import UnderstandingError
from udfs.handler import Embedded, Space, Text
from udfs.training import data_hash, split, train

SPACE = Space(model="m:1", map_version="0", dimensions=8)


def sample(count, labels=("bad", "good"), noise=0.5, seed=1):
    """Vectors about a common mean, far apart only in a direction of little spread, as with e5."""
    random = np.random.default_rng(seed)
    at = random.integers(len(labels), size=count)
    centres = np.random.default_rng(0).normal(size=(len(labels), 8)) * 0.02
    rows = 1 + centres[at] + 0.02 * noise * random.normal(size=(count, 8))
    return rows.astype(np.float32), [labels[one] for one in at]


def fitted(train_set, test_set, **changes):
    given = {"task": "topics", "version": 3, "space": SPACE, "seed": 5, "hashed": "ab"} | changes
    return train(train_set, test_set, **given)


@pytest.mark.parametrize("labels", [("bad", "good"), ("a", "b", "c", "d")])
def test_a_head_learns_what_can_be_learned_and_reads_vectors_as_they_come(labels):
    test_set = sample(200, labels, seed=2)
    head = fitted(sample(400, labels), test_set)
    assert head.meta.accuracy > 0.9
    rows = [Embedded(Text(text="x", language="en"), row) for row in test_set[0]]
    best = [head.labels[int(one.argmax())] for one in head.classify(rows)]
    right = np.mean([one == label for one, label in zip(best, test_set[1], strict=True)])
    assert right == pytest.approx(head.meta.accuracy, abs=1e-4)
    assert head.meta.labels == sorted(labels)


def test_labels_without_a_cause_give_chance_and_its_error():
    vectors, _ = sample(300)
    random = np.random.default_rng(3)
    labels = random.choice(["a", "b"], 300).tolist()
    head = fitted((vectors[:200], labels[:200]), (vectors[200:], labels[200:]))
    assert 0.3 < head.meta.accuracy < 0.7
    assert head.meta.standard_error == pytest.approx(0.05, abs=0.01)
    assert 0.5 <= head.meta.majority < 0.7


def test_the_same_data_and_seed_give_the_same_weights():
    one, other = (fitted(sample(100), sample(50, seed=2)) for _ in range(2))
    probe = sample(20, seed=9)[0]
    assert np.array_equal(one.of_vectors(probe), other.of_vectors(probe))
    assert one.meta == other.meta


def test_a_label_that_is_only_in_the_test_counts_as_a_mistake():
    vectors, labels = sample(100)
    head = fitted((vectors, labels), (vectors[:2], ["never", labels[1]]))
    assert head.meta.accuracy <= 0.5


@pytest.mark.parametrize("labels", [["a"] * 50, ["a", "b"] * 4])
def test_too_little_to_learn_from_is_an_error(labels):
    vectors = np.ones((len(labels), 8), np.float32)
    with pytest.raises(UnderstandingError, match="a head needs at least 10 texts and 2 to 1000"):
        fitted((vectors, labels), (vectors, labels))


def test_a_split_loses_and_doubles_nothing():
    chosen, held_out = split(101, seed=4)
    assert sorted(chosen + held_out) == list(range(101))
    assert len(held_out) == 20
    assert split(101, seed=4) == (chosen, held_out)
    assert split(101, seed=5) != (chosen, held_out)
    assert len(split(6000, 1, 1200)[0]) == 4800


def test_the_hash_of_the_data_knows_order_labels_and_where_texts_end():
    base = data_hash(["ab", "c"], ["x", "y"])
    others = [(["a", "bc"], ["x", "y"]), (["c", "ab"], ["y", "x"]), (["ab", "c"], ["x", "z"])]
    assert base not in {data_hash(*one) for one in others}
    assert data_hash(["\ud800"], ["x"])
