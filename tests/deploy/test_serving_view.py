"""What is shown of the rows, and how it looks."""

from io import StringIO

import msgspec
from rich.console import Console, RenderableType

from deploy.serving import tables, view
from deploy.serving.store import ItemFacts, Profile, Weighted
from operators.reading import NO_ROW
from tests.deploy.rows import AS_OF_MS, item, own, stored

WHOSE = ("t", "u", "home")
FACTS = {name: ItemFacts(f"Title {name}") for name in ("a", "b", "c", "s")}


def printed(renderable: RenderableType, width: int = 100) -> str:
    paper = StringIO()
    Console(width=width, file=paper).print(renderable)
    return paper.getvalue()


def shown(row, shared=None, **options):
    options = {"exclude": (), "top": 10, "now_ms": AS_OF_MS + 1500} | options
    return view.user_list(WHOSE, row, shared, options.pop("facts", FACTS), **options)


def test_titles_places_seeds_and_the_age_of_the_row_are_shown():
    found = shown(own(item("a", 2.0, seed="s"), item("b", 1.0)))
    first, second = found.items
    assert (first.rank, first.title, first.seed_title) == (1, "Title a", "Title s")
    assert (second.rank, second.seed, second.seed_title) == (2, None, None)
    assert (found.age_ms, found.model, found.generation) == (1500, "m-1", 7)
    assert found.fallback is None


def test_popular_items_are_merged_in_unless_the_user_knows_them():
    row, shared = own(item("a", 2.0), seen=("b",)), stored(item("b", 9.0), item("c", 3.0))
    assert [one.item_id for one in shown(row, shared).items] == ["c", "a"]


def test_excluded_and_unavailable_items_are_left_out():
    facts = FACTS | {"b": ItemFacts("Title b", available=False)}
    row = own(item("a", 3.0), item("b", 2.0), item("c", 1.0))
    assert [one.item_id for one in shown(row, facts=facts, exclude=["a"]).items] == ["c"]


def test_at_most_top_items_are_shown():
    row = own(*(item(name, 1.0) for name in "abc"))
    assert len(shown(row, top=2).items) == 2


def test_a_user_without_a_row_gets_what_is_popular_and_is_told():
    found = shown(None, stored(item("a", 1.0)))
    assert [one.item_id for one in found.items] == ["a"]
    assert (found.as_of_ms, found.age_ms, found.fallback) == (None, None, NO_ROW)


def test_an_item_nobody_described_is_shown_by_its_id():
    assert shown(own(item("x", 1.0, seed="y")), facts={}).items[0].title == "x"


def test_all_items_and_seeds_are_asked_for():
    rows = stored(item("a", 1, seed="s"), item("b", 1)), stored(item("c", 1)), None
    assert view.mentioned(*rows) == {"a", "b", "c", "s"}


def test_a_shared_list_leaves_out_what_is_unavailable():
    facts = {"a": ItemFacts("A", available=False), "m": ItemFacts("Main")}
    row = stored(item("a", 3), item("b", 2), item("c", 1))
    found = view.shared_list("t", "m", row, facts, top=1, now_ms=AS_OF_MS + 7)
    assert [one.item_id for one in found.items] == ["b"]
    assert (found.title, found.age_ms) == ("Main", 7)


def test_a_list_is_a_table_with_what_is_to_be_known_of_it_below():
    text = printed(tables.user_list(shown(own(item("a", 2.0, seed="s"), fallback="too new"))))
    for part in (
        "Title a",
        "2.000",
        "co_occurrence",
        "Because of s",
        "1.5 s old",
        "m-1",
        "too new",
    ):
        assert part in text


def test_the_seed_has_a_column_only_where_the_reason_does_not_name_it():
    row = own(item("a", 2.0, seed="s"))
    assert "seed" in printed(tables.user_list(shown(row))).splitlines()[0]
    named = shown(row, facts={"s": ItemFacts("s")})
    assert "seed" not in printed(tables.user_list(named)).splitlines()[0]


def test_a_narrow_terminal_cuts_titles_and_keeps_scores():
    facts = {"a": ItemFacts("A title that is far too long " * 4)}
    text = printed(tables.user_list(shown(own(item("a", 2.0)), facts=facts)), width=60)
    assert "2.000" in text
    assert "…" in text


def test_text_of_a_catalogue_is_never_markup():
    facts = {"a": ItemFacts("[bold]loud[/] [red]")}
    assert "[bold]loud[/] [red]" in printed(tables.user_list(shown(own(item("a", 1)), facts=facts)))


def test_a_reason_that_all_share_is_said_once():
    row = stored(item("a", 2), item("b", 1))
    text = printed(tables.shared_list(view.shared_list("t", "all", row, FACTS, top=9, now_ms=0)))
    assert text.count("Popular right now") == 1
    mixed = stored(item("a", 2), item("b", 1, seed="s"))
    found = view.shared_list("t", "all", mixed, FACTS, top=9, now_ms=0)
    assert "Because of s" in printed(tables.shared_list(found))


def test_similar_items_show_both_kinds_wherever_there_are_both():
    done = [item(f"d{n}", 9 - n, seed="m") for n in range(9)]
    said = [msgspec.structs.replace(item(f"s{n}", 1, seed="m"), source="content") for n in range(3)]

    def ids(*items, top):
        found = view.similar_list("t", "m", stored(*items), {}, top=top, now_ms=0)
        return [one.item_id for one in found.items]

    assert ids(*done, *said, top=4) == ["d0", "d1", "s0", "s1"]
    assert ids(*done, top=3) == ["d0", "d1", "d2"]
    assert ids(*said, top=3) == ["s0", "s1", "s2"]
    assert ids(said[0], *done[:2], top=9) == ["d0", "d1", "s0"]


def test_an_empty_list_is_shown_as_one():
    assert "old" in printed(tables.user_list(shown(own())))


def test_a_profile_tells_all_that_is_kept():
    found = Profile(
        as_of_ms=AS_OF_MS,
        counts={"view": 1200, "like": 3},
        recent=["a", "x"],
        interests=[Weighted("jazz", 0.5, item_id="a"), Weighted("rock", 0.25)],
        tags=[Weighted("slow", 0.25), Weighted("loud", 0.125, sentiment=-0.5)],
        mood={"joy": 0.75, "calm": 0.9},
    )
    text = printed(tables.profile(view.profile("t", "u", found, FACTS, AS_OF_MS + 60_000)))
    for part in (
        "like 3, view 1,200",
        "jazz 0.50 (items like Title a)",
        "rock 0.25 (items that",
        "slow 0.25 (of items the user chose)",
        "loud 0.12 (the user wrote of it, ill (-0.50))",
        "calm 0.90 (of recent texts",
    ):
        assert part in text
    assert text.index("calm") < text.index("joy 0.75")
    assert "Title a (a)" in text
    assert "x (x)" in text
    assert "1.0 min old" in text


def test_spans_have_a_unit_that_fits():
    day = 86_400_000
    assert view.span(999) == "999 ms"
    assert view.span(60_000) == "1.0 min"
    assert view.span(2 * day) == "2 days"
    assert view.span(800 * day) == "2.2 years"
    assert view.span(-1500) == "-1.5 s"
