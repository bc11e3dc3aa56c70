"""`headwater bench` as a person sees it."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console

from deploy.bench.bench import Bench, run_on
from deploy.bench.drain import drain
from deploy.bench.measure import at_rate
from deploy.bench.options import BenchError, BenchOptions, Synthetic
from deploy.bench.report import Report
from deploy.bench.search import search
from deploy.bench.show import show
from deploy.bench.telling import teller
from deploy.stack import Stack, load_settings
from deploy.stack.reporting import reporter

_MAX = "max"
_FILE_WIDTH = 140
_TERMINATED = 143


def gather(
    *, rate: str, users: int, items: int, seed: int, source: Path | None, **options: object
) -> BenchOptions:
    """The options as a struct.

    Raises:
        BenchError: One is not legal.
    """
    try:
        synthetic = Synthetic(users=users, items=items, seed=seed, clusters=min(50, items))
        return msgspec.convert(
            {
                **options,
                "rate": None if rate == _MAX else rate,
                "source": None if source is None else str(source.absolute()),
                "synthetic": synthetic,
            },
            BenchOptions,
            strict=False,
        )
    except (msgspec.ValidationError, ValueError) as error:
        msg = f"options of bench: {error}; --rate is a number above 0 or `max`"
        raise BenchError(msg) from error


def run(options: BenchOptions, config: Path | None, out: Path | None) -> int:
    """Bring the stack up, measure, write and print.

    Returns:
        The exit code: 0 if everything that was sent can be read, else 1.

    Raises:
        HeadwaterError: The stack did not start, or the measurement could not be made.
    """
    # Ended by another program, the job and the topics have to go as after an interrupt.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    notes = Console(stderr=True)
    stack = Stack(load_settings(config))
    if stack.secure:
        msg = "this stack has passwords, and the benchmark knows none: give it one without"
        raise BenchError(msg)
    with reporter(notes) as tell:
        started = stack.up(tell)
        stack.ensure_taskmanagers(1, tell)
    try:
        with teller(notes) as told:
            report = run_on(Bench(stack, options, told, config), kind_of(options))
    finally:
        if started:
            with reporter(notes) as tell:
                stack.down(tell)
    _write(report, out)
    show(report, _printer(to_errors=out is None))
    return 0 if report.completeness.complete else 1


def _printer(*, to_errors: bool) -> Console:
    """A console that leaves lines whole, and is wide enough for the tables in a file."""
    plain = Console(stderr=to_errors, highlight=False, soft_wrap=True)
    if not plain.is_terminal:
        plain.width = _FILE_WIDTH
    return plain


def kind_of(options: BenchOptions) -> tuple[str, Callable[[Bench], None]]:
    """The name of the run that the options ask for, and what does it."""
    if options.flat:
        from deploy.bench.flat import flat

        return "flat", flat
    if options.drain:
        return "drain", drain
    return ("search", search) if options.rate is None else ("rate", at_rate)


def _write(report: Report, out: Path | None) -> None:
    text = msgspec.json.format(msgspec.json.encode(report)).decode() + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, "utf-8")
