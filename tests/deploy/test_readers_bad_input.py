"""What is wrong with a data set is said, with the place; nothing goes missing in silence."""

import gzip
import itertools
from pathlib import Path

import pytest

from deploy.replay import files
from deploy.replay.options import ItemFile, Options
from deploy.replay.readers import open_source
from deploy.replay.report import Report, Skipped, SourceError

VIEW = Options(action="view")
RATING = Options(action="rating")
HEADER = "user_id,item_id,event_time,value\n"


def csv(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def report_of(path: Path, options: Options) -> Report:
    return open_source(path, options).report


def test_missing_columns_are_named_with_those_there_are(tmp_path: Path):
    path = csv(tmp_path, "uid,item_id,when\nu,i,1\n")
    with pytest.raises(SourceError) as error:
        open_source(path, VIEW)
    text = str(error.value)
    assert "no column `event_time`, `user_id`" in text
    assert "it has `uid`, `item_id`, `when`" in text
    assert "--map" in text


def test_a_mapped_column_that_is_not_there_is_named(tmp_path: Path):
    path = csv(tmp_path, HEADER + "u,i,1,2\n")
    with pytest.raises(SourceError, match="no column `langue`"):
        open_source(path, Options(action="view", map={"language": "langue"}))


def test_data_without_times_are_refused(tmp_path: Path):
    with pytest.raises(SourceError, match="no column `event_time`"):
        open_source(csv(tmp_path, "user_id,item_id\nu,i\n"), VIEW)
    path = csv(tmp_path, "userId,movieId,rating\n1,2,3\n", "ratings.csv")
    with pytest.raises(SourceError, match="no column `timestamp`; it has `userId`, `movieId`"):
        open_source(path)


def test_data_without_an_action_are_refused(tmp_path: Path):
    with pytest.raises(SourceError, match="no column `action`"):
        open_source(csv(tmp_path, HEADER + "u,i,1,2\n"))


def test_json_lines_without_a_field_are_refused(tmp_path: Path):
    path = csv(tmp_path, '{"user_id": "u", "event_time": 1}\n', "x.jsonl")
    with pytest.raises(SourceError, match="no column `item_id`; it has `user_id`, `event_time`"):
        open_source(path, VIEW)


def test_bad_rows_are_counted_and_the_first_three_are_told(tmp_path: Path):
    rows = "u,i,1,4\nu,i,soon,4\nu,i,2,many\n\nu,i\n,i,3,4\nu,,3,4\nu,i,3,9\nu,i,3,\nu,i,3,5\n"
    report = report_of(csv(tmp_path, HEADER + rows), RATING)
    assert (report.events, report.skipped) == (2, 7)
    assert [sample.file for sample in report.samples] == ["data.csv"] * 3
    # The width is checked first, a chunk at a time.
    assert [sample.line for sample in report.samples] == [6, 3, 4]
    assert "2 columns; 4 are expected" in report.samples[0].reason
    assert "'soon'" in report.samples[1].reason
    assert "'many'" in report.samples[2].reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("u,i,,4", "`event_time` is ''; seconds since 1970"),
        ("u,i,nan,4", "`event_time` is 'nan'"),
        ("u,i,1e300,4", "1e300 is not a time"),
        ("u,i,-5,4", "-5 is not a time from 1970 on"),
        ("u,i,1,inf", "`value` is 'inf'"),
        ("u,i,1,", "without `value`"),
        ("u,i,1,-1", "-1"),
        ("u,i,1,5.5", "5.5 stars; the data's scale ends at 5"),
        (",i,1,4", "neither `user_id` nor `session_id`"),
        ("u,,1,4", "without `item_id`"),
        (f"{'ü' * 129},i,1,4", "258 bytes"),
        ("u\udcff,i,1,4", "surrogates not allowed"),
    ],
)
def test_each_kind_of_bad_row_has_its_reason(tmp_path: Path, row: str, reason: str):
    report = report_of(csv(tmp_path, f"{HEADER}u,i,1,4\n{row}\n"), RATING)
    assert (report.events, report.skipped) == (1, 1)
    assert report.samples[0].line == 3
    assert reason in report.samples[0].reason


