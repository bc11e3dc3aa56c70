"""Laws that every stage keeps, over the calls of a recorded run; `LAWS` holds them all.

A run is the graph in memory with small bounds, so that caches overflow, lists have successors and
windows close. Messages cross between stages as bytes, as they do in a job.
"""

import importlib
import inspect
import pkgutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import ModuleType
from typing import Any

import msgspec

import operators
from operators.composing import Strategy
from operators.events import (
    Event,
    Written,
)
from operators.features import FEATURES, Weights
from operators.learning import Learning, gradient_in
from operators.listing import deleted
from operators.messages import (
    Availability,
    Counted,
    Described,
    Featured,
    Gradient,
    Learn,
    Meeting,
    NewWeights,
    PairSeen,
    PairsSeen,
    PopularList,
    Pulled,
    RowDue,
)
from operators.packing import item_key
from operators.parameters import (
    AdmissionSettings,
    ContentSettings,
    FiguresSettings,
    HistorySettings,
    InterestSettings,
    LearningSettings,
    MoodSettings,
    NeighboursSettings,
    PopularSettings,
    RankingSettings,
    Shadow,
)
from operators.rows import Row
from operators.stage import BROADCAST, Out, bucket_of, scoped
from tests.builders import erase, event, user_update
from tests.driven import (
    counted,
    featured,
    forget,
    learn,
    near_to,
    noted,
    pair_seen,
    plain,
    pulled,
    said,
    signal,
    user_changed,
)
from tests.graph import new_state, pairs_in, stages
from tests.streams import stream

Data = dict[str, dict[str, bytes]]
ENCODER = msgspec.msgpack.Encoder()
ROWS = msgspec.msgpack.Decoder(list[Row])


BUCKETS = 3
WEIGHTS = Weights(values={name: 1.0 + 0.1 * place for place, name in enumerate(FEATURES)})


def small_stages() -> dict[str, Any]:
    """Fresh stages by name, in the order of the graph, with bounds a short run reaches."""
    made = stages(
        WEIGHTS,
        admission=AdmissionSettings(
            duplicate_ms=10_000, user_idle_ms=150_000, session_idle_ms=40_000, items_max=8
        ),
        figures=FiguresSettings(leaders=3, item_idle_ms=150_000),
        popular=PopularSettings(list_max=2),
        history=HistorySettings(pair_window=4, rebuild_after_ms=15_000),
        content=ContentSettings(near_max=3),
        neighbours=NeighboursSettings(rows_max=3, similar_max=2, alike_max=3, pairs_max=5),
        ranking=RankingSettings(
            candidates_max=4,
            interest_rows=1,
            list_max=5,
            interests=InterestSettings(interests_max=2, tags_max=2),
            mood=MoodSettings(mode="match"),
            surfaces={
                "home": Strategy(interest_places=3, explore_places=1, most={"trending": 1}),
                "feed": Strategy(kind="interests"),
                "near": Strategy(kind="context"),
                "again": Strategy(kind="history"),
            },
        ),
        learning=LearningSettings(delay_ms=1000, snapshot=4),
        shadows={"frozen": Shadow(weights={"c0": 4.0}), "popular": Shadow(kind="popular")},
        buckets=BUCKETS,
    )
    made.append(Learning(LearningSettings(), WEIGHTS))
    return {stage.name: stage for stage in made}


STAGES = small_stages()
EXCLUDED: dict[str, str] = {
    "Catalogue": "of another job; tests/operators/test_catalogue.py has its laws",
    "Ranking": "held inside `Taught`, which adds the learning",
}
"""Stage classes that no law is held against, each with the reason."""

_TRAITS = ("name", "inputs", "codecs", "state_type", "order", "apply", "settle")


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """The pure modules of a package: its Flink side is a package of its own."""
    for found in pkgutil.iter_modules(package.__path__):
        if not found.ispkg:
            yield importlib.import_module(f"{package.__name__}.{found.name}")


def discovered(within: Iterator[ModuleType]) -> set[type]:
    """All classes that look like a stage, in the modules that define them."""
    return {
        kind
        for module in within
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
        and not getattr(kind, "_is_protocol", False)
        and all(hasattr(kind, trait) for trait in _TRAITS)
    }


