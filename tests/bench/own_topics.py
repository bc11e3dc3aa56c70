"""How good own topics are: against known categories, by name, and by the ids that items keep.

    python -m tests.bench.own_topics read DATA FOLDER news|shop|films|films-e5|instruments
    python -m tests.bench.own_topics judge FOLDER NAME [NAME] [--batch N] [--set KEY=VALUE]

`read` takes texts as items through the job's own reader (encoder and tags), once. `judge` sends
the readings through the stage `catalogue`, in an order drawn by a seed, and prints as JSON:

- `nmi`, `purity`: of each item's heaviest topic, as last published, against the known categories
  (normalised mutual information by the arithmetic mean of both entropies);
- `kept`: by part of the stream, share of the items published by then whose heaviest topic, if
  they are published once more at the end, has the same id;
- `names`: of the ten largest topics in each language, with the category most of their items have.

Two names are read as one stream: a catalogue in two languages.
"""

import argparse
import csv
import gzip
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from operators.catalogue import Catalogue, CatalogueSettings
from operators.clusters import Clusters, ClusterSettings
from operators.features_wire import parse_features
from operators.naming import identity, shown
from operators.readings import ItemRead, Reading
from operators.stage import COUNT
from tests.bench import vectors
from tests.driven import Driven, plain
from udfs.embedding import Encoder, EncoderSettings
from udfs.handler import Failure
from udfs.models import E5, MINILM
from udfs.reader import Reader, Remembered, pack
from udfs.tags import Tags
from udfs.text import prepare

SEED = 20261126
SHOP_REVIEWS = 6000
AT_ONCE = 500

Source = tuple[str, str, str]
"""Id, category, text."""


def _open(path: Path) -> Any:
    return gzip.open(path, "rt", encoding="utf-8-sig")


def news(data: Path) -> Iterator[Source]:
    """Chinese headlines of ten topics."""
    folder = data / "zh-thucnews-titles"
    with _open(folder / "class.txt.gz") as file:
        topics = file.read().split()
    with _open(folder / "dev.txt.gz") as file:
        for number, line in enumerate(file):
            title, _, topic = line.rstrip("\n").rpartition("\t")
            yield f"n{number:05d}", topics[int(topic)], title


def shop(data: Path) -> Iterator[Source]:
    """Chinese reviews of ten kinds of goods, some of them, each in the place of an item."""
    with _open(data / "zh-online-shopping-10-cats/online_shopping_10_cats.csv.gz") as file:
        rows = [row for row in csv.DictReader(file) if row["review"].strip()]
    chosen = np.random.default_rng(SEED).permutation(len(rows))[:SHOP_REVIEWS]
    for number in sorted(chosen.tolist()):
        yield f"s{number:05d}", rows[number]["cat"], rows[number]["review"]


def films(data: Path) -> Iterator[Source]:
    """Films by their first genre; the text names the genres, so agreement with them is no feat."""
    for item, text in vectors.films(data).items():
        yield f"f{int(item):06d}", text.rpartition(". ")[2].partition(",")[0], text


def instruments(data: Path) -> Iterator[Source]:
    """Musical instruments by three of their reviews; no category is known."""
    for item, text in sorted(vectors.instruments(data).items()):
        yield item, "", text


SOURCES = {
    "news": (news, E5), "shop": (shop, E5), "films": (films, MINILM), "films-e5": (films, E5),
    "instruments": (instruments, MINILM), "instruments-e5": (instruments, E5),
}  # fmt: skip


class Read(msgspec.Struct, array_like=True):
    """An item, its category, and what was read of it."""

    item: str
    category: str
    reading: Reading


def read(data: Path, folder: Path, name: str) -> None:
    """Read a source; keep the readings."""
    source, model = SOURCES[name]
    encoder = Encoder(EncoderSettings(model=model, precision="int8", max_tokens=128))
    reader = Reader(encoder, lambda: {"tags": Tags()}, remembered=Remembered(1))
    reader.load()
    items = list(source(data))
    found: list[Read] = []
    began_s = time.process_time()
    for start in range(0, len(items), AT_ONCE):
        part = [(item, category, prepare(text, None, "passage"))
                for item, category, text in items[start : start + AT_ONCE]]  # fmt: skip
        good = [one for one in part if not isinstance(one[2], Failure)]
        answers = reader.read([text for _, _, text in good], remember=False)
        for (item, category, text), answer in zip(good, answers, strict=True):
            if isinstance(answer, Failure):
                continue
            tags = [(one.name, one.weight) for one in answer.found["tags"]]
            reading = Reading(
                reader.encoder, pack(answer.vector), text.language, 0.0, {}, [], tags, ""
            )
            found.append(Read(item, category, reading))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.msgpack").write_bytes(msgspec.msgpack.encode(found))
    took_s = time.process_time() - began_s
    sys.stdout.write(f"{name}: {len(found)} of {len(items)} items, {took_s:.0f} s of CPU\n")


# --- judging


