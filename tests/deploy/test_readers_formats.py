"""Each known data set, from files of a few rows: order, ids, items, titles, values."""

import gzip
import json
from pathlib import Path

import pytest

from deploy.replay.options import FORMATS, Options
from deploy.replay.readers import Source, detect, open_source
from deploy.replay.report import SourceError
from operators.events import Interaction, Item

S = 1000


def write(folder: Path, files: dict[str, str]) -> Path:
    """Writes files by name; those that end in gz are compressed."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = text.encode()
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return folder


def events(source: Source) -> list[Interaction]:
    return [record for record in source.records() if isinstance(record, Interaction)]


def items(source: Source) -> dict[str, Item]:
    return {record.item_id: record for record in source.records() if isinstance(record, Item)}


def sketch(source: Source) -> list[tuple[str, int]]:
    """Records in their order: the item id of an item, the event id of an event, and the time."""
    return [
        (record.item_id if isinstance(record, Item) else record.event_id, record.event_time)
        for record in source.records()
    ]


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        {
            "ratings.csv": (
                "userId,movieId,rating,timestamp\n2,10,4.0,300\n1,10,0.5,100\n1,20,5.0,100\n"
            ),
            "movies.csv": (
                "movieId,title,genres\n"
                '10,"American President, The (1995)",Comedy|Drama\n'
                "20,Toy Story (1995),Adventure\n"
                "30,Unseen (2000),(no genres listed)\n"
            ),
            "tags.csv": "userId,movieId,tag,timestamp\n1,20,pixar,200\n1,20,fun,200\n",
        },
    )


def test_movielens_comes_by_time_with_each_item_before_its_first_event(movielens: Path):
    source = open_source(movielens)
    assert detect(movielens) == source.name == "movielens"
    assert sketch(source) == [
        ("30", 100 * S),
        ("10", 100 * S),
        ("ml-1-10-100000", 100 * S),
        ("20", 100 * S),
        ("ml-1-20-100000", 100 * S),
        ("ml-2-10-300000", 300 * S),
    ]
    assert source.report.reordered
    assert (source.report.first_ms, source.report.last_ms) == (100 * S, 300 * S)


def test_movielens_ratings_become_rating_events(movielens: Path):
    assert events(open_source(movielens))[0] == Interaction(
        event_id="ml-1-10-100000",
        event_time=100 * S,
        action="rating",
        user_id="1",
        item_id="10",
        value=0.5,
    )


def test_movielens_genres_become_categories_and_none_listed_becomes_none(movielens: Path):
    found = items(open_source(movielens))
    assert found["10"].title == "American President, The (1995)"
    assert found["10"].categories == ["Comedy", "Drama"]
    assert found["30"].categories == []


def test_movielens_tags_are_left_out_with_a_note(movielens: Path):
    source = open_source(movielens)
    assert source.report.events == 3
    assert any("tags.csv" in note for note in source.report.notes)


def test_movielens_tags_are_comments_on_request_and_two_of_a_second_have_two_ids(movielens: Path):
    source = open_source(movielens, Options(tags=True))
    comments = [event for event in events(source) if event.action == "comment"]
    assert [(event.text, event.event_time) for event in comments] == [
        ("pixar", 200 * S),
        ("fun", 200 * S),
    ]
    assert len({event.event_id for event in comments}) == 2
    assert source.report.duplicates == 0


def test_movielens_columns_are_found_by_name(tmp_path: Path):
    write(tmp_path, {"ratings.csv": "rating,timestamp,movieId,userId\n3.5,7,m,u\n"})
    (event,) = events(open_source(tmp_path))
    assert (event.user_id, event.item_id, event.value, event.event_time) == ("u", "m", 3.5, 7 * S)


def test_movielens_without_movies_has_ids_for_titles_and_says_so(tmp_path: Path):
    write(tmp_path, {"ratings.csv": "userId,movieId,rating,timestamp\n1,10,4,5\n"})
    source = open_source(tmp_path)
    assert items(source)["10"].title == "10"
    assert any("movies.csv" in note for note in source.report.notes)


def test_movielens_of_a_film_that_movies_does_not_list_has_its_id_for_a_title(movielens: Path):
    with (movielens / "ratings.csv").open("a") as file:
        file.write("1,99,4.0,400\n")
    assert items(open_source(movielens))["99"].title == "99"


def test_a_single_file_of_ratings_takes_the_movies_beside_it(movielens: Path):
    assert items(open_source(movielens / "ratings.csv"))["20"].title == "Toy Story (1995)"


def test_movielens_1m_has_double_colons_and_latin_1(tmp_path: Path):
    (tmp_path / "ratings.dat").write_text("1::2::5::978300760\n1::1::3::978300000\n")
    (tmp_path / "movies.dat").write_bytes(
        "1::Misérables, Les::Drama|War\n2::A: B::\n".encode("latin-1")
    )
    source = open_source(tmp_path)
    assert source.name == "movielens"
    assert [event.event_id for event in events(source)] == [
        "ml-1-1-978300000000",
        "ml-1-2-978300760000",
    ]
    assert items(source)["1"].title == "Misérables, Les"
    assert items(source)["1"].categories == ["Drama", "War"]
    assert (items(source)["2"].title, items(source)["2"].categories) == ("A: B", [])


def test_movielens_10m_is_in_utf_8(tmp_path: Path):
    write(tmp_path, {"ratings.dat": "1::2::4.5::9\n", "movies.dat": "2::Amélie::Comedy\n"})
    source = open_source(tmp_path)
    assert items(source)["2"].title == "Amélie"
    assert events(source)[0].value == 4.5


def test_movielens_100k_has_tabs_and_genres_as_flags(tmp_path: Path):
    flags = ["0"] * 19
    flags[1] = flags[5] = "1"
    unknown = ["1"] + ["0"] * 18
    rows = ["|".join(["1", 'Say "Hi"', "01-Jan-1995", "", "http://x", *flags])]
    rows += ["|".join(["2", "unknown", "", "", "", *unknown])]
    (tmp_path / "u.item").write_text("\n".join(rows) + "\n", encoding="latin-1")
    (tmp_path / "u.data").write_text("196\t1\t3\t881250949\n")
    source = open_source(tmp_path)
    assert source.name == "movielens"
    assert sketch(source)[-1] == ("ml-196-1-881250949000", 881250949 * S)
    assert items(source)["1"].title == 'Say "Hi"'
    assert items(source)["1"].categories == ["Action", "Comedy"]
    assert items(source)["2"].categories == []


REVIEW = {
    "reviewerID": "A1",
    "asin": "0001384719342",
    "reviewerName": "Jo Doe",
    "helpful": [0, 1],
    "reviewText": "Works well.",
    "overall": 4.0,
    "summary": "good",
    "unixReviewTime": 1393545600,
    "reviewTime": "02 28, 2014",
}


def amazon(folder: Path, *reviews: dict[str, object], name: str = "reviews.json.gz") -> Path:
    raw = "".join(json.dumps(REVIEW | review) + "\n" for review in reviews).encode()
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    return folder / name


@pytest.mark.parametrize("name", ["reviews.json.gz", "reviews.json", "without-an-ending"])
def test_amazon_reviews_have_stars_and_text_summary_first(tmp_path: Path, name: str):
    source = open_source(amazon(tmp_path, {}, name=name))
    assert source.name == "amazon"
    (event,) = events(source)
    assert event == Interaction(
        event_id="az-A1-0001384719342-1393545600000",
        event_time=1393545600000,
        action="review",
        user_id="A1",
        item_id="0001384719342",
        value=4.0,
        text="good\nWorks well.",
    )
    assert items(source)["0001384719342"].title == "0001384719342"


def test_amazon_names_of_reviewers_never_come_out(tmp_path: Path):
    source = open_source(amazon(tmp_path, {}, {"asin": "b", "summary": "Jo Doe"}))
    assert not any("Jo Doe" in str(record) for record in source.records())


def test_amazon_reviews_may_lack_text_and_summary(tmp_path: Path):
    source = open_source(amazon(tmp_path, {"reviewText": "", "summary": None}))
    assert events(source)[0].text is None


def test_amazon_metadata_gives_titles(tmp_path: Path):
    amazon(tmp_path, {"asin": "a"})
    product = {"asin": "a", "title": "Pop filter", "brand": "N", "category": ["Audio", "Audio"]}
    (tmp_path / "meta_x.json").write_text(json.dumps(product) + "\n")
    item = items(open_source(tmp_path))["a"]
    assert (item.title, item.creator, item.categories) == ("Pop filter", "N", ["Audio"])


def test_amazon_reviews_of_2023_with_their_metadata(tmp_path: Path):
    review = {
        "rating": 4.0, "title": "Fine", "text": "Works.", "images": [], "asin": "variant",
        "parent_asin": "parent", "user_id": "U", "timestamp": 1588687728923, "helpful_vote": 0,
    }  # fmt: skip
    product = {
        "parent_asin": "parent", "title": "A mat", "store": "Matco", "main_category": "Home",
        "categories": ["Home", "Mats"], "description": ["Soft.", "Red."], "price": None,
    }  # fmt: skip
    (tmp_path / "Home.jsonl").write_text(json.dumps(review) + "\n")
    (tmp_path / "meta_Home.jsonl").write_text(json.dumps(product) + "\n")
    source = open_source(tmp_path)
    item, event = source.records()
    assert source.name == "amazon"
    assert (event.user_id, event.item_id, event.value) == ("U", "parent", 4.0)
    assert (event.event_time, event.text) == (1588687728923, "Fine\nWorks.")
    assert (item.title, item.creator, item.categories) == ("A mat", "Matco", ["Home", "Mats"])
    assert item.description == "Soft. Red."


def test_amazon_reviews_of_a_folder_are_merged_by_time(tmp_path: Path):
    amazon(tmp_path, {"unixReviewTime": 20}, name="a.json")
    amazon(tmp_path, {"unixReviewTime": 10}, name="b.json.gz")
    assert [event.event_time for event in events(open_source(tmp_path))] == [10 * S, 20 * S]


def test_taobao_behaviours_become_actions_and_the_category_stays(tmp_path: Path):
    write(
        tmp_path,
        {"UserBehavior.csv.gz": "1,7,70,pv,5\n1,7,70,buy,5\n2,8,80,fav,4\n2,8,80,cart,6\n"},
    )
    source = open_source(tmp_path)
    assert source.name == "taobao"
    assert [(event.event_id, event.action) for event in events(source)] == [
        ("tb-2-8-favourite-4000", "favourite"),
        ("tb-1-7-view-5000", "view"),
        ("tb-1-7-purchase-5000", "purchase"),
        ("tb-2-8-cart-6000", "cart"),
    ]
    assert items(source)["7"].categories == ["70"]
    assert items(source)["7"].title == "7"
    assert items(source)["7"].event_time == 5 * S


def test_netflix_ratings_stand_below_their_movie(tmp_path: Path):
    write(
        tmp_path,
        {
            "combined_data_1.txt": "1:\n10,3,2005-09-06\n2:\n10,5,2005-09-05\n11,4,2005-09-06\n",
            "movie_titles.csv": "1,2003,Dinosaur Planet\n2,NULL,Cats, Dogs\n",
        },
    )
    source = open_source(tmp_path)
    assert source.name == "netflix"
    day_ms = 86_400_000
    assert [event.event_id for event in events(source)] == [
        f"nf-10-2-{13_031 * day_ms}",
        f"nf-10-1-{13_032 * day_ms}",
        f"nf-11-2-{13_032 * day_ms}",
    ]
    assert (items(source)["1"].title, items(source)["1"].attributes) == (
        "Dinosaur Planet",
        {"year": 2003},
    )
    assert (items(source)["2"].title, items(source)["2"].attributes) == ("Cats, Dogs", {})


def test_netflix_training_set_is_read_file_by_file(tmp_path: Path):
    folder = tmp_path / "training_set"
    folder.mkdir()
    (folder / "mv_0000002.txt").write_text("2:\n5,1,2000-01-01\n")
    (folder / "mv_0000001.txt").write_text("1:\n5,2,2000-01-01\n")
    (tmp_path / "movie_titles.txt").write_bytes("1,2003,Amélie\n".encode("latin-1"))
    source = open_source(tmp_path)
    assert [event.item_id for event in events(source)] == ["1", "2"]
    assert items(source)["1"].title == "Amélie"


def test_yoochoose_sessions_click_and_buy(tmp_path: Path):
    write(
        tmp_path,
        {
            "yoochoose-clicks.dat": (
                "11,2014-04-07T10:51:09.277Z,214,0\n11,2014-04-07T10:52:00.000Z,214,S\n"
            ),
            "yoochoose-buys.dat": (
                "11,2014-04-07T10:51:30.001Z,214,1046,2\n11,2014-04-07T10:53:00.000Z,215,0,0\n"
            ),
        },
    )
    source = open_source(tmp_path)
    assert source.name == "yoochoose"
    assert [(event.action, event.value) for event in events(source)] == [
        ("click", None),
        ("purchase", 2092.0),
        ("click", None),
        ("purchase", None),
    ]
    first = events(source)[0]
    assert (first.event_id, first.user_id, first.session_id, first.event_time) == (
        "yc-~11-214-click-1396867869277",
        None,
        "11",
        1396867869277,
    )
    assert items(source)["214"].categories == ["S"]
    assert (source.report.users, source.report.sessions) == (0, 1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [(Options(format="movielens", stars_max=10), 1.75), (Options(format="movielens"), 3.5)],
)
def test_stars_of_another_scale_come_out_of_five(tmp_path: Path, options: Options, expected: float):
    write(tmp_path, {"ratings.csv": "userId,movieId,rating,timestamp\n1,10,3.5,5\n"})
    assert events(open_source(tmp_path, options))[0].value == expected


def test_every_record_has_the_tenant(movielens: Path):
    records = list(open_source(movielens, Options(tenant="shop")).records())
    assert {record.tenant for record in records} == {"shop"}


def test_a_tenant_against_the_contract_is_refused_before_reading():
    with pytest.raises(ValueError, match="tenant"):
        Options(tenant="")


def test_records_are_the_same_on_every_call_and_of_every_reading(movielens: Path):
    source = open_source(movielens)
    first = list(source.records())
    assert list(source.records()) == first == list(open_source(movielens).records())


def test_a_limit_gives_the_beginning_of_the_stream(movielens: Path):
    source = open_source(movielens)
    assert list(source.records(limit=2)) == list(source.records())[:5]
    assert (source.count(2), source.count(99)) == (2, 3)
    assert (source.last_ms(2), source.last_ms()) == (100 * S, 300 * S)
    assert [record.event_time for record in source.records(limit=0)] == [100 * S]


def test_a_shift_moves_times_and_keeps_ids(movielens: Path):
    source = open_source(movielens)
    shifted, plain = list(source.records(shift_ms=7)), list(source.records())
    assert [r.event_time for r in shifted] == [r.event_time + 7 for r in plain]
    assert [e.event_id for e in shifted if isinstance(e, Interaction)] == [
        e.event_id for e in plain if isinstance(e, Interaction)
    ]


def test_a_place_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SourceError, match="does not exist"):
        open_source(tmp_path / "nothing", Options(format="taobao"))


def test_a_format_that_the_folder_does_not_hold_is_refused(tmp_path: Path):
    for name in FORMATS:
        with pytest.raises(SourceError, match=r"has (no|none|neither) "):
            open_source(tmp_path, Options(format=name))


def test_a_folder_of_nothing_known_lists_the_formats(tmp_path: Path):
    with pytest.raises(SourceError, match="movielens, amazon, taobao"):
        open_source(tmp_path)