def pure_stages() -> set[type]:
    return discovered(modules(operators))


# --- a run and what is recorded of it


@dataclass(frozen=True)
class Call:
    """One call of a stage: `apply` of a batch, or `settle` where the batch is None.

    `said` are the answers as bytes at that moment: they may share values with the state.
    """

    stage: str
    before: Data
    batch: list[Any] | None
    batch_before: bytes
    outs: list[Out]
    said: list[tuple[str, str, bytes]]
    after: Data

    @property
    def kind(self) -> Any:
        return STAGES[self.stage]


class Recorder:
    """The graph, window by window, with every call kept."""

    def __init__(self, table: Any = None) -> None:
        self.stages = small_stages()
        self.table = table
        self.state = {
            name: new_state(stage, table) if table else new_state(stage)
            for name, stage in self.stages.items()
        }
        self.decoders = {
            name: msgspec.msgpack.Decoder(list[stage.inputs]) for name, stage in self.stages.items()
        }
        self.calls: list[Call] = []
        self.told: list[Any] = []

    def run(self, window: Sequence[Any], *, settle: bool = True) -> None:
        inbox: dict[str, list[Any]] = defaultdict(list)
        inbox["ranking"], self.told = self.told, []
        for record in window:
            kind = "content" if isinstance(record, Featured) else "figures"
            inbox["admission" if _is_event(record) else kind].append(record)
        for name, stage in self.stages.items():
            batch = self.decoders[name].decode(ENCODER.encode(inbox[name]))
            batch.sort(key=stage.order)
            if batch:
                for out in self._call(name, batch):
                    if out.to in self.stages:
                        inbox[out.to].append(out.message)
                    elif out.to == "outcomes" and (gradient := gradient_in(out.message)):
                        inbox["learning"].append(gradient)  # live it goes through a topic
            if settle:
                settled = self._call(name, None)
                self.told += [out.message for out in settled if out.to == "strategy"]

    def _call(self, name: str, batch: list[Any] | None) -> list[Out]:
        stage, state = self.stages[name], self.state[name]
        before, encoded = self.data(name), ENCODER.encode(batch)
        outs = stage.settle(state) if batch is None else stage.apply(state, batch)
        self.calls.append(Call(name, before, batch, encoded, outs, wire(outs), self.data(name)))
        return outs

    def data(self, name: str) -> Data:
        """Bytes of a stage's tables, whatever they are kept in."""
        codecs = self.stages[name].codecs
        return {
            table: dict(values.data)
            if hasattr(values, "data")
            else {key: codecs[table].encode(value) for key, value in values.items()}
            for table, values in vars(self.state[name]).items()
        }


def _is_event(record: Any) -> bool:
    return isinstance(record, Event | Written)


def recorded(seed: int, size: int, table: Any = None) -> Recorder:
    """A run of so many records."""
    run = Recorder(table)
    for window in stream(Random(seed), size):
        run.run(window)
    return run


def state_of(stage: Any, data: Data) -> Any:
    """A state that holds these bytes."""
    state = new_state(stage)
    for table, values in data.items():
        getattr(state, table).data.update(values)
    return state


def data_of(state: Any) -> Data:
    return {table: dict(values.data) for table, values in vars(state).items()}


def wire(outs: Sequence[Out]) -> list[tuple[str, str, bytes]]:
    """Answers as bytes."""
    return [(out.to, out.key, ENCODER.encode(out.message)) for out in outs]


def _again(call: Call, stage: Any, batch: Sequence[Any] | None) -> tuple[list[Out], Data]:
    state = state_of(stage, call.before)
    outs = stage.settle(state) if batch is None else stage.apply(state, batch)
    return outs, data_of(state)


# --- what must not depend on how a stream was cut into batches


def _neighbours(data: Data) -> tuple[Any, ...]:
    """Sums and pairs when all pairs that were waiting are added, and what items say."""
    state = state_of(STAGES["neighbours"], data)
    STAGES["neighbours"].settle(state)
    sums = {key: one.sum for key, one in state.item.items()}
    return sums, pairs_in(state.pair), _said(data)


