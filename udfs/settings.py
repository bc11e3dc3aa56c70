"""Settings of text understanding, and the handlers they make."""

from pathlib import Path
from typing import Any

from msgspec import Struct

from udfs.analysis import Classifier, Feelings, Sentiment, Topics
from udfs.embedding import Encoder
from udfs.handler import Embedded, Handler
from udfs.heads import load_head
from udfs.prototypes import Prototypes, descriptions
from udfs.sequence import SequenceClassifier
from udfs.tags import Tags

AUTO, OFF = "auto", "off"

TEMPERATURES = {"sentiment": 0.25, "emotions": 0.15, "topics": 0.1}
"""How sharp the probabilities of prototypes are, by task."""


class AnalysisSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is found out besides the vector.

    Attributes:
        heads: Folder of trained heads; a task that has one there uses the newest.
        prototypes: TOML file of described labels for tasks without a head; None is the one that
            comes along.
        sentiment, emotions, topics: `auto` takes a head, or else prototypes; `off` leaves it out;
            anything else is a sequence-classification model, by hub id or folder.
        tags: Whether tags are taken from the text.
    """

    heads: str | None = None
    prototypes: str | None = None
    sentiment: str = AUTO
    emotions: str = AUTO
    topics: str = AUTO
    tags: bool = True


def analyses(settings: AnalysisSettings, encoder: Encoder) -> dict[str, Handler[Embedded, Any]]:
    """The handlers behind a loaded encoder by name, not yet loaded themselves.

    Raises:
        ModelError: A head is broken, or was trained on vectors of another space.
    """
    made: dict[str, Handler[Embedded, Any]] = {}
    for kind in (Sentiment, Feelings, Topics):
        classifier = _classifier(kind.name, settings, encoder)
        if classifier is not None:
            made[kind.name] = kind(classifier)
    if settings.tags:
        made[Tags.name] = Tags()
    return made


def _classifier(task: str, settings: AnalysisSettings, encoder: Encoder) -> Classifier | None:
    wanted = getattr(settings, task)
    if wanted == OFF:
        return None
    if wanted != AUTO:
        return SequenceClassifier(wanted, encoder.settings.device, encoder.limits)
    head = load_head(Path(settings.heads), task) if settings.heads else None
    if head is not None:
        head.check(encoder.space)
        return head
    path = Path(settings.prototypes) if settings.prototypes else None
    return Prototypes(task, descriptions(task, path), encoder, TEMPERATURES[task])
