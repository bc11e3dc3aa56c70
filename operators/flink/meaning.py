"""Warns in the job's log when a state begins empty because its settings have changed."""

import logging
from collections.abc import Callable

import msgspec
from pyflink.common import Types
from pyflink.datastream.functions import RuntimeContext
from pyflink.datastream.state import MapState, MapStateDescriptor

from operators.meaning import Meaning, changes, loss

_LOG = logging.getLogger("headwater")


class Kept:
    """The meaning each bucket's state was made with, under a name that no setting changes.

    Args:
        state: MapState of text by text.
        stage: Whose state.
        meaning: Of now.
        warn: Is told of a change, once.
    """

    def __init__(
        self,
        state: MapState,
        stage: str,
        meaning: Meaning,
        warn: Callable[[str], object] = _LOG.warning,
    ) -> None:
        self._state = state
        self._stage = stage
        self._meaning = meaning
        self._warn = warn
        self._told = False
        self._looked: set[int] = set()

    def look(self, bucket: int) -> None:
        """Compare at the first batch of a bucket; Flink's current key is the bucket."""
        if bucket in self._looked:
            return
        self._looked.add(bucket)
        now = msgspec.json.encode(self._meaning.settings, order="sorted").decode()
        known = self._state.get("")
        if known == now:
            return
        self._state.put("", now)
        differing = changes(msgspec.json.decode(known), self._meaning.settings) if known else []
        if differing and not self._told:
            self._told = True
            self._warn(f"stage {self._stage}: {loss(differing)}")


def open_kept(context: RuntimeContext, stage: str, meaning: Meaning) -> Kept:
    """The meaning a stage's state was made with."""
    descriptor = MapStateDescriptor(f"{stage}-meaning", Types.STRING(), Types.STRING())
    return Kept(context.get_map_state(descriptor), stage, meaning)