def _said(data: Data) -> dict[str, Any]:
    codec = STAGES["neighbours"].codecs["content"]
    known = {key: codec.decode(packed) for key, packed in data["content"].items()}
    return {key: (one.about, one.title, one.ids, one.sims.tolist()) for key, one in known.items()}


_USER = ("events", "erased_seq", "seeds", "taste", "category", "counts", "recent", "personalise",
         "blocked", "seen_count", "known", "interests",
         "topics", "segment")  # fmt: skip


def _users(data: Data) -> dict[str, list[Any]]:
    codec = STAGES["ranking"].codecs["user"]
    users = {key: codec.decode(packed) for key, packed in data["user"].items()}
    return {key: [getattr(user, name) for name in _USER] for key, user in users.items()}


def _learned(data: Data) -> dict[str, Any]:
    codec = STAGES["learning"].codecs["learned"]
    learned = {tenant: codec.decode(packed) for tenant, packed in data["learned"].items()}
    return {tenant: (one.values, one.squares, one.steps) for tenant, one in learned.items()}


TRUTH: Mapping[str, Callable[[Data], Any]] = {
    "content": lambda data: data,
    "admission": lambda data: data,
    "figures": lambda data: data["item"],
    "popular": lambda data: (data["item"], data["members"]),
    "history": lambda data: data,
    "neighbours": _neighbours,
    "learning": _learned,
    "ranking": lambda data: (_users(data), data["seen"], data["shared"], data["unavailable"]),
}
"""By stage, the part of its state that is no cache and no count of what was written."""


# --- the laws


def codecs_give_back_what_they_took(call: Call) -> None:
    for table, values in call.after.items():
        codec = call.kind.codecs[table]
        for key, packed in values.items():
            value = codec.decode(packed)
            again = codec.encode(value)
            assert again == packed, (table, key)
            assert codec.encode(codec.decode(again)) == packed, (table, key)
            assert isinstance(codec.version, int)


def a_state_has_a_codec_for_each_table(call: Call) -> None:
    assert call.after.keys() == call.kind.codecs.keys()


def inputs_stay_as_they_are(call: Call) -> None:
    assert ENCODER.encode(call.batch) == call.batch_before


def a_fresh_stage_does_the_same(call: Call) -> None:
    """Nothing is remembered outside the tables; nothing comes from a clock or from chance."""
    outs, after = _again(call, small_stages()[call.stage], call.batch)
    assert wire(outs) == call.said
    assert after == call.after


def a_used_stage_does_the_same(call: Call) -> None:
    """What a stage memorises of other states does not leak: here it has seen all of them."""
    outs, after = _again(call, STAGES[call.stage], call.batch)
    assert wire(outs) == call.said
    assert after == call.after


def an_empty_batch_changes_nothing(call: Call) -> None:
    assert _again(replace(call, before=call.after), STAGES[call.stage], []) == ([], call.after)


def what_was_settled_is_not_settled_again(call: Call) -> None:
    if call.batch is None:
        assert _again(replace(call, before=call.after), STAGES[call.stage], None)[0] == []
        truth = TRUTH[call.stage]
        assert truth(call.before) == truth(call.after)


def a_batch_has_one_order(call: Call) -> None:
    """Sorted, any permutation of a batch gives the same state and the same answers."""
    if not call.batch:
        return
    shuffled = list(call.batch)
    Random(len(shuffled)).shuffle(shuffled)
    outs, after = _again(call, STAGES[call.stage], sorted(shuffled, key=call.kind.order))
    assert sorted(wire(outs)) == sorted(call.said)
    assert after == call.after


def messages_survive_the_wire(call: Call) -> None:
    decoder = msgspec.msgpack.Decoder(list[call.kind.inputs])
    if call.batch is not None:
        again = decoder.decode(ENCODER.encode(call.batch))
        assert again == call.batch
        assert [type(one) for one in again] == [type(one) for one in call.batch]
    rows = [out.message for out in call.outs if out.to == "rows"]
    again = ROWS.decode(ENCODER.encode(rows))
    assert again == rows
    assert [type(one) for one in again] == [type(one) for one in rows]