class Told:
    """What the stage says: heaviest topic of each item, by id, as last published."""

    def __init__(self, stage: Driven) -> None:
        self._stage = stage
        self.topics: dict[str, tuple[str, float]] = {}
        self.names: dict[str, str] = {}
        self.counters: Counter[str] = Counter()

    def send(self, items: Sequence[Read], time_ms: int) -> None:
        """Publish items, as catalogue records of this time."""
        batch = [ItemRead(time_ms, f"\x00{one.item}", "default", one.item, "", one.reading)
                 for one in items]  # fmt: skip
        for out in self._stage.send(*batch):
            if out.to == COUNT:
                self.counters[out.key] += out.message
            elif out.to == "features":
                record = parse_features(out.key.encode(), out.message.value.encode())
                best = record.topics[0] if record.topics else None
                self.topics[out.key] = (identity(best.name), best.weight) if best else ("", 0.0)
                self.names[out.key] = shown(best.name) if best else ""

    def clusters(self) -> Clusters:
        """As they are now: there is one tenant and one encoder."""
        (known,) = self._stage.state.clusters.values()
        return known


def agreement(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """NMI and purity of (topic, category); items of unknown category are left out."""
    known = [(topic, category) for topic, category in pairs if category]
    if not known:
        return {}
    both, topics, categories = (
        Counter(known), Counter(topic for topic, _ in known), Counter(one for _, one in known)
    )  # fmt: skip
    total = len(known)
    shared = sum(n / total * np.log(n * total / (topics[topic] * categories[category]))
                 for (topic, category), n in both.items())  # fmt: skip
    entropies = [-sum(n / total * np.log(n / total) for n in counts.values())
                 for counts in (topics, categories)]  # fmt: skip
    best = defaultdict(int)
    for (topic, _), n in both.items():
        best[topic] = max(best[topic], n)
    return {
        "nmi": round(float(shared / np.mean(entropies)), 3),
        "purity": round(sum(best.values()) / total, 3),
    }


def largest(told: Told, items: Sequence[Read], language: str) -> list[str]:
    """The ten largest topics of a language: name, items, most frequent category and its share."""
    by_topic: dict[str, list[str]] = defaultdict(list)
    names: dict[str, str] = {}
    for one in items:
        topic = told.topics[one.item][0]
        if one.reading.language == language and topic:
            by_topic[topic].append(one.category)
            names[topic] = told.names[one.item]
    order = sorted(by_topic, key=lambda topic: (-len(by_topic[topic]), topic))[:10]
    lines = []
    for topic in order:
        category, most = Counter(by_topic[topic]).most_common(1)[0]
        share = f", {category} {most / len(by_topic[topic]):.2f}" if category else ""
        lines.append(f"{names[topic]} {topic}: {len(by_topic[topic])}{share}")
    return lines


def judge(items: Sequence[Read], at_once: int, settings: ClusterSettings) -> dict[str, Any]:
    """Send the items, and all of them once more at the end."""
    order = np.random.default_rng(SEED).permutation(len(items)).tolist()
    told = Told(Driven(Catalogue(CatalogueSettings(), settings, "instead"), plain))
    parts = {len(items) * part // 8: f"{part}/8" for part in (1, 2, 4, 6)}
    by_then, began_s = {}, time.process_time()
    for start in range(0, len(items), at_once):
        told.send([items[at] for at in order[start : start + at_once]], 1000 + start)
        for count in [count for count in parts if count <= start + at_once]:
            by_then[parts.pop(count)] = dict(told.topics)
    took_s = time.process_time() - began_s
    first = dict(told.topics)
    for start in range(0, len(items), 500):
        told.send(items[start : start + 500], 10**6)
    kept = {
        part: round(float(np.mean([told.topics[item][0] == topic for item, (topic, _)
                                   in topics.items()])), 3)
        for part, topics in by_then.items()
    }  # fmt: skip
    category = {one.item: one.category for one in items}
    languages = sorted({one.reading.language for one in items})
    known = told.clusters()
    return {
        "items": len(items), **agreement([(topic, category[item]) for item, (topic, _)
                                          in first.items()]),
        "kept": kept, "topics": len(known.clusters), "begun": known.begun,
        "none": round(float(np.mean([not topic for topic, _ in first.values()])), 4),
        "weight": round(float(np.mean([weight for _, weight in first.values()])), 3),
        "us_an_item": round(1e6 * took_s / len(items)),
        "state_kb": round(len(msgspec.msgpack.encode(known)) / 1000),
        "names": {language: largest(told, items, language) for language in languages},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("read")
    reading.add_argument("data", type=Path)
    judging = commands.add_parser("judge")
    for one in reading, judging:
        one.add_argument("folder", type=Path)
        one.add_argument("names", nargs="+", choices=SOURCES)
    judging.add_argument("--batch", type=int, default=50)
    judging.add_argument("--limit", type=int)
    judging.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    if arguments.command == "read":
        for name in arguments.names:
            read(arguments.data, arguments.folder, name)
        return
    items: list[Read] = []
    for name in arguments.names:
        raw = (arguments.folder / f"{name}.msgpack").read_bytes()
        items += msgspec.msgpack.decode(raw, type=list[Read])[: arguments.limit]
    given = dict(pair.split("=", 1) for pair in arguments.set)
    values = {key: json.loads(value) for key, value in given.items()}
    settings = msgspec.convert(values, ClusterSettings)
    found = judge(items, arguments.batch, settings)
    sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
