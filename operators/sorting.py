"""Compiled loops that put a few hundred numbers in order.

What numba makes of `argsort` and `partition` serves arrays of any kind, and what is no number too.
To compile the two for what is here took 11 of 55 s, and to sort with them takes twice as long.
"""

from typing import Any

import numpy as np

from operators.kernels import kernel

DIGITS, DIGIT_BITS = 8, 8


@kernel
def ascending(values: Any) -> Any:
    """Places of the values from the smallest to the largest; of equal ones the first stands before.

    A radix sort from the lowest digit up: of 220 scores 6 us, where a merge sort takes 12, since no
    processor foretells which of two is the smaller. None of them may be no number.
    """
    count = len(values)
    keys = _keys_of(values)
    order, moved = np.arange(count), np.empty(count, np.int64)
    for digit in range(DIGITS):
        ends, shift = np.zeros(1 << DIGIT_BITS, np.int64), np.uint64(digit * DIGIT_BITS)
        for place in range(count):
            ends[_digit(keys[place], shift)] += 1
        if count and ends[_digit(keys[0], shift)] == count:
            continue
        total = 0
        for number in range(len(ends)):
            ends[number], total = total, total + ends[number]
        for place in range(count):
            number = _digit(keys[order[place]], shift)
            moved[ends[number]] = order[place]
            ends[number] += 1
        order, moved = moved, order
    return order


@kernel
def _keys_of(values: Any) -> Any:
    """Whole numbers in the order of the values: their bits, all turned over below zero."""
    # Added to 0, the two zeros are one.
    keys, sign = (values + 0.0).view(np.uint64), np.uint64(1) << np.uint64(63)
    for place in range(len(keys)):
        keys[place] = ~keys[place] if keys[place] & sign else keys[place] | sign
    return keys


@kernel
def _digit(key: Any, shift: Any) -> Any:
    return (key >> shift) & np.uint64((1 << DIGIT_BITS) - 1)


@kernel
def largest(values: Any, count: int) -> Any:
    """Places of the `count` largest of more values, in their order; of equal ones the first.

    Quickselect (Hoare, CACM 1961) finds how large the smallest of them is.
    """
    bound = _nth(values.copy(), len(values) - count)
    equal = count
    for value in values:
        equal -= value > bound
    places, kept = np.empty(count, np.int64), 0
    for place in range(len(values)):
        value = values[place]
        if value > bound or (value == bound and equal > 0):
            equal -= value == bound
            places[kept] = place
            kept += 1
    return places


@kernel
def _nth(values: Any, wanted: int) -> Any:
    """The value that has `wanted` ones before it in ascending order; moves them about."""
    low, high = 0, len(values) - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        left, right = low, high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while values[right] > pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if wanted <= right:
            high = right
        elif wanted >= left:
            low = left
        else:
            break
    return values[wanted]
