"""CSV and JSON lines of any origin: mapping, units, delimiters, items, free fields."""

import gzip
import json
import time
from pathlib import Path

import pytest

from deploy.replay import files
from deploy.replay.options import ItemFile, Options, parse_pairs, read_options, with_settings
from deploy.replay.readers import Source, detect, open_source
from deploy.replay.report import SourceError
from operators.events import Interaction, Item

SHOP = Options(
    map={"user_id": "uid", "item_id": "sku", "event_time": "ts", "value": "stars"}, action="rating"
)


def csv(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    raw = text.encode()
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def jsonl(folder: Path, *records: object) -> Path:
    return csv(folder, "".join(json.dumps(record) + "\n" for record in records), "data.jsonl")


def events(source: Source) -> list[Interaction]:
    return [record for record in source.records() if isinstance(record, Interaction)]


def item(source: Source, item_id: str) -> Item:
    (found,) = [r for r in source.records() if isinstance(r, Item) and r.item_id == item_id]
    return found


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "plain.gz"])
def test_columns_are_mapped_by_name(tmp_path: Path, name: str):
    path = csv(tmp_path, "ts,stars,sku,uid,more\n1.5,4,s-1,u,x\n", name)
    assert detect(path, SHOP) == "csv"
    assert events(open_source(path, SHOP)) == [
        Interaction(
            event_id="ev-u-s-1-rating-1500",
            event_time=1500,
            action="rating",
            user_id="u",
            item_id="s-1",
            value=4.0,
        )
    ]


def test_columns_named_like_fields_need_no_mapping(tmp_path: Path):
    text = "user_id,item_id,event_time,action,text,surface\nu,i,2,comment,hello,home\n"
    (event,) = events(open_source(csv(tmp_path, text)))
    assert (event.action, event.text, event.surface) == ("comment", "hello", "home")


@pytest.mark.parametrize(
    ("unit", "cell", "expected_ms"),
    [
        ("s", "1700000000", 1_700_000_000_000),
        ("s", "1700000000.123", 1_700_000_000_123),
        ("ms", "1700000000123", 1_700_000_000_123),
        ("us", "1700000000123456", 1_700_000_000_123),
        ("iso", "2023-11-14T22:13:20.123Z", 1_700_000_000_123),
        ("iso", "2023-11-14 22:13:20.123", 1_700_000_000_123),
        ("iso", "2023-11-15T06:13:20+08:00", 1_700_000_000_000),
        ("iso", "2023-11-14", 1_699_920_000_000),
        ("s", "0", 0),
    ],
)
def test_times_have_a_unit(tmp_path: Path, unit: str, cell: str, expected_ms: int):
    path = csv(tmp_path, f"uid,sku,ts,stars\nu,i,{cell},1\n")
    options = with_settings(SHOP, time_unit=unit)
    assert events(open_source(path, options))[0].event_time == expected_ms


def test_iso_times_without_an_offset_are_utc_wherever_the_machine_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = csv(tmp_path, "uid,sku,ts,stars\nu,i,1970-01-02,1\n")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        (event,) = events(open_source(path, with_settings(SHOP, time_unit="iso")))
    time.tzset()
    assert event.event_time == 86_400_000


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_from_the_first_line(tmp_path: Path, delimiter: str):
    text = "\n".join(delimiter.join(row) for row in (["uid", "sku", "ts", "stars"], list("ui12")))
    assert events(open_source(csv(tmp_path, text), SHOP))[0].value == 2.0


def test_a_delimiter_may_be_named_and_have_several_characters(tmp_path: Path):
    path = csv(tmp_path, "uid::sku::ts::stars\nu::a,b::1::2\n")
    (event,) = events(open_source(path, with_settings(SHOP, delimiter="::")))
    assert event.item_id == "a,b"


def test_without_a_header_columns_are_numbers(tmp_path: Path):
    options = Options(
        map={"user_id": "0", "item_id": "1", "event_time": "2"}, action="click", header=False
    )
    assert [e.user_id for e in events(open_source(csv(tmp_path, "u,i,1\nv,i,2\n"), options))] == [
        "u",
        "v",
    ]


def test_words_of_the_action_column_are_mapped(tmp_path: Path):
    path = csv(tmp_path, "user_id,item_id,event_time,action\nu,i,1,buy\nu,i,2,like\n")
    options = Options(actions={"buy": "purchase"})
    assert [event.action for event in events(open_source(path, options))] == ["purchase", "like"]


def test_quoted_cells_may_hold_delimiters_quotes_and_line_ends(tmp_path: Path):
    text = 'uid,sku,ts,stars,text\nu,"a,b",1,2,"say ""hi""\nthere"\n'
    (event,) = events(open_source(csv(tmp_path, text), SHOP))
    assert (event.item_id, event.text) == ("a,b", 'say "hi"\nthere')


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path):
    path = csv(tmp_path, "\ufeffuid,sku,ts,stars\nu,i,1,2\n")
    assert events(open_source(path, SHOP))[0].user_id == "u"


