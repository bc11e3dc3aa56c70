"""Own topics of the catalogue: who teaches, who is told, what goes on after a restart."""

from random import Random

import msgspec
import numpy as np
import pytest

from operators.catalogue import Catalogue, CatalogueSettings
from operators.clusters import ClusterSettings
from operators.features_wire import ItemFeatures, parse_features, parse_signal
from operators.naming import identity
from operators.own_topics import GROUPED_MAX, even
from operators.readings import ItemLeft, ItemRead, Reading, TextRead
from operators.vectors import CHUNK_ROWS
from tests import contracts
from tests.driven import Driven, counts, plain

DIMENSIONS = 8
ENCODER, OTHER = "fake:1", "fake:2"
THEMES = ["guitar", "film", "soup"]
CENTRES = np.random.default_rng(3).normal(size=(3, DIMENSIONS))
SETTINGS = CatalogueSettings(neighbours=3, map_counts=[12, 40])


def reading(number: int, language="en", encoder=ENCODER) -> Reading:
    """Of theme `number % 3`, in a narrow cone."""
    theme, noise = number % 3, np.random.default_rng(number).normal(size=DIMENSIONS)
    vector = 4 + CENTRES[theme] + 0.2 * noise
    packed = (vector / np.linalg.norm(vector)).astype("<f2").tobytes()
    tags = [(f"{THEMES[theme]}-{language}", 1.0), ("thing", 0.5)]
    return Reading(encoder, packed, language, 0.5, {}, [("news", 0.9)], tags, "")


def read(number: int, at_ms: int = 1000, item: str = "", tenant="default", **fields) -> ItemRead:
    item = item or f"i{number}"
    return ItemRead(at_ms, f"\x00{item}", tenant, item, f"c{number}", reading(number, **fields))


def wrote(number: int, user="u", **fields) -> TextRead:
    return TextRead(5000, f"e{number}", "default", user, "", "search", reading(number, **fields))


def stage(use="instead", table=None, **fields) -> Driven:
    catalogue = Catalogue(SETTINGS, ClusterSettings(**fields), use)
    return Driven(catalogue, *([table] if table else []))


def topics(outs) -> dict[str, list[str]]:
    """Names of the topics of each item that was published."""
    records = [parse_features(out.key.encode(), out.message.value.encode())
               for out in outs if out.to == "features" and out.message.value]  # fmt: skip
    return {one.item_id: [topic.name for topic in one.topics] for one in records
            if isinstance(one, ItemFeatures)}  # fmt: skip


def signalled(outs) -> list[list[str]]:
    return [[topic.name for topic in parse_signal(out.message.value.encode()).topics]
            for out in outs if out.to == "signals"]  # fmt: skip


def known(driven: Driven, name=f"default\x1f{ENCODER}"):
    return driven.state.clusters.get(name)


def test_items_of_a_theme_share_a_topic_that_is_named_after_them():
    found = topics(stage().send(*(read(n) for n in range(12))))
    first = {theme: {found[f"i{n}"][0] for n in range(12) if n % 3 == at}
             for at, theme in enumerate(THEMES)}  # fmt: skip
    for theme, names in first.items():
        (name,) = names
        assert name.startswith(f"{theme}-en / thing #")


def test_before_the_first_map_the_topics_are_those_of_the_reading():
    driven = stage()
    assert topics(driven.send(*(read(n) for n in range(11))))["i0"] == ["news"]
    assert known(driven) is None
    found = topics(driven.send(read(11)))
    assert len(found) == 12, "all are published again"
    assert all("#" in names[0] for names in found.values())


@pytest.mark.parametrize(
    ("use", "marks"), [("instead", [True]), ("beside", [True, False]), ("off", [False])]
)
def test_topics_of_heads_give_way_or_stand_beside_or_stay(use, marks):
    found = topics(stage(use).send(*(read(n) for n in range(12))))
    assert {"#" in name for names in found.values() for name in names} == set(marks)


def test_what_is_published_again_unchanged_does_not_teach_again():
    driven = stage()
    driven.send(*(read(n) for n in range(20)))
    before = driven.data()["clusters"]
    driven.send(*(read(n, 2000) for n in range(20)))
    driven.send(read(3, 3000), read(3, 3001))
    assert driven.data()["clusters"] == before
    driven.send(read(23, 4000, item="i3"), read(23, 4001, item="i3"))
    assert known(driven).learned == 21, "a new text teaches, once"