def a_batch_may_be_cut_between_two_moments(call: Call) -> None:
    """What is true in the end does not depend on where a window ended."""
    times = {call.kind.order(one)[1] for one in call.batch or ()}
    spans = [one.times_ms for one in call.batch or () if isinstance(one, PairsSeen)]
    truth = TRUTH[call.stage]
    for cut in sorted(times)[1:]:
        if any(span[0] < cut <= span[-1] for span in spans):
            continue  # no window ends inside a message
        early = [one for one in call.batch if call.kind.order(one)[1] < cut]
        late = [one for one in call.batch if call.kind.order(one)[1] >= cut]
        stage = STAGES[call.stage]
        _, middle = _again(call, stage, early)
        _, after = _again(replace(call, before=middle), stage, late)
        assert truth(after) == truth(call.after)


def answers_go_where_their_owner_lives(call: Call) -> None:
    for out in call.outs:
        if out.to in STAGES:
            assert isinstance(out.message, STAGES[out.to].inputs)
            assert out.key == owner(out.to, out.message)
        else:
            assert out.to in {"rows", "outcomes", "strategy", "count"}


def owner(stage: str, message: Any) -> str:
    """The key of a message: what names the bucket that holds the state it is about."""
    if isinstance(message, PairsSeen):
        assert len({bucket_of(key, BUCKETS) for key in message.keys}) == 1
        return message.keys[0]
    if isinstance(message, PopularList | Availability):
        return BROADCAST
    who = message.counted if isinstance(message, Learn | Pulled) else message
    who = who.signal if isinstance(who, Counted) else who
    if stage in ("popular", "learning"):
        return who.tenant
    if isinstance(message, RowDue):
        return scoped(message.tenant, message.name)
    by_item = stage in ("content", "figures", "neighbours")
    return scoped(who.tenant, who.item if by_item else who.user)


LAWS: tuple[Callable[[Call], None], ...] = (
    codecs_give_back_what_they_took,
    a_state_has_a_codec_for_each_table,
    inputs_stay_as_they_are,
    a_fresh_stage_does_the_same,
    a_used_stage_does_the_same,
    an_empty_batch_changes_nothing,
    what_was_settled_is_not_settled_again,
    a_batch_has_one_order,
    messages_survive_the_wire,
    a_batch_may_be_cut_between_two_moments,
    answers_go_where_their_owner_lives,
)


# --- messages about what a stage has never heard of


def strangers() -> dict[str, list[Any]]:
    """By stage, messages about unknown users and items that take something back or refer to it."""
    nobody = counted(signal("nobody", "nothing"))
    return {
        "content": [featured("nothing", None, [], 1000)],
        "admission": [erase("nobody", 1000), user_update("nobody", 1000),
                      event("nobody", "nothing", 1000, "hide")],
        "figures": [deleted(b"nothing", 1000),
                    Meeting(1, "", "default", "nothing", "nobody", 0.0, True),
                    Described(1, "", "default", "nothing", "nothing", None)],
        "popular": [],
        "history": [forget("nobody", 1000, 1)],
        "neighbours": [learn(nobody, 0), near_to("nothing", "nobody", 0.0),
                       Described(1, "", "default", "nothing", "nothing", None)],
        "learning": [Gradient(1000, "e", "default", {"c0": 0.5, "no such feature": 0.1})],
        "ranking": [forget("nobody", 1000, 1), noted("nobody", "nothing", 1000),
                    user_changed("nobody", 1000, 1), pulled(nobody), said("nobody", 1000, 1),
                    Availability(1, "", "default", "nothing", item_key("nothing"), True),
                    PopularList(1, "", "default", "all_time", [], b""),
                    NewWeights(1, "", "default", "m", {"c0": 1.0, "no such feature": 0.1}),
                    RowDue(1000, 1, "", "default", "all")],
    }  # fmt: skip


def pair_taken_and_given(item: str, other: str) -> tuple[PairSeen, PairSeen]:
    """An erasure that overtakes what it takes back, and what it takes back."""
    return pair_seen(item, other, -5, 0, -5, 1.0, b"", 1), pair_seen(item, other, 5, 0, 5, at_ms=2)


def plain_run(seed: int, size: int) -> Recorder:
    """A run whose tables keep the objects they are given, as a job's cache does."""
    return recorded(seed, size, plain)
