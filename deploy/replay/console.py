"""`headwater replay` as a person sees it."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from rich.console import Console

from deploy.errors import HeadwaterError
from deploy.replay.options import Options, parse_pairs, read_options, with_settings
from deploy.replay.pace import Pace
from deploy.replay.produce import Client, Producer, connect
from deploy.replay.progress import Show, show_on
from deploy.replay.readers import Source, open_source
from deploy.replay.run import Sent, replay


def parse_speed(speed: str) -> float | None:
    """Parse a multiple of real time; None for `max`.

    Raises:
        HeadwaterError: If it is neither `max` nor a number above 0.
    """
    if speed == "max":
        return None
    try:
        parsed = float(speed)
    except ValueError:
        parsed = 0.0
    if not 0 < parsed < float("inf"):
        msg = f"--speed is {speed!r}; it is `max` or a multiple of real time, such as 60"
        raise HeadwaterError(msg)
    return parsed


def gather(
    mapping: Path | None,
    settings: Mapping[str, object],
    pairs: dict[str, list[str]],
    items: Path | None,
) -> Options:
    """Join the mapping file and the command line, which overrides it field by field.

    Args:
        mapping: TOML file.
        settings: Options by field; None for those that were not given.
        pairs: Arguments NAME=VALUE of `--map`, `--map-action` and `--map-item`.
        items: Catalogue in a file of its own.

    Raises:
        HeadwaterError: If anything in it is not legal.
    """
    options = read_options(mapping) if mapping else Options()
    parsed = {name: parse_pairs(name, values) for name, values in pairs.items()}
    item_file: dict[str, object] | None = None
    if items or options.items:
        given = options.items
        item_file = {
            "file": str(items) if items else given.file if given else "",
            "map": (given.map if given else {}) | parsed["--map-item"],
        }
    elif parsed["--map-item"]:
        msg = "--map-item without --items; it maps the columns of that file"
        raise HeadwaterError(msg)
    return with_settings(
        options,
        **settings,
        map=options.map | parsed["--map"],
        actions=options.actions | parsed["--map-action"],
        items=item_file,
    )


def run(
    place: Path, options: Options, *, speed: str, limit: int | None, bootstrap: str, shift: bool
) -> int:
    """Read a data set, send it, print the summary.

    Returns:
        The exit code: 0 if all records arrived, 1 if some did not, 130 if interrupted.

    Raises:
        HeadwaterError: If the data set cannot be read, or Kafka does not answer.
    """
    pace, client = Pace(parse_speed(speed)), connect(bootstrap)
    # Shifted to now, no time lies in the future.
    options = with_settings(options, now_ms=None if shift else _now_ms())
    with show_on(Console(stderr=True)) as show:
        show.begin(f"reading {place.name}", None)
        source = open_source(place, options, show)
        show.begin("sending events", source.count(limit))
        outcome = _send(source, client, pace, limit=limit, shift=shift, show=show)
    _print_summary(Console(), source, outcome)
    return 130 if outcome.interrupted else 1 if outcome.failed else 0


class _Outcome(Struct, kw_only=True):
    sent: Sent
    failed: int
    first_failure: str
    seconds: float
    interrupted: bool


def _send(
    source: Source, client: Client, pace: Pace, *, limit: int | None, shift: bool, show: Show
) -> _Outcome:
    producer, sent, began_s = Producer(client), Sent(), time.monotonic()
    shift_ms = _now_ms() - source.last_ms(limit) if shift else 0
    interrupted = False

    def on_sent(so_far: Sent) -> None:
        nonlocal sent
        sent = so_far
        show(so_far.events)

    try:
        replay(source, producer, pace, limit=limit, shift_ms=shift_ms, on_sent=on_sent)
    except KeyboardInterrupt:
        interrupted = True
    producer.flush()
    return _Outcome(
        sent=sent,
        failed=producer.failed,
        first_failure=producer.first_failure,
        seconds=time.monotonic() - began_s,
        interrupted=interrupted,
    )


def _print_summary(console: Console, source: Source, outcome: _Outcome) -> None:
    report, sent = source.report, outcome.sent
    total = sent.items + sent.events
    rate = sent.events / outcome.seconds if outcome.seconds else 0.0
    actors = f"{report.users:,} users"
    if report.sessions:
        actors += f", {report.sessions:,} sessions without one"
    lines = [
        f"{report.name}: {report.items:,} items, {report.events:,} events, {actors}, "
        f"{_day(report.first_ms)} to {_day(report.last_ms)}",
        f"sent {sent.items:,} items and {sent.events:,} events in {outcome.seconds:,.1f} s "
        f"({rate:,.0f} events/s): {total - outcome.failed:,} delivered, {outcome.failed:,} failed",
    ]
    if report.skipped:
        lines.append(f"skipped rows: {report.skipped:,}, the first of them:")
        lines += [f"  {sample}" for sample in report.samples]
    if report.duplicates:
        lines.append(f"events with the id of an earlier one: {report.duplicates:,}")
    lines += report.notes
    if outcome.failed:
        end = "; broken off there" if sent.broken_off else ""
        lines.append(f"the first failure: {outcome.first_failure}{end}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
