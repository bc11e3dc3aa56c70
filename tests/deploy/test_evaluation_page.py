"""The report page: whole, in two languages, without a single request."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from deploy.evaluation import charts, console, page, peers
from deploy.evaluation import report as reporting
from deploy.evaluation.intervals import Estimate
from deploy.evaluation.protocols import cuts_of
from deploy.evaluation.ratings import RatingErrors
from deploy.evaluation.report import Data, How, Report, Weight
from deploy.evaluation.sources import EvaluationError
from deploy.evaluation.stream import Catalogue
from deploy.evaluation.words import LANGUAGES, words
from operators.features import FEATURES
from operators.messages import SOURCES
from tests.deploy.judging import judged, outcome

HOSTILE = "<script>alert(1)</script> & \"'"


def table(rows=600):
    rng = np.random.default_rng(1)
    found = []
    for number in range(rows):
        rank = int(rng.integers(1, 40)) if rng.random() < 0.6 else None
        shown = [f"i{n}" for n in rng.integers(0, 50, 10)]
        found.append(
            outcome(
                f"u{number % 17}", f"i{number % 53}", rank, time_ms=10**12 + 10**8 * number,
                first=number < 53 * 17, shown=shown, item_users=int(rng.integers(0, 200)),
                source=("co_occurrence", "trending")[number % 2] if rank else None,
                shadows={"slower": rank and rank + 3},
            )
        )  # fmt: skip
    return judged(*found)


@pytest.fixture(scope="module")
def report() -> Report:
    judged_rows = table()
    data = Data(
        name=HOSTILE, format="movielens", events=600, users=17, items=60, from_ms=10**12,
        to_ms=10**12 + 6 * 10**10, actions={"rating": 600}, skipped=2, samples=["line 3: bad"],
        duplicates=1, moved_ms_max=7,
    )  # fmt: skip
    how = How(
        protocol="prequential", k=10, window_ms=1, seed=1, limit=None, settings={"clock": "replay"}
    )
    one = Estimate(0.9, 0.88, 0.92)
    stars = RatingErrors(
        rows=600, mae=one, rmse=one, baseline_rmse=0.95, mean_rmse=1.1, like_accuracy=0.7
    )
    ids = judged_rows.event_ids
    peer = peers.Peer(
        name="EASE",
        seconds_cpu=12.5,
        version="numpy 2",
        parameters={"lambda": 300},
        every=500,
        errors=peers.StarErrors(mae=0.71, rmse=0.93, ratings=600),
        coverage=0.5,
        outcomes=[(name, 1 + n % 20) for n, name in enumerate(ids)],
    )
    return reporting.make(
        judged_rows, data, how,
        Catalogue(
            titles={f"i{n}": f"Film {n} {HOSTILE}" for n in range(60)},
            categories={f"i{n}": [f"c{n % 4}"] for n in range(60)},
        ),
        cuts=cuts_of(judged_rows.time_ms), given=[peer], ratings=stars,
        weights=[Weight(feature="c0", value=4.0), Weight(feature="age", value=-0.5)],
    )  # fmt: skip


class Page(HTMLParser):
    """What a test asks of a page: ids, tags, texts, what it would fetch, tags left open."""

    VOID = ("meta", "br", "link", "img", "input")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids, self.tags, self.text, self.fetched, self.open = set(), [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids.add(found.get("id"))
        self.fetched += [found[name] for name in ("src", "href") if name in found]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_whole_small_and_fetches_nothing(report, language):
    html = page.render(report, language)
    seen = Page(html)
    assert seen.open == []
    assert seen.fetched == []
    assert "script" not in seen.tags, "neither ours nor one from the data"
    assert len(html) < 400_000
    assert not re.search(r"https?://|url\(|@import", html)
    assert {"headline", "measures", "over_time", "models", "cold_items", "cold_users", "activity",
            "by_source", "pr", "coverage_hr", "misses", "worst_users", "worst_items", "ratings",
            "weights", "selections", "protocol", "data"} <= seen.ids  # fmt: skip
    assert 'name="viewport"' in html
    assert f'lang="{language}"' in html


def test_the_page_says_the_numbers_of_the_report(report):
    text = "".join(Page(page.render(report, "en")).text)
    assert charts.percent(report.headline.hr.value) in text
    assert f"{report.headline.ndcg.value:.4f}" in text
    assert f"of {report.headline.rows:,} likes" in text
    for line in report.models:
        assert f"{line.hr.value:.4f}" in text
    assert "slower (not served)" in text
    assert "numpy 2; lambda 300; trained each 500 events" in text
    assert "0.9300" in text, "the peer's RMSE"
    assert "2 rows could not be read" in text


def test_every_language_has_every_word():
    english, chinese = words("en"), words("zh")
    assert english.keys() == chinese.keys()
    assert english["features"].keys() == chinese["features"].keys() >= set(FEATURES)
    assert english["sources"].keys() == chinese["sources"].keys() == set(SOURCES)
    for key, sentence in english.items():
        if isinstance(sentence, str):
            fields = re.findall(r"{\w+}", sentence)
            assert sorted(fields) == sorted(re.findall(r"{\w+}", chinese[key])), key


def test_the_report_is_json_and_comes_back(report, tmp_path):
    console.write(report, tmp_path, "en")
    read = msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=Report)
    assert read == report


def test_parts_of_the_report_agree_with_each_other(report):
    assert sum(group.rows for group in report.by_item_users) == report.headline.rows
    assert sum(group.rows for group in report.by_user_likes) == report.headline.rows
    assert sum(group.rows for group in report.by_activity) == report.headline.rows
    assert sum(moment.rows for moment in report.over_time) == report.headline.rows
    assert sum(report.misses.values()) == pytest.approx(1)
    assert report.misses["hit"] == pytest.approx(report.headline.hr.value)
    assert [one["recall"] for one in report.by_k if one["k"] == 10] == [report.headline.recall]
    served = report.models[0]
    shadow = next(line for line in report.models if line.name == "shadow slower")
    assert served.hr == report.headline.hr
    gap = shadow.against.difference
    assert gap.value == pytest.approx(served.hr.value - shadow.hr.value)
    assert gap.low > 0, "a shadow that ranks three places lower is worse"


def test_a_peer_called_popularity_takes_the_place_of_our_own():
    rows = judged(outcome("u", "a"), outcome("u", "b", 1), outcome("u", "c"))
    peer = peers.Peer(name="popularity", seconds_cpu=1.0, outcomes=[(rows.event_ids[1], 3)])
    how = reporting.How(protocol="prequential", k=10, window_ms=1, seed=1, limit=None, settings={})
    beside = reporting._beside(rows, rows.positives(), [peer], how)
    assert [(one.name, one.seconds_cpu) for one in beside] == [("popularity", 1.0)]


def test_a_peer_that_says_nothing_of_a_row_has_missed_it(tmp_path):
    rows = judged(outcome("u", "a", event_id="first"), outcome("u", "b", 1, event_id="second"))
    peer = peers.Peer(name="silent", seconds_cpu=0.0, outcomes=[("first", 1)])
    ranks, named = peers.ranks_of(peer, rows)
    assert ranks.tolist() == [1, 0]
    assert named.tolist() == [True, False]
    (tmp_path / "a.json").write_text('{"name": "x", "seconds_cpu": "much", "outcomes": []}')
    with pytest.raises(EvaluationError, match=r"a\.json: .*seconds_cpu.*a peer reads"):
        peers.read(tmp_path)
    with pytest.raises(EvaluationError, match=r"no \*\.json file there"):
        peers.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0.17), (0, 1), (0, 0.0123), (3, 88), (0.8, 0.95), (0, 1e-7), (5, 5)]
)
def test_ticks_are_few_rising_and_span_the_range(low, high):
    marks = charts.ticks(low, high)
    assert 1 <= len(marks) <= 7
    assert marks == sorted(set(marks))
    assert marks[0] <= low + 1e-9
    assert marks[-1] >= high - 1e-9


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_draws_the_page_within_its_width(report, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium here; `apt-get install chromium` brings one")
    probe = (
        "<script>document.title=[document.documentElement.scrollWidth,"
        "document.documentElement.clientWidth,"
        "document.querySelectorAll('svg').length].join(' ')</script></body>"
    )
    file = tmp_path / "page.html"
    file.write_text(page.render(report, "en").replace("</body>", probe), "utf-8")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900",
         f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={tmp_path / 'page.png'}",
         "--virtual-time-budget=2000", "--dump-dom", file.as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    title = re.search(r"<title>(\d+) (\d+) (\d+)</title>", done.stdout)
    assert title, done.stderr[-2000:]
    needed, there, drawings = map(int, title.groups())
    assert needed <= there, "nothing makes the page wider than the screen"
    assert drawings >= 10
