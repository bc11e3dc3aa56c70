"""What text does for lists: hits on cold and warm items, with and without, on two data sets.

    python -m tests.bench.hybrid DATA VECTORS films|instruments [--limit N] [--learn]
        [--without] [--set table.key=value] [--weight feature=value]

Prequential: before each event by which a user begins to like an item, the user's stored list (the
shared list for users without one) is asked for it; then the event is applied. An item is cold as
long as nobody has touched it. All items are in the catalogue from the start, with their features,
as vectors of `tests.bench.vectors` say. The stages are those of the job, in memory, one event a
window; nothing is random. Beside the whole stream, what follows each of three cuts in time is
reported, at a quarter, a half and three quarters of the events, up to the next.

Content kNN, which knows nothing of what people do together, is `--weight content=1 --weight c0=0`.
"""

import argparse
import gzip
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from operators.events import Interaction, Item
from operators.features import Weights
from operators.learning import LearningSettings
from operators.listing import listed
from operators.messages import SOURCES, About, Featured
from operators.neighbours import NeighboursSettings
from operators.packing import code_of
from operators.results import ListRow
from operators.scoring import RankingSettings
from tests.bench import vectors
from tests.driven import plain
from tests.graph import Graph

SETTINGS = {"neighbours": NeighboursSettings, "ranking": RankingSettings}
CLASSES = ("cold", "young", "warm", "total")
YOUNG_MAX = 4
CUTS = 3


