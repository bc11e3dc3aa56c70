"""`headwater evaluate`: a data set through the very graph, judged, told."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from deploy.evaluation import peers, runner, stream
from deploy.evaluation import report as reporting
from deploy.evaluation.judged import Judged, gather
from deploy.evaluation.protocols import Protocol, cuts_of
from deploy.evaluation.ratings import RatingErrors, foresee_all
from deploy.evaluation.report import Data, How, Report, Weight
from deploy.evaluation.runner import Cost
from deploy.evaluation.sources import EvaluationError, open_for_evaluation
from deploy.evaluation.stream import Catalogue, Events
from deploy.replay.options import Options as ReadOptions
from deploy.replay.progress import Show
from deploy.replay.readers import Source
from jobs.settings import Recommend, effective, load
from operators.messages import NewWeights, Outcome
from operators.ratings import RatingSettings

SETTLE_NEVER_MS = 10**14
"""Rows of similar items and profiles change no list, so a run that nobody reads leaves them out."""
UNREAD = ["popular.rows=false", "ranking.rows=false"]
"""Of a run that is read by its outcomes: rows of lists, which change no list either."""
BUFFER_TIMEOUT_MS = 100
"""Nobody waits for the single event: exchanges may hand over full buffers."""
FUTURE_MAX_MS = 10**14
"""Times were held against the clock when they were read; held-out events lie after the last."""


class Options(Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        read: How the data set is read.
        config: Settings file of the job.
        overrides: `key=value` of the job.
        protocol: See `protocols`.
        window_ms: Length of the job's batches; at 1 every event is a batch of its own.
        k: Length of the list.
        limit: Events at the most.
        positive: Least strength of a like, 0 to 10, instead of the job's own settings.
        seed: Of the bootstrap.
        peers: Folder of other recommenders' ranks.
        keep: Folder in which the run is left; None for one that goes with the run.
    """

    read: ReadOptions = ReadOptions()
    config: Path | None = None
    overrides: Sequence[str] = ()
    protocol: Protocol = "prequential"
    window_ms: int = 1000
    k: int = 10
    limit: int | None = None
    positive: int | None = None
    seed: int = 1
    peers: Path | None = None
    keep: Path | None = None


class Ran(Struct, kw_only=True):
    """A run of the job over a data set.

    Attributes:
        dead_letters: Events that the job refused.
        weights: By feature, those that were learned last; empty if none were.
    """

    source: Source
    events: Events
    catalogue: Catalogue
    judged: Judged
    settings: Recommend
    cost: Cost
    dead_letters: int
    weights: Mapping[str, float]


def evaluate(place: Path, options: Options, show: Show) -> Report:
    """Run a data set through the job and measure it.

    Raises:
        SourceError: The data set cannot be read.
        EvaluationError: It cannot be evaluated, or the job failed.
    """
    began_s = time.monotonic()
    given = peers.read(options.peers) if options.peers else []
    settings = settings_of(options)
    ran = run(place, options, settings, show)
    show.begin("measuring", None)
    rows = ran.judged.positives()
    if not rows.any():
        raise EvaluationError(_nothing_to_foresee(ran))
    made = reporting.make(
        ran.judged, data_of(place, ran), how_of(options, settings), ran.catalogue,
        cuts=cuts_of(ran.events.times_ms), given=given, ratings=_ratings(ran, options.seed),
        seconds_cpu=ran.cost.seconds_cpu,
        weights=[Weight(feature=name, value=value) for name, value in ran.weights.items()],
    )  # fmt: skip
    made.seconds = time.monotonic() - began_s
    return made


def settings_of(options: Options) -> Recommend:
    """The settings of the job: those of the file and the command line, in replay.

    Raises:
        SettingsError: One is not legal.
    """
    return load(Recommend, options.config, overrides_of(options))


def overrides_of(options: Options) -> list[str]:
    """What an evaluation asks of the job, the person's own settings last.

    All keys are in one bucket, which gets the room that the default number of buckets has together.
    """
    plain = Recommend()
    wanted = {
        "clock": "replay",
        "parallelism": 1,
        "window_ms": options.window_ms,
        "buckets": 1,
        "cache_entries": plain.buckets * plain.cache_entries,
        "journal_batches": plain.buckets * plain.journal_batches,
        "buffer_timeout_ms": BUFFER_TIMEOUT_MS,
        "settle_ms": SETTLE_NEVER_MS,
        "border.future_max_ms": FUTURE_MAX_MS,
    }
    if options.positive is not None:
        wanted["strengths.like_min"] = options.positive
        wanted["strengths.like_min_stars"] = options.positive
    return [*(f"{key}={value}" for key, value in wanted.items()), *options.overrides]