def test_bad_iso_times_and_unknown_actions_have_their_reasons(tmp_path: Path):
    text = "user_id,item_id,event_time,action\nu,i,2020-01-01,view\nu,i,1.1.2020,view\n"
    text += "u,i,1960-01-01,view\nu,i,2020-01-01,buy\n"
    report = report_of(csv(tmp_path, text), Options(time_unit="iso"))
    assert [sample.line for sample in report.samples] == [3, 4, 5]
    assert "'1.1.2020'; an ISO time" in report.samples[0].reason
    assert "1960-01-01" in report.samples[1].reason
    assert "'buy' is unknown; an action is one of view, click" in report.samples[2].reason


@pytest.mark.parametrize(
    ("field", "cell", "reason"),
    [
        ("consent", "perhaps", "perhaps"),
        ("context", "{", "`context`"),
        ("context", '{""a"": []}', "`context`"),
        ("event_id", "e" * 257, "257 bytes"),
    ],
)
def test_bad_free_fields_have_their_reasons(tmp_path: Path, field: str, cell: str, reason: str):
    text = f'user_id,item_id,event_time,{field}\nu,i,1,\nu,i,2,"{cell}"\n'
    report = report_of(csv(tmp_path, text), VIEW)
    assert (report.events, report.skipped, report.samples[0].line) == (1, 1, 3)
    assert reason in report.samples[0].reason


def test_a_text_beyond_the_size_of_a_record_is_a_bad_row(tmp_path: Path):
    row = '{"user_id": "u", "item_id": "i", "event_time": 1, "text": "TEXT"}\n'
    text = row.replace("TEXT", "x" * 900_000) + row.replace("TEXT", "x" * 1_000_000)
    report = report_of(csv(tmp_path, text, "x.jsonl"), VIEW)
    assert (report.events, report.skipped) == (1, 1)
    assert "at most 1000000 are sent" in report.samples[0].reason


def test_lines_are_counted_across_quoted_line_ends_and_blank_lines(tmp_path: Path):
    text = 'user_id,item_id,event_time,text\n\nu,i,1,"a\nb\r\nc"\nu,i,2,x\nu,i,bad,y\n'
    assert report_of(csv(tmp_path, text), VIEW).samples[0].line == 7


def test_lines_are_right_beyond_the_first_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "CHUNK_ROWS", 2)
    rows = [f"u,i,{time},4" for time in range(1, 8)]
    rows[2], rows[5] = 'u,"i\n",3,4', "u,i,x,4"
    report = report_of(csv(tmp_path, HEADER + "\n".join(rows)), RATING)
    assert (report.events, report.samples[0].line) == (6, 8)


def test_strict_stops_at_the_first_bad_row_and_names_it(tmp_path: Path):
    path = csv(tmp_path, HEADER + "u,i,1,4\nu,i,x,4\n")
    with pytest.raises(SourceError, match=r"data\.csv line 3: `event_time` is 'x'"):
        open_source(path, Options(action="rating", strict=True))


def test_times_ahead_of_the_clock_are_bad_rows_where_a_clock_is_given(tmp_path: Path):
    path = csv(tmp_path, HEADER + "u,i,1000,4\nu,i,1600,4\nu,i,1601,4\n")
    report = report_of(path, Options(action="rating", now_ms=1_000_000))
    assert (report.events, report.samples[0].line) == (2, 4)
    assert "in the future" in report.samples[0].reason
    assert report_of(path, RATING).events == 3


def test_times_in_the_wrong_unit_are_wondered_at(tmp_path: Path):
    path = csv(tmp_path, HEADER + "u,i,1700000000,4\n")
    options = Options(action="rating", time_unit="ms")
    assert "before 1990" in report_of(path, options).notes[0]
    assert report_of(path, RATING).notes == []


def test_duplicates_are_kept_and_counted(tmp_path: Path):
    path = csv(tmp_path, HEADER + "u,i,1,4\nu,i,1,4\nu,j,1,4\nu,i,1,3\n")
    source = open_source(path, RATING)
    assert (source.report.events, source.report.duplicates) == (4, 2)


@pytest.mark.parametrize("text", ["", "\n", "\n\n"])
def test_an_empty_file_is_said_to_be_empty(tmp_path: Path, text: str):
    with pytest.raises(SourceError, match="is empty"):
        open_source(csv(tmp_path, text), VIEW)


def test_a_file_without_a_usable_row_says_why(tmp_path: Path):
    with pytest.raises(SourceError, match="no usable event"):
        open_source(csv(tmp_path, HEADER), RATING)
    with pytest.raises(SourceError, match=r"no usable event .1 rows skipped.*line 2"):
        open_source(csv(tmp_path, HEADER + "u,i,x,4\n"), RATING)


