"""The stack's commands as a person sees them."""

import sys
from datetime import timedelta
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from deploy.stack import monitoring
from deploy.stack.local import ServiceStatus, Stack
from deploy.stack.reporting import reporter
from deploy.stack.settings import load_settings

STATE_COLOURS = {"running": "green", "starting": "yellow", "died": "red", "stopped": "dim"}


def up(config: Path | None, taskmanagers: int | None, *, secure: bool = False) -> None:
    """Starts what is missing and says where everything is."""
    stack, console = Stack(load_settings(config)), Console()
    with reporter(console) as report:
        started = stack.up(report, taskmanagers, secure=secure)
    console.print(f"Started: {', '.join(started)}" if started else "Everything was running.")
    console.print(
        f"Flink's page: {stack.flink_rest_url}   data: {stack.layout.data}", soft_wrap=True
    )
    if monitoring.wanted(stack.settings):
        console.print(f"Fresh, right, cheap? {monitoring.page(stack.settings)}", soft_wrap=True)
    if stack.secure:
        console.print(f"TLS, passwords and roles are on: {stack.layout.secrets}", soft_wrap=True)


def down(config: Path | None, *, wipe: bool, wipe_cache: bool) -> None:
    """Stops the stack and says what it kept."""
    stack, console = Stack(load_settings(config)), Console()
    with reporter(console) as report:
        stopped = stack.down(report, wipe=wipe, wipe_cache=wipe_cache)
    console.print(f"Stopped: {', '.join(stopped)}" if stopped else "Nothing was running.")
    if not wipe and stack.layout.data.exists():
        console.print(f"Data kept in {stack.layout.data}; --wipe forgets it.", soft_wrap=True)


def status(config: Path | None, *, as_json: bool) -> int:
    """Prints the state of every service.

    Returns:
        The exit code: 0 if all of them run, else 1.
    """
    stack = Stack(load_settings(config))
    found = stack.status()
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    else:
        _print_status(found, Console())
    return 0 if all(one.state == "running" for one in found) else 1


def _print_status(found: list[ServiceStatus], console: Console) -> None:
    table = Table("service", "state", "pid", "memory", "CPU", "up", "address", box=None)
    for one in found:
        colour = STATE_COLOURS[one.state]
        cells = ["", "", "", ""]
        if use := one.usage:
            memory, age = f"{use.rss_bytes / 2**20:,.0f} MB", str(timedelta(seconds=int(use.age_s)))
            cells = [str(use.pid), memory, f"{use.cpu_s:,.1f} s", age]
        table.add_row(one.service, f"[{colour}]{one.state}[/]", *cells, one.address)
    console.print(table)
    for one in found:
        if one.state in {"died", "starting"} and one.log:
            console.print(f"log of {one.service}: {one.log}", soft_wrap=True)
