"""The pandas functions that read texts: Kafka records in, packed readings or a reason out.

They run in a Python process of their own beside the TaskManager, one for all such functions of a
slot, so the model is loaded once for items and events together. A record that cannot be parsed is
passed over here and only counted: `recommend` reads the same topics and reports it as a dead
letter, and a second letter would double it. What fails behind the parser, before, in or after
inference, is this job's own to report. Texts of users end here: no log, no metric, no state and no
topic behind these functions holds them.

They stand here because they join what `operators` says of records with what `udfs` says of texts:
neither of the two knows the other, and both are free of Flink.
"""

import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf

from operators.events import (
    Border,
    Interaction,
    Item,
    Rejected,
    parse_event,
    parse_item,
    subject_of,
)
from operators.flink.collecting import collect_seldom
from operators.listing import deleted
from operators.readings import (
    CaughtUp,
    ItemLeft,
    Reading,
    Weights,
    item_read,
    item_text,
    text_read,
)
from operators.stage import bucket_of
from udfs.handler import Failure, Named, Text
from udfs.reader import Answer, Reader, pack
from udfs.text import prepare

if TYPE_CHECKING:
    import pandas as pd


READ = DataTypes.ROW(
    [
        DataTypes.FIELD("reason", DataTypes.STRING()),
        DataTypes.FIELD("bucket", DataTypes.INT()),
        DataTypes.FIELD("targets", DataTypes.ARRAY(DataTypes.INT())),
        DataTypes.FIELD("payload", DataTypes.STRING()),
        DataTypes.FIELD("shared", DataTypes.STRING()),
    ]
)
"""Why the record is a dead letter (null if it is not); the bucket of its message; all buckets that
get something, none if there is nothing to say; what goes to its bucket, and what to the others."""

Said = tuple[str | None, int, list[Any]]
"""Reason, bucket, messages for it."""

NOTHING: Said = (None, 0, [])
R = TypeVar("R", Interaction, Item)

_ENCODER = msgspec.msgpack.Encoder()


def packed(messages: Sequence[Any]) -> str:
    """As the stages take them: base64 of a MessagePack list."""
    return b64encode(_ENCODER.encode(messages)).decode() if messages else ""


class SharedReader:
    """The one reader of a process, for functions that may be called from several threads."""

    _made: Mapping[str, "SharedReader"] = {}
    _making = threading.Lock()

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.lock = threading.Lock()

    @classmethod
    def of(cls, name: str, make: Callable[[], Reader]) -> "SharedReader":
        """The reader of this name, made and loaded by the first who asks."""
        with cls._making:
            if name not in cls._made:
                reader = make()
                reader.load()
                cls._made = {**cls._made, name: cls(reader)}
            return cls._made[name]


