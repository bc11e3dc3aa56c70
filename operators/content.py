"""Stage before the figures, by item: what an item says, and which items say the like.

Keeps the newest record of an item's features and turns it into messages: what the item says goes
on to its own neighbours, and for each of its nearest items two `Meeting`s do, one each way, so
that an old item hears of a new one as soon as the new one is there. They pass the figures stage,
which attaches what is known of the item that is told about. An item that a newer record no longer
names is parted the same way.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct, field

from operators.messages import Described, Featured, Meeting, order
from operators.parameters import ContentSettings
from operators.stage import COUNT, Codec, Out, StructCodec, Table, scoped, settle_nothing


class Edges(Struct, array_like=True):
    """The nearest items that an item's newest record names."""

    time_ms: int = -1
    near: list[str] = field(default_factory=list)


@dataclass
class ContentState:
    """Items by tenant and id."""

    item: Table[Edges]


class Content:
    """See the module."""

    name = "content"
    inputs = Featured
    codecs: Mapping[str, Codec[Any]] = {"item": StructCodec(Edges)}
    state_type = ContentState
    settle = staticmethod(settle_nothing)
    order = staticmethod(order)

    def __init__(self, settings: ContentSettings) -> None:
        self._settings = settings

    def apply(self, state: ContentState, batch: Sequence[Featured]) -> list[Out]:
        outs: list[Out] = []
        for message in batch:
            key = scoped(message.tenant, message.item)
            known = state.item.get(key) or Edges()
            if message.time_ms < known.time_ms:
                outs.append(Out(COUNT, "older_features", 1))
                continue
            outs += self._tell(message, known.near)
            near = [other for other, _ in self._near(message)]
            state.item.put(key, Edges(message.time_ms, near))
        return outs

    def _near(self, message: Featured) -> list[tuple[str, float]]:
        found = dict(near for near in message.near if near[0] != message.item and near[1] > 0)
        return list(found.items())[: self._settings.near_max]

    def _tell(self, message: Featured, before: Sequence[str]) -> Iterator[Out]:
        item, tenant = message.item, message.tenant
        near = self._near(message)
        described = Described(message.time_ms, message.event_id, tenant, item, item, message.about)
        yield Out("figures", scoped(tenant, item), described)
        gone = dict.fromkeys(before, 0.0)
        for other, similarity in {**gone, **dict(near)}.items():
            for one, told in ((item, other), (other, item)):
                event_id = f"{message.event_id}\x00{one}\x00{told}"
                yield Out(
                    "figures", scoped(tenant, one),
                    Meeting(
                        message.time_ms, event_id, tenant, one, told, similarity, told == item
                    ),
                )  # fmt: skip