def run(
    place: Path,
    options: Options,
    settings: Recommend,
    show: Show,
    cut: Callable[[Events], Events] | None = None,
) -> Ran:
    """Read a data set, run the job over it, line up what came out.

    Args:
        place: The data set.
        options: See there.
        settings: Of the job, as `settings_of` has them.
        show: Hears how far it is.
        cut: Leaves out events before they are sent.
    """
    source, events = take(place, options, settings, show)
    events = cut(events) if cut else events
    with folder_of(options.keep) as folder:
        catalogue = stream.write(source, events, folder, options.limit)
        outcomes: list[Outcome] = []
        show.begin("running the job", len(events))
        follow = runner.Follower(folder / "outcomes", list[Outcome], outcomes)
        wanted = arguments(options, "outcomes", "strategy")
        cost = runner.run(folder, wanted, lambda: show(follow.read()))
        follow.read()
        weights: list[NewWeights] = []
        runner.Follower(folder / "strategy", list[NewWeights], weights).read()
        dead = runner.lines_under(folder / "dead")
    return Ran(
        source=source, events=events, catalogue=catalogue, judged=gather(outcomes),
        settings=settings, cost=cost, dead_letters=dead, weights=_last(weights),
    )  # fmt: skip


def take(place: Path, options: Options, settings: Recommend, show: Show) -> tuple[Source, Events]:
    """Read a data set and put its events in the order of the protocol."""
    show.begin(f"reading {place.name}", None)
    source = open_for_evaluation(place, _not_of_the_future(options.read), options.protocol, show)
    show.begin("ordering events", source.count(options.limit))
    events = stream.collect(source, settings.strengths, options.limit, show)
    return source, ordered(events, options)


def ordered(events: Events, options: Options) -> Events:
    """The events in the order, and at the times, of the protocol."""
    if options.window_ms < stream.SPREAD_BELOW_MS:
        events = stream.spread(events)
    return stream.hold_out_last(events) if options.protocol == "last-out" else events


def arguments(options: Options, *channels: str) -> list[str]:
    """Of the job's own process, which reads the settings file by itself; keeps these channels."""
    config = ["--config", str(options.config.absolute())] if options.config else []
    capture = [word for name in channels for word in ("--capture", name)]
    unread = [] if "rows" in channels else UNREAD
    return [*config, *capture, *unread, *overrides_of(options)]


@contextmanager
def folder_of(keep: Path | None) -> Iterator[Path]:
    """An empty folder; a temporary one goes with the run."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="headwater-evaluate-") as name:
            yield Path(name)
        return
    keep.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(keep / "dead", ignore_errors=True)
    for name in runner.CAPTURED:
        (keep / name).unlink(missing_ok=True)
    yield keep


def _not_of_the_future(read: ReadOptions) -> ReadOptions:
    return structs.replace(read, now_ms=time.time_ns() // 1_000_000)


def _last(weights: Sequence[NewWeights]) -> Mapping[str, float]:
    return max(weights, key=lambda one: one.time_ms).values if weights else {}


def data_of(place: Path, ran: Ran) -> Data:
    """What went into a run."""
    report, events = ran.source.report, ran.events
    return Data(
        name=place.name, format=report.name, events=len(events),
        users=len(set(events.users) - {""}), items=len(ran.catalogue.titles),
        from_ms=int(events.times_ms.min()), to_ms=int(events.times_ms.max()),
        actions=events.actions, skipped=report.skipped,
        samples=[str(sample) for sample in report.samples], duplicates=events.duplicates,
        dead_letters=ran.dead_letters, moved_ms_max=events.moved_ms_max,
        held_out=events.held_out, notes=report.notes,
    )  # fmt: skip


def how_of(options: Options, settings: Recommend) -> How:
    """How a run was made."""
    table = msgspec.json.decode(effective(settings))
    return How(
        protocol=options.protocol, k=options.k, window_ms=options.window_ms, seed=options.seed,
        limit=options.limit, settings=table,
    )  # fmt: skip


def _ratings(ran: Ran, seed: int) -> RatingErrors | None:
    return foresee_all(ran.events, seed, RatingSettings())


def _nothing_to_foresee(ran: Ran) -> str:
    """Why no row is left to judge."""
    judged = ran.judged
    if not len(judged):
        return "the job judged no event: none is an interaction of a user with an item"
    return (
        f"no positive among {len(judged):,} events: {int(judged.liked.sum()):,} are likes, "
        f"{int((judged.liked & judged.first).sum()):,} of an item new to the user, and none by a "
        "user who liked something before. --positive N lowers the strength of a like, and "
        "--map-action WORD=ACTION says what the words of the data mean"
    )