class _Read(ScalarFunction):
    """What reading items and reading events share.

    Args:
        name: Of the reader in its process.
        make: Makes it there.
        border: Limits of a record.
        buckets: Of the stage behind.
        clock: Milliseconds since 1970.
    """

    remember = False

    def __init__(
        self,
        name: str,
        make: Callable[[], Reader],
        border: Border,
        buckets: int,
        clock: Callable[[], int],
    ) -> None:
        self._name, self._make = name, make
        self._border, self._buckets, self._clock = border, buckets, clock

    def open(self, function_context: Any) -> None:
        collect_seldom()
        self._group = function_context.get_metric_group().add_group("stage", "read")
        self._counts: dict[str, Any] = {}
        self._shared = SharedReader.of(self._name, self._make)
        self._count("without_model", int(bool(self._shared.reader.missing)))

    def is_deterministic(self) -> bool:
        return False  # else the planner may read every text once for each sink

    def _count(self, name: str, increase: int = 1) -> None:
        counter = self._counts.get(name)
        if counter is None:
            counter = self._counts[name] = self._group.counter(name)
        counter.inc(increase)

    def _dead(self, failure: Failure) -> Said:
        self._count(f"failed_{failure.phase}")
        return f"{failure.phase} inference: {failure.reason}", 0, []

    def _answers(self, texts: Sequence[Text]) -> list[Answer | Failure]:
        """Answers, with the metrics of the call."""
        reader, started_ns = self._shared.reader, time.perf_counter_ns()
        with self._shared.lock:
            hits, misses = reader.hits, reader.misses
            answers = reader.read(texts, remember=self.remember)
            self._count("cache_hits", reader.hits - hits)
            self._count("cache_misses", reader.misses - misses)
        self._count("texts", len(texts))
        self._count("busy_us", (time.perf_counter_ns() - started_ns) // 1000)
        self._count("fallback", sum(isinstance(a, Answer) and a.fallback != "" for a in answers))
        return answers

    def _say(
        self,
        said: list[Said],
        asked: Sequence[tuple[int, R, Text]],
        message: Callable[[R, Answer, Reading], Any],
    ) -> None:
        """Let the model read texts, and put what is to be said of their records in its places."""
        answers = self._answers([text for _, _, text in asked])
        for (at, record, text), answer in zip(asked, answers, strict=True):
            if isinstance(answer, Failure):
                said[at] = self._dead(answer)
            else:
                reading = self._reading(text, answer)
                said[at] = self._to(record.tenant, message(record, answer, reading))

    def _reading(self, text: Text, answer: Answer) -> Reading:
        found = answer.found
        return Reading(
            self._shared.reader.encoder,
            b"" if answer.vector is None else pack(answer.vector),
            text.language, max(-1.0, min(1.0, found.get("sentiment", 0.0))), _feelings(found),
            _weights(found.get("topics", ())), _weights(found.get("tags", ())), answer.fallback,
        )  # fmt: skip

    def _to(self, tenant: str, message: Any) -> Said:
        return None, bucket_of(tenant, self._buckets), [message]


class ReadEvents(_Read):
    """`read_events(value)`: texts that somebody wrote."""

    def eval(self, values: "pd.Series") -> "pd.DataFrame":
        now_ms = self._clock()
        said = [NOTHING] * len(values)
        asked: list[tuple[int, Interaction, Text]] = []
        for at, value in enumerate(values):
            event = parse_event(value, now_ms, self._border)
            if not isinstance(event, Interaction):
                self._count("unparsed", int(isinstance(event, Rejected)))
            elif event.text and event.text.strip() and subject_of(event):
                text = prepare(event.text, event.language)
                if isinstance(text, Failure):
                    said[at] = self._dead(text)
                else:
                    asked.append((at, event, text))
        self._say(said, asked, lambda event, _, reading: text_read(event, reading))
        return _frame(said, {}, self._buckets)


class ReadItems(_Read):
    """`read_items(key, value, partition, offset, time_ms)`: texts of the catalogue.

    Args:
        ends: Offset behind the last record of each partition that held any when the job began. The
            row that reaches it also tells every bucket that the partition has been read.
    """

    remember = True

    def __init__(self, ends: Mapping[int, int], **common: Any) -> None:
        super().__init__(**common)
        self._ends = dict(ends)
        self._told: set[int] = set()

    def eval(
        self,
        keys: "pd.Series",
        values: "pd.Series",
        partitions: "pd.Series",
        offsets: "pd.Series",
        times_ms: "pd.Series",
    ) -> "pd.DataFrame":
        now_ms = self._clock()
        said = [NOTHING] * len(values)
        asked: list[tuple[int, Item, Text]] = []
        for at, (key, value, time_ms) in enumerate(zip(keys, values, times_ms, strict=True)):
            item = self._item(key, value, int(time_ms), now_ms)
            if isinstance(item, ItemLeft):
                said[at] = self._to(item.tenant, item)
            elif isinstance(item, Rejected):
                self._count("unparsed")
            else:
                text = prepare(item_text(item), item.language, "passage")
                if isinstance(text, Failure):
                    said[at] = self._dead(text)
                else:
                    asked.append((at, item, text))
        self._say(
            said, asked, lambda item, answer, reading: item_read(item, answer.content, reading)
        )
        return _frame(said, self._read_up(partitions, offsets), self._buckets)

    def _item(
        self, key: bytes | None, value: bytes | None, time_ms: int, now_ms: int
    ) -> Item | ItemLeft | Rejected:
        if value is not None:
            return parse_item(value, now_ms, self._border)
        gone = deleted(key, time_ms, latest_ms=now_ms + self._border.future_max_ms)
        if isinstance(gone, Rejected):
            return gone
        return ItemLeft(gone.time_ms, gone.event_id, gone.tenant, gone.item)

    def _read_up(self, partitions: "pd.Series", offsets: "pd.Series") -> dict[int, CaughtUp]:
        """By row: partitions that this row ends. An empty catalogue is read before its first."""
        found: dict[int, CaughtUp] = {}
        encoder = self._shared.reader.encoder
        for at, (partition, offset) in enumerate(zip(partitions, offsets, strict=True)):
            if not self._ends:
                partition = -1
            elif offset < self._ends.get(partition, 2**62) - 1:
                continue
            if partition not in self._told:
                self._told.add(partition)
                found[at] = CaughtUp(0, "", encoder, int(partition), max(1, len(self._ends)))
        return found


def _weights(names: Iterable[Named]) -> Weights:
    return [(one.name, one.weight) for one in names]


def _feelings(found: Mapping[str, Any]) -> dict[str, float]:
    """Weights of the emotions, with `valence` and `arousal` beside them."""
    emotions = found.get("emotions")
    if emotions is None:
        return {}
    return {**emotions.weights, "valence": emotions.valence, "arousal": emotions.arousal}


def _frame(said: Sequence[Said], ends: Mapping[int, CaughtUp], buckets: int) -> "pd.DataFrame":
    """Rows of `READ`."""
    import pandas as pd

    rows = []
    for at, (reason, bucket, messages) in enumerate(said):
        end = ends.get(at)
        if end is not None:
            targets = list(range(buckets))
            rows.append((reason, bucket, targets, packed([*messages, end]), packed([end])))
        else:
            rows.append((reason, bucket, [bucket] if messages else [], packed(messages), ""))
    return pd.DataFrame(rows, columns=["reason", "bucket", "targets", "payload", "shared"])


def _pandas(function: ScalarFunction) -> Any:
    return udf(function, result_type=READ, func_type="pandas", deterministic=False)


def events_reader(
    name: str, make: Callable[[], Reader], border: Border, buckets: int, clock: Callable[[], int]
) -> Any:
    """`read_events(value BYTES)` for SQL."""
    return _pandas(ReadEvents(name, make, border, buckets, clock))


def items_reader(
    name: str,
    make: Callable[[], Reader],
    border: Border,
    buckets: int,
    clock: Callable[[], int],
    ends: Mapping[int, int],
) -> Any:
    """`read_items(key BYTES, value BYTES, partition INT, offset BIGINT, time_ms BIGINT)`."""
    function = ReadItems(ends, name=name, make=make, border=border, buckets=buckets, clock=clock)
    return _pandas(function)
