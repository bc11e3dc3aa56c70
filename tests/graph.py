"""The stages wired in memory: what the job does, window by window, without Flink."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from operators.admission import Admission
from operators.content import Content
from operators.events import Event, Item
from operators.features import Weights
from operators.figures import Figures
from operators.history import History
from operators.listing import listed
from operators.messages import Featured, Listed
from operators.neighbours import Neighbours
from operators.parameters import (
    AdmissionSettings,
    ContentSettings,
    FiguresSettings,
    HistorySettings,
    LearningSettings,
    NeighboursSettings,
    PopularSettings,
    RankingSettings,
)
from operators.popular import Popular
from operators.ranking import Ranking
from operators.stage import DictTable, Out
from operators.strengths import Strengths
from operators.taught import Taught


def stages(weights: Weights | None = None, **settings: Any) -> list[Any]:
    """All stages in the order of the graph, default settings unless said; nothing is learned."""
    weights = weights or Weights()
    ranking = settings.get("ranking", RankingSettings())
    learning = settings.get("learning", LearningSettings(enabled=False))
    return [
        Admission(
            settings.get("admission", AdmissionSettings()), settings.get("strengths", Strengths())
        ),
        Content(settings.get("content", ContentSettings())),
        Figures(settings.get("figures", FiguresSettings())),
        Popular(settings.get("popular", PopularSettings())),
        History(settings.get("history", HistorySettings()), settings.get("buckets", 1)),
        Neighbours(settings.get("neighbours", NeighboursSettings())),
        (Taught if learning.enabled else Ranking)(
            ranking, weights, learning, shadows=settings.get("shadows")
        ),
    ]


def new_state(stage: Any, table: Any = DictTable) -> Any:
    return stage.state_type(**{name: table(codec) for name, codec in stage.codecs.items()})


def pairs_in(table: Any) -> dict[tuple[str, str], tuple[int, int, int]]:
    """The truth of all pairs: sums by item and other item."""
    found = {}
    for key, segment in table.items():
        length, _, rest = key.partition(":")
        for other, sums in zip(segment.ids, segment.sums.tolist(), strict=False):
            found[rest[: int(length)], other] = tuple(sums)
    return found


class PlainTable(dict):
    """A table without a codec, for speed."""

    def put(self, key, value):
        self[key] = value

    def delete(self, key):
        self.pop(key, None)

    def all_keys(self):
        return sorted(super().keys())


class Graph:
    """One bucket a stage; `run` moves one window through all of them."""

    def __init__(
        self, weights: Weights | None = None, table: Any = DictTable, **settings: Any
    ) -> None:
        self.stages = stages(weights, **settings)
        self.state = {stage.name: new_state(stage, table) for stage in self.stages}

    def run(self, window: Sequence[Event | Item]) -> dict[str, list[Out]]:
        """Outputs by channel: rows and counts; `settle` gives what is held back."""
        inbox: dict[str, list[Any]] = defaultdict(list)
        for record in window:
            if isinstance(record, Item | Listed):
                message = listed(record) if isinstance(record, Item) else record
                inbox["figures"].append(message)
            elif isinstance(record, Featured):
                inbox["content"].append(record)
            else:
                inbox["admission"].append(record)
        rest: dict[str, list[Out]] = defaultdict(list)
        known = {stage.name for stage in self.stages}
        for stage in self.stages:
            batch = inbox[stage.name]
            batch.sort(key=stage.order)
            if not batch:
                continue
            for out in stage.apply(self.state[stage.name], batch):
                if out.to in known:
                    inbox[out.to].append(out.message)
                else:
                    rest[out.to].append(out)
        return rest

    def settle(self) -> list[Any]:
        """Rows of similar items and profiles of all that changed."""
        outs = [out for stage in self.stages for out in stage.settle(self.state[stage.name])]
        return [out.message for out in outs]

    def run_all(self, records: Iterable[Event | Item]) -> dict[str, list[Out]]:
        """Each record is a window of its own."""
        total: dict[str, list[Out]] = defaultdict(list)
        for record in records:
            for channel, outs in self.run([record]).items():
                total[channel] += outs
        return total