def test_other_encodings_are_named(tmp_path: Path):
    path = tmp_path / "data.csv"
    path.write_bytes("uid,sku,ts,stars\n用户,商品,1,2\n".encode("gbk"))
    options = with_settings(SHOP, encoding="gbk")
    assert events(open_source(path, options))[0].item_id == "商品"


def test_what_rows_say_of_an_item_counts_the_first_time(tmp_path: Path):
    text = (
        "user_id,item_id,event_time,title,categories,price\n"
        "u,i,5,,,\nu,i,4,Lamp,Home|Light,9.5\nu,i,3,Other,,\n"
    )
    found = item(open_source(csv(tmp_path, text), Options(action="view")), "i")
    assert (found.title, found.categories, found.price) == ("Lamp", ["Home", "Light"], 9.5)
    assert found.event_time == 3000


def test_a_second_word_on_an_item_is_no_bad_row(tmp_path: Path):
    path = csv(tmp_path, "user_id,item_id,event_time,title\nu,i,1,A\nu,i,2,B\n")
    assert open_source(path, Options(action="view")).report.skipped == 0


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_catalogue_may_have_a_file_of_its_own(tmp_path: Path, kind: str):
    path = csv(tmp_path, "user_id,item_id,event_time\nu,i,5\n")
    catalogue = tmp_path / "items.txt"
    if kind == "csv":
        catalogue.write_text("sku;name;tags\ni;Lamp;a|b\nj;Desk;\n")
    else:
        rows = [{"sku": "i", "name": "Lamp", "tags": ["a", "b"]}, {"sku": "j", "name": "Desk"}]
        catalogue.write_text("\n".join(map(json.dumps, rows)))
    items = ItemFile(file=str(catalogue), map={"item_id": "sku", "title": "name"})
    source = open_source(path, Options(action="view", items=items))
    assert (item(source, "i").title, item(source, "i").tags) == ("Lamp", ["a", "b"])
    assert next(source.records()) == Item(item_id="j", event_time=5000, title="Desk")


def test_json_lines_have_numbers_lists_and_objects(tmp_path: Path):
    record = {
        "user": {"id": 7},
        "item_id": 12,
        "event_time": 3,
        "action": "dwell",
        "value": 4.5,
        "categories": ["a", "b"],
        "context": {"device": "phone"},
        "consent": False,
        "ignored": [1],
    }
    path = jsonl(tmp_path, record)
    source = open_source(path, Options(map={"user_id": "user.id"}))
    assert source.name == "jsonl"
    (event,) = events(source)
    assert (event.user_id, event.item_id, event.value) == ("7", "12", 4.5)
    assert event.context == {"device": "phone"}
    assert event.consent is False
    assert item(source, "12").categories == ["a", "b"]


def test_a_field_that_ends_in_the_middle_of_json_lines_is_no_missing_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "CHUNK_ROWS", 1)
    record = {"user_id": "u", "item_id": "i", "event_time": 1}
    path = jsonl(tmp_path, record | {"lang": "en"}, record)
    options = Options(action="view", map={"language": "lang"})
    assert [event.language for event in events(open_source(path, options))] == ["en", None]


def test_records_of_the_wire_contract_come_out_as_they_are(tmp_path: Path):
    wire = {
        "kind": "interaction",
        "event_id": "given",
        "event_time": 1_700_000_000_123,
        "session_id": "s",
        "action": "search",
        "text": "lamp",
        "language": "en",
        "surface": "home",
        "impression_id": "imp",
        "consent": False,
    }
    erase = {"kind": "erase", "event_id": "e", "event_time": 1_700_000_000_124, "user_id": "u"}
    path = jsonl(tmp_path, wire, erase)
    source = open_source(path, Options(time_unit="ms"))
    expected = {name: value for name, value in wire.items() if name != "kind"}
    assert events(source) == [Interaction(**expected)]
    assert [(s.line, "erase" in s.reason) for s in source.report.samples] == [(2, True)]


def test_given_ids_stay_and_equal_ones_are_counted(tmp_path: Path):
    path = csv(tmp_path, "event_id,user_id,item_id,event_time\na,u,i,1\na,v,j,2\nb,u,i,3\n")
    source = open_source(path, Options(action="view"))
    assert [event.event_id for event in events(source)] == ["a", "a", "b"]
    assert source.report.duplicates == 1


def test_users_and_items_with_hyphens_never_make_the_same_id(tmp_path: Path):
    rows = "a-b,c,,1\na,b-c,,1\n~s,i,,1\n,i,s,1\na%2Db,c,,1\n"
    path = csv(tmp_path, f"user_id,item_id,session_id,event_time\n{rows}")
    source = open_source(path, Options(action="view"))
    assert len({event.event_id for event in events(source)}) == 5
    assert source.report.duplicates == 0