def films(data: Path) -> tuple[list[Item], list[Interaction], set]:
    """Catalogue, ratings in order of time, nothing held back."""
    folder = data / "movielens-latest-small"
    with gzip.open(folder / "movies.csv.gz", "rt", encoding="utf-8") as file:
        items = [
            Item(item_id=row["movieId"], event_time=0, title=row["title"],
                 categories=row["genres"].split("|"))
            for row in vectors.csv.DictReader(file)
        ]  # fmt: skip
    with gzip.open(folder / "ratings.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(vectors.csv.DictReader(file))
    rows.sort(key=lambda row: (int(row["timestamp"]), int(row["userId"]), int(row["movieId"])))
    events = [
        Interaction(event_id=f"{n:07d}", event_time=1000 * int(row["timestamp"]),
                    user_id=row["userId"], item_id=row["movieId"], action="rating",
                    value=float(row["rating"]))
        for n, row in enumerate(rows)
    ]  # fmt: skip
    return items, events, set()


def instruments(data: Path) -> tuple[list[Item], list[Interaction], set]:
    """Items without names, reviews in order of time, and those that serve as text of the items."""
    rows = vectors.reviews(data)
    items = [Item(item_id=one, event_time=0, title=one) for one in {row["asin"]: 0 for row in rows}]
    events = [
        Interaction(event_id=f"{n:07d}", event_time=1000 * row["unixReviewTime"],
                    user_id=row["reviewerID"], item_id=row["asin"], action="review",
                    value=row["overall"])
        for n, row in enumerate(rows)
    ]  # fmt: skip
    return items, events, vectors.held(rows)


def features(path: Path) -> Iterator[Featured]:
    """A record of each item's features."""
    found = np.load(path)
    ids = found["ids"].tolist()
    for n, item in enumerate(ids):
        near = zip(found["nearest"][n].tolist(), found["near"][n].tolist(), strict=True)
        about = About("minilm", code_of(found["vectors"][n]), [], 0.0)
        named = [(ids[other], similarity) for other, similarity in near]
        yield Featured(0, f"\x01{item}", "default", item, about, named)


class Tally:
    """Hits and discounted gains in the first ten places, by class of item and by source."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = defaultdict(int)
        self.hits: dict[str, int] = defaultdict(int)
        self.gain: dict[str, float] = defaultdict(float)
        self.sources: dict[str, int] = defaultdict(int)

    def ask(self, users: int, rank: int | None, source: str) -> None:
        kind = "cold" if users == 0 else "young" if users <= YOUNG_MAX else "warm"
        for name in (kind, "total"):
            self.asked[name] += 1
            if rank is not None:
                self.hits[name] += 1
                self.gain[name] += 1 / math.log2(2 + rank)
        if rank is not None:
            self.sources[source] += 1

    def report(self) -> dict[str, Any]:
        return {
            name: {
                "asked": self.asked[name],
                "hr10": round(self.hits[name] / max(1, self.asked[name]), 5),
                "ndcg10": round(self.gain[name] / max(1, self.asked[name]), 5),
            }
            for name in CLASSES
        } | {"hits_by_source": dict(self.sources)}


def run(
    items: list[Item], events: list[Interaction], held: set, said: Iterator[Featured],
    settings: dict[str, Any], weights: Weights,
) -> dict[str, Any]:  # fmt: skip
    """Replay and judge."""
    graph = Graph(weights, plain, **settings)
    for one in items:
        graph.stages[[s.name for s in graph.stages].index("figures")].apply(
            graph.state["figures"], [listed(one)]
        )
    graph.run(list(said))
    tallies = [Tally() for _ in range(CUTS + 2)]
    lists, shared = {}, ListRow(0, "", "", [], b"", b"", b"", b"", [], 0, "", b"")
    users: dict[str, int] = defaultdict(int)
    seen: set[tuple[str, str]] = set()
    began_s = time.process_time()
    for n, event in enumerate(events):
        pair = event.user_id, event.item_id
        if pair not in seen and event.value >= 4 and pair not in held:
            row = lists.get(event.user_id, shared)
            first = row.ids[:10]
            rank = first.index(event.item_id) if event.item_id in first else None
            source = SOURCES[row.sources[rank]] if rank is not None else ""
            for tally in tallies[0], tallies[1 + n * (CUTS + 1) // len(events)]:
                tally.ask(users[event.item_id], rank, source)
        if pair not in seen:
            seen.add(pair)
            users[event.item_id] += 1
        for out in graph.run([event])["rows"]:
            if isinstance(out.message, ListRow):
                lists[out.message.user] = out.message
    took_s = time.process_time() - began_s
    after = {f"after_cut_{n}": tallies[1 + n].report() for n in range(1, CUTS + 1)}
    found = {
        **tallies[0].report(),
        **after,
        "us_per_event": round(1e6 * took_s / max(1, len(events))),
    }
    codec = next(one for one in graph.stages if one.name == "ranking").codecs["user"]
    sizes = [len(codec.encode(user)) for user in graph.state["ranking"].user.values()]
    return {**found, "bytes_per_user": round(float(np.mean(sizes))), "bytes_user_max": max(sizes)}


def parsed(overrides: list[str]) -> dict[str, Any]:
    """Settings by table, from `table.key=value`."""
    values: dict[str, dict[str, Any]] = defaultdict(dict)
    for one in overrides:
        path, value = one.split("=")
        table, key = path.split(".")
        values[table][key] = json.loads(value)
    return {name: msgspec.convert(values[name], kind) for name, kind in SETTINGS.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("name", choices=["films", "instruments"])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--without", action="store_true", help="no features at all")
    parser.add_argument("--learn", action="store_true", help="weights learned on the way")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--weight", action="append", default=[])
    arguments = parser.parse_args()
    items, events, held = {"films": films, "instruments": instruments}[arguments.name](
        arguments.data
    )
    said = iter(()) if arguments.without else features(arguments.vectors / f"{arguments.name}.npz")
    settings = parsed(arguments.set) | {"learning": LearningSettings(enabled=arguments.learn)}
    told = (one.split("=") for one in arguments.weight)
    values = {**Weights().values, **{name: float(value) for name, value in told}}
    found = run(items, events[: arguments.limit], held, said, settings, Weights(values=values))
    sys.stdout.write(json.dumps({"arguments": sys.argv[3:], **found}) + "\n")


if __name__ == "__main__":
    main()
