"""What items say, as unit vectors that are easy to tell apart."""

import numpy as np

from operators.messages import About
from operators.packing import code_of
from operators.parameters import InterestSettings

S = InterestSettings(interests_max=3, same_min=0.5, merge_min=0.6)


def direction(*parts: float, size: int = 8) -> np.ndarray:
    vector = np.zeros(size, "f4")
    vector[: len(parts)] = parts
    return vector


def about(vector: np.ndarray, tags=(), sentiment: float = 0.0, model: str = "m/1") -> About:
    return About(model, code_of(vector), list(tags), sentiment)


A, B, C, D = (direction(*(0.0,) * n, 1.0) for n in range(4))
