"""How much of the bare encoder's throughput is left inside the job.

Usage: python tests/bench/encoder_in_job.py [TEXTS] [KEY=VALUE ...]. The titles of the demonstration
data go through the encoder in a plain loop, then through the graph of `understand` on a local mini
cluster between files, then through the loop again, all in one run: the share is that of the job to
the mean of the two loops. The job's time runs from the first text that its model is asked for to
the last one it has answered, so it holds all that Flink adds between batches, but not its start.
"""

import csv
import gzip
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from functools import partial
from pathlib import Path

from jobs.settings import load
from jobs.understand_settings import Understand
from udfs.embedding import Encoder
from udfs.handler import Text
from udfs.reader import Reader, Remembered
from udfs.settings import analyses

PROJECT = Path(__file__).parent.parent.parent
TITLES = PROJECT / "deploy/demo/ml-latest-small/movies.csv.gz"


class Timed(Reader):
    """Notes when each call began and ended, and how many texts it had."""

    log: str = ""

    def read(self, texts, *, remember):
        began = time.time()
        answers = super().read(texts, remember=remember)
        if texts:
            with Path(self.log).open("a") as file:
                file.write(f"{began} {time.time()} {len(texts)}\n")
        return answers


def reader(settings: Understand, log: str) -> Reader:
    encoder = Encoder(settings.encoder)
    made = Timed(encoder, partial(analyses, settings.analysis, encoder), remembered=Remembered(1))
    made.log = log
    return made


def titles(count: int) -> list[str]:
    with gzip.open(TITLES, "rt", encoding="utf-8") as file:
        return [f"{row['title']}. {row['genres']}" for row in csv.DictReader(file)][:count]


def loop(settings: Understand, texts: list[str]) -> float:
    """Texts a second of the encoder alone, in batches as long as the job's."""
    encoder = Encoder(settings.encoder)
    encoder.load()
    asked = [Text(text=text, language="en", role="passage") for text in texts]
    encoder.infer(asked[:64])
    began = time.time()
    for start in range(0, len(asked), settings.bundle_records):
        encoder.infer(asked[start : start + settings.bundle_records])
    return len(asked) / (time.time() - began)


def job(texts: list[str], overrides: list[str]) -> float:
    """Texts a second of the same encoder in the job."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = [{"item_id": f"i{n}", "event_time": n, "title": text}
                   for n, text in enumerate(texts)]  # fmt: skip
        (folder / "items").write_text("\n".join(map(json.dumps, records)) + "\n")
        (folder / "events").write_text("{}\n")
        paths = [str(PROJECT), sysconfig.get_paths()["purelib"]]
        subprocess.run(
            [sys.executable, __file__, "--inside", name, *overrides], check=True, cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        calls = [tuple(map(float, line.split())) for line in (folder / "log").open()]
        assert sum(call[2] for call in calls) == len(texts)
        return len(texts) / (max(call[1] for call in calls) - min(call[0] for call in calls))


def inside(folder: Path, overrides: list[str]) -> None:
    from tests.flink import local_understand

    settings = load(Understand, None, overrides)
    local_understand.reader = partial(reader, settings, str(folder / "log"))
    local_understand.main(folder, ["clock=replay", "parallelism=1", *overrides])


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--inside"]:
        inside(Path(arguments[1]), arguments[2:])
        return
    numbers = [int(one) for one in arguments if one.isdigit()]
    overrides = [one for one in arguments if not one.isdigit()]
    settings, texts = load(Understand, None, overrides), titles((numbers or [9742])[0])
    before = loop(settings, texts)
    within = job(texts, overrides)
    after = loop(settings, texts)
    share = within / ((before + after) / 2)
    print(f"{len(texts)} titles, {settings.encoder.model}: loop {before:.0f} and {after:.0f}/s, "
          f"job {within:.0f}/s, {share:.0%}")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