def test_one_user_is_enough(tmp_path: Path):
    assert report_of(csv(tmp_path, HEADER + "u,i,1,4\n"), RATING).users == 1


def test_bad_rows_of_a_catalogue_are_reported_and_the_first_row_of_an_item_counts(tmp_path: Path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,10,4,5\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n10,A,\n10,B,\n,C,\n11\n12,D,\n")
    source = open_source(tmp_path)
    assert [sample.line for sample in source.report.samples] == [5, 3, 4]
    assert "item '10' has a row already" in source.report.samples[1].reason
    assert [r.title for r in source.records() if hasattr(r, "title")] == ["D", "A"]


def test_what_a_row_says_badly_of_its_item_is_reported_and_the_event_stays(tmp_path: Path):
    path = csv(tmp_path, "user_id,item_id,event_time,price\nu,i,1,cheap\n")
    report = report_of(path, VIEW)
    assert (report.events, report.skipped) == (1, 1)
    assert "`price` is 'cheap'" in report.samples[0].reason


def test_a_catalogue_without_the_column_names_its_option(tmp_path: Path):
    csv(tmp_path, "sku,title\ni,Lamp\n", "items.csv")
    path = csv(tmp_path, HEADER + "u,i,1,4\n")
    options = Options(action="view", items=ItemFile(file=str(tmp_path / "items.csv")))
    with pytest.raises(SourceError, match="`item_id`; it has `sku`, `title`; --map-item"):
        open_source(path, options)


def test_rows_of_netflix_that_are_none_are_reported(tmp_path: Path):
    path = csv(tmp_path, "1:\n10,3,2005-09-06\n10;3\n10,x,2005-09-06\n10,3,yesterday\n")
    report = report_of(path, Options())
    assert (report.events, report.skipped) == (1, 3)
    path = csv(tmp_path, "10,3,2005-09-06\n1:\n10,3,2005-09-06\n")
    assert "above the first movie" in report_of(path, Options(format="netflix")).samples[0].reason


def test_rows_of_amazon_that_are_none_are_reported(tmp_path: Path):
    good = '{"reviewerID": "u", "asin": "i", "overall": 4.0, "unixReviewTime": 5}\n'
    no_time = good.replace(', "unixReviewTime": 5', "")
    high = good.replace("4.0", "9.0")
    path = csv(tmp_path, good + "{\n" + no_time + "\n" + high + '"\udcff"\n', "r.json")
    report = report_of(path, Options())
    assert (report.events, report.skipped) == (1, 4)
    assert [sample.line for sample in report.samples] == [2, 3, 6]
    assert "unixReviewTime" in report.samples[1].reason


def test_rows_of_yoochoose_with_a_bad_price_are_reported(tmp_path: Path):
    path = csv(tmp_path, "1,2014-04-07T10:51:09.277Z,2,3,1\n1,2014-04-07T10:51:09.277Z,2,x,1\n")
    report = report_of(path, Options())
    assert (report.events, report.samples[0].line) == (1, 2)
    assert "x * 1" in report.samples[0].reason


def test_archives_and_broken_files_are_told_apart_from_data(tmp_path: Path):
    zipped = tmp_path / "x.csv"
    zipped.write_bytes(b"PK\x03\x04rest")
    with pytest.raises(SourceError, match="zip archive; unpack it"):
        open_source(zipped, VIEW)
    cut = tmp_path / "y.csv.gz"
    cut.write_bytes(gzip.compress((HEADER + "u,i,1,4\n" * 1000).encode())[:-20])
    with pytest.raises(SourceError, match=r"y\.csv\.gz cannot be read"):
        open_source(cut, VIEW)
    array = csv(tmp_path, '[{"user_id": 1}]', "z.csv")
    with pytest.raises(SourceError, match="JSON array"):
        open_source(array, VIEW)
    quote = csv(tmp_path, HEADER + 'u,"i' + "x" * 200_000, "q.csv")
    with pytest.raises(SourceError, match="quotes are never closed"):
        open_source(quote, VIEW)


def test_skipped_rows_say_where():
    assert str(Skipped("a.csv", 3, "bad")) == "a.csv line 3: bad"


def test_the_number_of_rows_read_is_told_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "CHUNK_ROWS", 3)
    heard: list[int] = []
    path = csv(tmp_path, HEADER + "".join(f"u,i,{t},4\n" for t in range(7)) + "u,i,x,4\n")
    open_source(path, RATING, heard.append)
    assert heard[-1] == 8
    assert all(a < b for a, b in itertools.pairwise(heard))
