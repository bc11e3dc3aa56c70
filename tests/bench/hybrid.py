"""What text does for lists: hits on cold and warm items, with and without, on two data sets.

    python -m tests.bench.hybrid DATA VECTORS films|instruments [--limit N] [--learn]
        [--without] [--arrive start|quarter] [--set table.key=value] [--weight feature=value]

Prequential: before each event by which a user begins to like an item, the user's stored list is
asked for it; then the event is applied. An item is cold as long as nobody has touched it, young
until five have, then warm. The stages are those of the job, in memory, one event a window; nothing
is random. Beside the whole stream, what follows each of three cuts in time is reported, at a
quarter, a half and three quarters of the events, up to the next; there, an item is also new if it
was touched first after the cut.

By `--arrive start` all items are in the catalogue from the start: what nobody has touched competes
with what nobody will for years. By `--arrive quarter` an item comes where the quarter of the stream
begins in which it is touched first, with that time: its place in the quarter shows in nothing, but
that it will be touched within it is known. Vectors are those of `tests.bench.vectors`, mapped as
the job maps them once it has seen the catalogue; neighbours are the 20 nearest that are there.

Content kNN, which knows nothing of what people do together, is
`--weight content=1 --weight c0=0 --weight unproven=0`.

HR@10 (learned / at the starting weights), default settings, 2026-11-26; 48,580 first likes of films
(4,099 cold, 36,353 warm) and 6,674 of instruments (805 cold, 3,586 warm):

| | cold | young | warm | total |
| --- | --- | --- | --- | --- |
| films, without text | 0 / 0 | .0595 / .0464 | .2104 / .1830 | .1674 / .1447 |
| films, with text | .0088 / .0046 | .0641 / .0497 | .2087 / .1831 | .1677 / .1457 |
| films, content kNN | .0327 | .0278 | .0396 | .0370 |
| instruments, without text | 0 / 0 | .0223 / .0399 | .1924 / .1450 | .1110 / .0916 |
| instruments, with text | .0273 / .0211 | .0377 / .0469 | .1857 / .1414 | .1160 / .0945 |
| instruments, content kNN | .0422 | .0403 | .0335 | .0369 |
| quarter: films, without text, learned | 0 | .0619 | .2100 | .1675 |
| quarter: films, with text | .0083 / .0080 | .0656 / .0506 | .2091 / .1830 | .1682 / .1461 |
| quarter: films, content kNN | .0412 | .0381 | .0469 | .0449 |
| quarter: instruments, without text | 0 / 0 | .0228 / .0399 | .1933 / .1450 | .1116 / .0916 |
| quarter: instruments, with text | .0435 / .0522 | .0372 / .0460 | .1835 / .1375 | .1166 / .0959 |
| quarter: instruments, content kNN | .0522 | .0438 | .0362 | .0408 |

So texts bring cold items up from nothing, and the whole is no worse. Cold items reach content kNN
on instruments by quarter, where nothing is learned, and nowhere else: more places would have to be
given than bring hits. (As many as the share of likes that go to cold items, on the first 20,000
films by quarter: cold .0229 to .0508, total .2719 to .2673.) Of warm instruments some hits are lost
to young and cold ones. Content kNN of instruments has no earned places, that of films has.
"""

import argparse
import gzip
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from operators.events import Interaction, Item
from operators.features import Weights
from operators.messages import SOURCES, About, Featured
from operators.packing import code_of
from operators.parameters import LearningSettings, NeighboursSettings, RankingSettings
from operators.results import ListRow
from operators.whitening import Moments, fit
from tests.bench import vectors
from tests.driven import plain
from tests.graph import Graph

SETTINGS = {"neighbours": NeighboursSettings, "ranking": RankingSettings}
CLASSES = ("cold", "young", "warm", "total", "new", "old")
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


class Features:
    """Records of what items say, each with its nearest of the items that are there by then."""

    def __init__(self, path: Path) -> None:
        found = np.load(path)
        self._place = {item: n for n, item in enumerate(found["ids"].tolist())}
        self._vectors = in_space(found["vectors"])
        self._there = np.zeros(len(self._place), bool)

    def of(self, items: list[Item]) -> list[Featured]:
        """Of items that come into the catalogue together."""
        places = [self._place[one.item_id] for one in items]
        self._there[places] = True
        ids, there = list(self._place), np.flatnonzero(self._there)
        told = []
        for one, place in zip(items, places, strict=True):
            cosines = self._vectors[there] @ self._vectors[place]
            count = min(vectors.NEAREST + 1, len(there))
            best = np.argpartition(-cosines, count - 1)[:count]
            best = best[np.argsort(-cosines[best], kind="stable")].tolist()
            near = [(ids[there[n]], float(cosines[n])) for n in best if there[n] != place]
            about = About("minilm", code_of(self._vectors[place]), [], 0.0)
            told.append(
                Featured(
                    one.event_time, f"\x01{one.item_id}", "default", one.item_id, about,
                    near[: vectors.NEAREST],
                )
            )  # fmt: skip
        return told


def in_space(encoded: Any) -> Any:
    """Vectors as the job compares them."""
    moments = Moments.none(encoded.shape[1])
    moments.add(encoded)
    return fit(moments, 1).apply(encoded)