def test_ids_too_long_for_the_contract_are_digests_of_themselves(tmp_path: Path):
    rows = f"{'u' * 250},{'i' * 250},1\n{'u' * 250},{'j' * 250},1\n"
    path = csv(tmp_path, f"user_id,item_id,event_time\n{rows}")
    ids = [event.event_id for event in events(open_source(path, Options(action="view")))]
    assert len(set(ids)) == 2
    assert max(map(len, ids)) <= 256


def test_stars_out_of_ten_are_halved_and_amounts_are_not(tmp_path: Path):
    path = csv(
        tmp_path,
        "user_id,item_id,event_time,action,value\nu,i,1,rating,7\nu,i,2,review,10\nu,i,3,purchase,70\n",
    )
    source = open_source(path, Options(stars_max=10))
    assert [event.value for event in events(source)] == [3.5, 5.0, 70.0]


def test_a_mapping_file_says_all_of_it(tmp_path: Path):
    csv(tmp_path, "sku,name\ni,Lamp\n", "items.csv")
    (tmp_path / "shop.toml").write_text(
        'action = "rating"\ntime_unit = "ms"\nstars_max = 10\ndelimiter = ";"\n'
        '[map]\nuser_id = "uid"\nitem_id = "sku"\nevent_time = "ts"\nvalue = "stars"\n'
        '[items]\nfile = "items.csv"\n[items.map]\nitem_id = "sku"\ntitle = "name"\n'
    )
    source = open_source(
        csv(tmp_path, "uid;sku;ts;stars\nu;i;5;8\n"), read_options(tmp_path / "shop.toml")
    )
    assert (events(source)[0].value, events(source)[0].event_time) == (4.0, 5)
    assert item(source, "i").title == "Lamp"


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("[map]\nuser = 'uid'\n", "no field is named user; fields are user_id"),
        ("unit = 's'\n", "unit"),
        ("action = 'buy'\n", "action"),
        ("encoding = 'utf-99'\n", "utf-99"),
        ("stars_max = 0\n", "above 0"),
        ("delimiter = ''\n", "delimiter"),
        ("map = \n", "legal keys are format, tenant"),
    ],
)
def test_a_mapping_file_with_a_mistake_names_it(tmp_path: Path, toml: str, named: str):
    (tmp_path / "x.toml").write_text(toml)
    with pytest.raises(SourceError, match=named):
        read_options(tmp_path / "x.toml")


def test_settings_override_field_by_field_and_none_leaves_alone():
    options = with_settings(SHOP, stars_max=None, time_unit="iso")
    assert (options.map, options.action, options.time_unit) == (SHOP.map, "rating", "iso")
    with pytest.raises(SourceError, match="time_unit"):
        with_settings(SHOP, time_unit="h")


@pytest.mark.parametrize("pair", ["user_id", "=x", "user_id="])
def test_a_pair_without_two_sides_is_refused(pair: str):
    with pytest.raises(SourceError, match="NAME=VALUE"):
        parse_pairs("--map", [pair])


def test_a_folder_with_one_table_is_that_table(tmp_path: Path):
    csv(tmp_path, "user_id,item_id,event_time\nu,i,1\n", "only.csv.gz")
    assert open_source(tmp_path, Options(action="view")).report.events == 1
    csv(tmp_path, "x", "second.csv")
    with pytest.raises(SourceError, match=r"only\.csv\.gz, second\.csv"):
        open_source(tmp_path, Options(action="view"))


def test_a_scale_below_zero_is_brought_to_stars(tmp_path):
    data = csv(tmp_path, "uid,sku,ts,stars\n1,a,10,-10\n1,b,11,0\n2,a,12,10\n2,b,13,10.5\n")
    source = open_source(data, with_settings(SHOP, stars_min=-10.0, stars_max=10.0))
    assert [one.value for one in events(source)] == [0.0, 2.5, 5.0]
    assert source.report.stars == (-10.0, 10.5), "as they stand in the data, bad ones included"
    assert "begins" not in str(source.report.samples)
    below = open_source(data, with_settings(SHOP, stars_max=20.0))
    assert "the data's scale begins at 0.0" in str(below.report.samples[0])


def test_a_scale_that_ends_below_its_beginning_is_refused():
    with pytest.raises(SourceError, match=r"stars_min is 6\.0; it lies below stars_max, 5\.0"):
        with_settings(SHOP, stars_min=6.0)


def test_rows_without_times_come_in_the_order_of_the_file(tmp_path):
    data = csv(tmp_path, "uid,sku,stars\n2,b,3\n1,a,4\n2,a,5\n")
    options = Options(
        map={"user_id": "uid", "item_id": "sku", "value": "stars"}, action="rating",
        file_order=True,
    )  # fmt: skip
    found = events(open_source(data, options))
    assert [(one.user_id, one.item_id) for one in found] == [("2", "b"), ("1", "a"), ("2", "a")]
    assert [one.event_time - found[0].event_time for one in found] == [0, 1000, 2000]
    with pytest.raises(SourceError, match="no column `event_time`"):
        open_source(data, with_settings(options, file_order=False))