def test_an_item_that_left_is_not_taken_back_before_the_next_map():
    driven = stage()
    driven.send(*(read(n) for n in range(20)))
    before = driven.data()["clusters"]
    driven.send(*(ItemLeft(2000, f"\x00i{n}", "default", f"i{n}") for n in range(5)))
    assert driven.data()["clusters"] == before
    driven.send(*(read(n, 3000) for n in range(20, 40)))
    assert sum(one.count for one in known(driven).clusters) == 35


def test_what_users_write_is_told_a_topic_and_teaches_nothing():
    driven = stage()
    found = topics(driven.send(*(read(n) for n in range(12))))
    before = driven.data()["clusters"]
    said = signalled(driven.send(*(wrote(n) for n in (30, 31, 32))))
    assert [names[0] for names in said] == [found[f"i{n}"][0] for n in range(3)]
    secret = msgspec.structs.replace(reading(33), tags=[("secret", 1.0)])
    driven.send(*(msgspec.structs.replace(wrote(n), reading=secret) for n in range(50)))
    assert driven.data()["clusters"] == before
    assert not driven.mentions("secret")


def test_a_text_of_another_encoder_or_before_all_maps_has_its_own_topics():
    driven = stage()
    driven.send(*(read(n) for n in range(12)))
    assert signalled(driven.send(wrote(1, encoder=OTHER))) == [["news"]]
    empty = msgspec.structs.replace(reading(1), encoded=b"")
    assert signalled(driven.send(msgspec.structs.replace(wrote(1), reading=empty))) == [["news"]]