def arrivals(items: list[Item], events: list[Interaction], when: str) -> dict[int, list[Item]]:
    """Items that come into the catalogue before the event of a number.

    `start`: all before the first. `quarter`: each where the quarter of the stream begins in which
    it is touched first, as of the time of that beginning; the moment of the touch shows in nothing.
    """
    if when == "start":
        return {0: items}
    starts = [begin(n, events) for n in range(CUTS + 1)]
    first: dict[str, int] = {}
    for n, event in enumerate(events):
        first.setdefault(event.item_id, n)
    coming: dict[int, list[Item]] = {start: [] for start in starts}
    for one in items:
        if one.item_id in first:
            start = max(n for n in starts if n <= first[one.item_id])
            time_ms = events[start].event_time
            coming[start].append(msgspec.structs.replace(one, event_time=time_ms))
    return coming


class Tally:
    """Hits and discounted gains in the first ten places, by class of item and by source."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = defaultdict(int)
        self.hits: dict[str, int] = defaultdict(int)
        self.gain: dict[str, float] = defaultdict(float)
        self.sources: dict[str, int] = defaultdict(int)

    def ask(self, classes: list[str], rank: int | None, source: str) -> None:
        for name in classes:
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
            if self.asked[name]
        } | {"hits_by_source": dict(self.sources)}


class Bench:
    """The graph, and the lists it has stored."""

    def __init__(self, settings: dict[str, Any], weights: Weights) -> None:
        self.graph = Graph(weights, plain, **settings)
        self._lists: dict[str, ListRow] = {}

    def run(self, window: Sequence[Any]) -> None:
        for out in self.graph.run(window)["rows"]:
            if isinstance(out.message, ListRow):
                self._lists[out.message.user] = out.message

    def place(self, user: str, item: str) -> tuple[int | None, str]:
        """Where the item stands in the user's first ten, and its source."""
        row = self._lists.get(user)
        first = row.ids[:10] if row is not None else []
        if row is None or item not in first:
            return None, ""
        rank = first.index(item)
        return rank, SOURCES[row.sources[rank]]


def begin(quarter: int, events: list[Interaction]) -> int:
    """Number of the first event of a quarter."""
    return -(-quarter * len(events) // (CUTS + 1))


def classes(users: int, first: int, cut: int) -> list[str]:
    """Of an item, by how many have touched it and by when it was touched first."""
    known = "cold" if users == 0 else "young" if users <= YOUNG_MAX else "warm"
    return [known, "total", *(["new" if first >= cut else "old"] if cut else [])]


def run(
    coming: dict[int, list[Item]], events: list[Interaction], held: set,
    said: Features | None, bench: Bench,
) -> dict[str, Any]:  # fmt: skip
    """Replay and judge."""
    tallies = [Tally() for _ in range(CUTS + 2)]
    users: dict[str, int] = defaultdict(int)
    seen: set[tuple[str, str]] = set()
    firsts: dict[str, int] = {}
    for n, event in enumerate(events):
        firsts.setdefault(event.item_id, n)
    took_s = 0.0
    for n, event in enumerate(events):
        bench.run(coming.get(n, []))
        bench.run(said.of(coming[n]) if said and n in coming else [])
        pair, item = (event.user_id, event.item_id), event.item_id
        if pair not in seen and event.value >= 4 and pair not in held:
            rank, source = bench.place(event.user_id, item)
            quarter = n * (CUTS + 1) // len(events)
            for tally, cut in (tallies[0], 0), (tallies[1 + quarter], begin(quarter, events)):
                tally.ask(classes(users[item], firsts[item], cut), rank, source)
        if pair not in seen:
            seen.add(pair)
            users[item] += 1
        began_s = time.process_time()
        bench.run([event])
        took_s += time.process_time() - began_s
    after = {f"after_cut_{n}": tallies[1 + n].report() for n in range(1, CUTS + 1)}
    return {**tallies[0].report(), **after, "us_per_event": round(1e6 * took_s / len(events))}


def sizes(graph: Graph) -> dict[str, int]:
    """Bytes of the ranking's state of a user."""
    codec = next(one for one in graph.stages if one.name == "ranking").codecs["user"]
    known = [len(codec.encode(user)) for user in graph.state["ranking"].user.values()]
    return {"bytes_per_user": round(float(np.mean(known))), "bytes_user_max": max(known)}


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
    parser.add_argument("--arrive", choices=["start", "quarter"], default="start")
    parser.add_argument("--without", action="store_true", help="no features at all")
    parser.add_argument("--learn", action="store_true", help="weights learned on the way")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--weight", action="append", default=[])
    arguments = parser.parse_args()
    items, events, held = {"films": films, "instruments": instruments}[arguments.name](
        arguments.data
    )
    events = events[: arguments.limit]
    said = None if arguments.without else Features(arguments.vectors / f"{arguments.name}.npz")
    settings = parsed(arguments.set) | {"learning": LearningSettings(enabled=arguments.learn)}
    told = (one.split("=") for one in arguments.weight)
    values = {**Weights().values, **{name: float(value) for name, value in told}}
    bench = Bench(settings, Weights(values=values))
    coming = arrivals(items, events, arguments.arrive)
    found = run(coming, events, held, said, bench) | sizes(bench.graph)
    sys.stdout.write(json.dumps({"arguments": sys.argv[3:], **found}) + "\n")


if __name__ == "__main__":
    main()
