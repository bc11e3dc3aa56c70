"""How a user feels of late: emotions of recent texts and of the user's own word, gone in hours.

A mood is context and no trait: it fades by half in a few hours, is kept apart from interests and
tags, and moves a list only where the settings say so, by shifting weight between the user's own
interests. `match` gives more to interests whose items say what the user feels, `lift` gives more
to the brighter ones while the user is low. `off`, the default, leaves every list alone.
"""

import math
from collections.abc import Mapping

from msgspec import Struct, field

from operators.parameters import MoodSettings

HOUR_MS = 3_600_000
VALENCE: Mapping[str, float] = {
    "joy": 1.0, "sadness": -1.0, "anger": -1.0, "fear": -1.0, "disgust": -1.0, "surprise": 0.25,
    "neutral": 0.0,
}  # fmt: skip
TOLD_MIN = 0.01
"""Weight below which an emotion is forgotten."""


class Mood(Struct, array_like=True):
    """Weight of each emotion at the time `last_ms`."""

    weights: dict[str, float] = field(default_factory=dict)
    last_ms: int = 0


def feel(mood: Mood, emotions: Mapping[str, float], time_ms: int, settings: MoodSettings) -> None:
    """Add emotions of one moment; late ones have faded already."""
    newer = max(time_ms, mood.last_ms)
    weights = current(mood, newer, settings)
    left = _left(newer - time_ms, settings)
    for name, weight in emotions.items():
        weights[name] = weights.get(name, 0.0) + weight * left
    mood.weights = {name: weight for name, weight in weights.items() if weight >= TOLD_MIN}
    mood.last_ms = newer


def current(mood: Mood, time_ms: int, settings: MoodSettings) -> dict[str, float]:
    """What is left of each emotion at a time."""
    left = _left(max(0, time_ms - mood.last_ms), settings)
    return {name: weight * left for name, weight in mood.weights.items()}


def valence(mood: Mood, time_ms: int, settings: MoodSettings) -> float:
    """From -1 (low) to 1 (bright); near 0 when little is known or long ago.

    The sum of weight times `VALENCE`, over one plus the sum of weights.
    """
    weights = current(mood, time_ms, settings)
    total = sum(weight * VALENCE.get(name, 0.0) for name, weight in weights.items())
    return total / (1.0 + sum(weights.values()))


def bend(
    shares: Mapping[int, float],
    bright: Mapping[int, float],
    felt: float,
    settings: MoodSettings,
) -> dict[int, float]:
    """Shares of interests as the mood moves them; they still sum to 1.

    Args:
        shares: By slot.
        bright: Valence of each slot's items, -1 to 1.
        felt: Valence of the user.
        settings: Of the mood.
    """
    if settings.mode == "off" or felt == 0:
        return dict(shares)
    pull = felt if settings.mode == "match" else max(0.0, -felt)
    moved = {
        slot: share * math.exp(settings.strength * pull * bright.get(slot, 0.0))
        for slot, share in shares.items()
    }
    total = sum(moved.values())
    return {slot: value / total for slot, value in moved.items()} if total > 0 else {}


def _left(age_ms: int, settings: MoodSettings) -> float:
    return float(2.0 ** (-age_ms / HOUR_MS / settings.half_life_hours))