def test_each_language_hears_a_name_of_its_own_for_the_same_topic():
    spoken = ["en", "zh"]
    found = topics(stage().send(*(read(n, language=spoken[n // 3 % 2]) for n in range(36))))
    english, chinese = found["i0"][0], found["i3"][0]
    assert english.startswith("guitar-en")
    assert chinese.startswith("guitar-zh")
    assert identity(english) == identity(chinese)


def test_encoders_and_tenants_have_clusters_of_their_own():
    driven = stage()
    driven.send(*(read(n) for n in range(12)))
    mine = driven.state.clusters.get(f"default\x1f{ENCODER}")
    driven.send(*(read(n, 2000, item=f"o{n}", encoder=OTHER) for n in range(12)))
    driven.send(*(read(n, tenant="shop") for n in range(12)))
    assert driven.state.clusters.all_keys() == sorted(
        [f"default\x1f{ENCODER}", f"default\x1f{OTHER}", f"shop\x1f{ENCODER}"]
    )
    assert driven.state.clusters.get(f"default\x1f{ENCODER}") == mine


def test_ids_of_one_state_mean_nothing_in_another():
    one, other = stage(), stage()
    one.send(*(read(n) for n in range(12)))
    other.send(*(read(n, item=f"o{n}") for n in range(12)))
    mine, theirs = ({cluster.id for cluster in known(driven).clusters} for driven in (one, other))
    assert not mine & theirs


def test_state_of_before_there_were_clusters_gets_them_with_what_comes():
    driven = stage("off")
    driven.send(*(read(n) for n in range(20)))
    driven.stage = Catalogue(SETTINGS, ClusterSettings(), "instead")
    assert signalled(driven.send(wrote(1))) == [["news"]]
    found = topics(driven.send(read(20, 2000)))
    assert list(found) == ["i20"], "the others have theirs when they come again"
    assert "#" in found["i20"][0]
    assert known(driven).learned == 21
    again = topics(driven.send(*(read(n, 3000) for n in range(20))))
    assert all("#" in names[0] for names in again.values())
    assert known(driven).learned == 21


def test_such_state_gets_them_too_with_the_same_catalogue_once_more():
    driven = stage("off")
    driven.send(*(read(n) for n in range(20)))
    driven.stage = Catalogue(SETTINGS, ClusterSettings(), "instead")
    found = topics(driven.send(*(read(n, 2000) for n in range(20))))
    assert all("#" in names[0] for names in found.values())


def test_items_that_are_gone_before_they_can_be_grouped_leave_no_clusters():
    driven = stage()
    gone = [ItemLeft(1001, f"\x00i{n}", "default", f"i{n}") for n in range(12)]
    driven.send(*(read(n) for n in range(12)), *gone)
    assert known(driven) is None
    assert topics(driven.send(*(read(n) for n in range(12, 19))))["i12"] == ["news"]
    assert "#" in topics(driven.send(read(19)))["i19"][0]


def test_it_goes_on_from_its_state_as_if_nothing_had_been():
    whole, halves = stage(), stage()
    for at in range(0, 90, 5):
        batch = [read(n, 1000 + at) for n in range(at, at + 5)]
        said = whole.send(*batch)
        halves = halves.twin()
        halves.stage = Catalogue(SETTINGS, ClusterSettings(), "instead")
        assert contracts.wire(halves.send(*batch)) == contracts.wire(said)
    assert halves.data() == whole.data()


def test_items_keep_their_ids_while_the_catalogue_grows():
    driven = stage()
    first = topics(driven.send(*(read(n) for n in range(40))))
    for at in range(40, 400, 20):
        driven.send(*(read(n, 2000) for n in range(at, at + 20)))
    last = topics(driven.send(*(read(n, 9000) for n in range(40))))
    same = [identity(first[item][0]) == identity(last[item][0]) for item in first]
    assert np.mean(same) >= 0.9


def test_clusters_and_items_without_a_topic_are_counted():
    driven = stage(similarity_min=0.99)
    assert "topics_begun" not in counts(driven.send(*(read(n) for n in range(11))))
    told = counts(driven.send(read(11)))
    assert told["topics_begun"] == len(known(driven).clusters) == 3
    assert told["without_topic"] == sum(
        not names for names in topics(driven.send(*(read(n, 2000) for n in range(12)))).values()
    )
    assert told["without_topic"] > 0


def test_of_a_large_catalogue_an_even_part_is_grouped():
    items = [str(n) for n in range(2 * GROUPED_MAX + 1)]
    assert len(even(items)) <= GROUPED_MAX
    assert int(even(items)[-1]) >= 2 * GROUPED_MAX - 2
    assert even(items[:5]) == items[:5]
    assert even([]) == []


def test_rows_that_are_free_are_no_items():
    driven = stage()
    driven.send(*(read(n) for n in range(CHUNK_ROWS + 10)))
    driven.send(*(ItemLeft(2000, f"\x00i{n}", "default", f"i{n}") for n in range(CHUNK_ROWS)))
    found = topics(driven.send(read(1000, 3000)))
    assert "#" in found["i1000"][0]


# --- the laws of a stage


def history(seed: int) -> list[list]:
    random, batches, now_ms = Random(seed), [[]], 1000
    for _ in range(250):
        now_ms += random.choice([0, 1, 50])
        if random.random() < 0.2:
            batches.append([])
        number, kind = random.randrange(60), random.random()
        encoder = random.choice([ENCODER, ENCODER, ENCODER, OTHER])
        language = random.choice(["en", "zh"])
        if kind < 0.75:
            message = read(number, now_ms, item=f"i{random.randrange(50)}", encoder=encoder,
                           tenant=random.choice(["default", "default", "shop"]),
                           language=language)  # fmt: skip
        elif kind < 0.85:
            item = f"i{random.randrange(50)}"
            message = ItemLeft(now_ms, f"\x00{item}", "default", item)
        else:
            message = wrote(number, encoder=encoder, language=language)
        batches[-1].append(message)
    return [batch for batch in batches if batch]


def run(seed: int, use: str, table=None) -> tuple[list, dict]:
    driven = stage(use, table)
    said = [contracts.wire(driven.send(*batch)) for batch in history(seed)]
    codec = Catalogue.codecs["clusters"]
    table = driven.state.clusters
    return said, {key: codec.encode(table.get(key)) for key in sorted(
        table.all_keys() if hasattr(table, "all_keys") else table)}  # fmt: skip


@pytest.mark.parametrize("use", ["instead", "beside"])
@pytest.mark.parametrize("seed", range(8))
def test_values_that_live_on_and_values_read_anew_give_the_same(seed, use):
    said, data = run(seed, use)
    assert (said, data) == run(seed, use, plain)
    assert data
    codec = Catalogue.codecs["clusters"]
    assert all(codec.encode(codec.decode(packed)) == packed for packed in data.values())
