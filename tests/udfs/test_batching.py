"""Plans of batches, and running them past failures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.batching import padding, plan
from udfs.handler import Failure, Limits
from udfs.running import run

LENGTHS = st.lists(st.integers(0, 300), max_size=200)
LIMITS = st.builds(
    Limits, texts=st.integers(1, 64), tokens=st.integers(1, 4096), padding=st.floats(0, 1)
)


@given(LENGTHS, LIMITS)
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(lengths, limits):
    batches = plan(lengths, limits)
    assert sorted(int(at) for batch in batches for at in batch) == list(range(len(lengths)))
    size = np.maximum(np.array(lengths, int), 1)
    for batch in batches:
        area = int(size[batch].max()) * len(batch)
        assert len(batch) == 1 or area <= limits.tokens
        assert len(batch) <= limits.texts
        assert area - int(size[batch].sum()) <= limits.padding * area + 1e-9


def test_reviews_waste_little():
    lengths = np.random.default_rng(1).lognormal(3.5, 0.8, 2000).astype(int).clip(3, 256).tolist()
    assert padding(lengths, plan(lengths, Limits())) < 0.07
    in_order = [np.arange(at, at + 32) for at in range(0, 1984, 32)]
    assert padding(lengths[:1984], in_order) > 0.4


def test_a_batch_too_large_for_the_memory_goes_through_in_parts():
    sizes = []

    def call(ids):
        if len(ids) > 3:
            raise MemoryError("DefaultCPUAllocator: can't allocate memory")
        sizes.append(len(ids))
        return [sum(one) for one in ids]

    ids = [[at] * 5 for at in range(10)]
    assert run(ids, Limits(), call) == [5 * at for at in range(10)]
    assert max(sizes) > 1


def test_a_text_that_fails_alone_says_where_and_the_others_do_not_notice():
    def call(ids):
        if any(one[0] == 13 for one in ids):
            raise ValueError("index out of range\nand a long story")
        return [None if one[0] == 7 else one[0] for one in ids]

    ids = [[at] for at in range(20)] + [[]]
    answers = run(ids, Limits(texts=8), call)
    assert answers[13] == Failure("in", "ValueError: index out of range (1 tokens)")
    assert answers[7] == Failure("after", "no finite answer")
    assert answers[20] == Failure("before", "no tokens in it")
    others = [at for at in range(20) if at not in {7, 13}]
    assert [answers[at] for at in others] == others


def test_an_interrupt_is_not_taken_for_a_bad_text():
    def call(ids):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([[1]], Limits(), call)
