"""What is shown, as tables on a terminal. Pure: gives renderables, prints nothing."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from deploy.serving.view import ShownItem, ShownList, ShownProfile, ShownShared, span

WIDTH_ELSEWHERE = 120
"""Columns where the output is no terminal: rich would cut titles at 80."""

ID_WIDTH_MAX = 24

SOURCE_COLOURS = {
    "co_occurrence": "cyan", "content": "blue", "trending": "magenta", "fresh": "green",
    "editorial": "yellow",
}  # fmt: skip


def wide_console() -> Console:
    """The person's console."""
    console = Console()
    told = console.is_terminal or "COLUMNS" in os.environ
    return console if told else Console(width=WIDTH_ELSEWHERE)


def items_table(
    items: Sequence[ShownItem], marks: Mapping[str, str] | None = None, *, reasons: bool = True
) -> Table:
    """One line an item; the seed has a column of its own where a reason does not name it.

    Args:
        items: Best first.
        marks: A word beside each item, by id; None for no such column.
        reasons: Whether there is a column of reasons.
    """
    seeds = any(one.seed_title and one.seed_title not in one.reason for one in items)
    table = Table(box=None, pad_edge=False, header_style="bold", expand=reasons)
    _fixed(table, "#", [str(one.rank) for one in items], justify="right")
    if marks is not None:
        _fixed(table, "", list(marks.values()), style="green")
    table.add_column("title", no_wrap=True, ratio=1)
    _fixed(table, "item", [one.item_id for one in items], style="dim")
    _fixed(table, "score", [f"{one.score:.3f}" for one in items], justify="right")
    _fixed(table, "source", [one.source for one in items])
    if seeds:
        table.add_column("seed", no_wrap=True, ratio=1)
    if reasons:
        table.add_column("reason", no_wrap=True, ratio=1)
    for one in items:
        mark = [marks.get(one.item_id, "")] if marks is not None else []
        texts = [str(one.rank), *mark, one.title, one.item_id, f"{one.score:.3f}"]
        source = Text(one.source, SOURCE_COLOURS.get(one.source, ""))
        rest = [one.seed_title or ""] * seeds + [one.reason] * reasons
        table.add_row(*map(Text, texts), source, *map(Text, rest))
    return table


def _fixed(
    table: Table, name: str, cells: Sequence[str], style: str = "", justify: JustifyMethod = "left"
) -> None:
    """A column as wide as its cells, so that only the texts have to give way."""
    width = min(ID_WIDTH_MAX, max(map(len, [name, *cells])))
    table.add_column(name, no_wrap=True, width=width, style=style, justify=justify)


def user_list(shown: ShownList, marks: Mapping[str, str] | None = None) -> RenderableType:
    """A user's list and what is to be known of it."""
    if shown.as_of_ms is None or shown.age_ms is None:
        facts = "no row of this user"
    else:
        facts = (
            f"row of {instant(shown.as_of_ms)}, {span(shown.age_ms)} old   "
            f"model {shown.model}   generation {shown.generation}   variant {shown.variant}"
        )
    lines: list[RenderableType] = [
        items_table(shown.items, marks),
        Text(facts, "dim"),
    ]
    if shown.fallback:
        lines.append(Text(f"fallback: {shown.fallback}", "yellow"))
    return Group(*lines)


def shared_list(shown: ShownShared) -> RenderableType:
    """A list of an item or of everybody; a reason that all items share is said once."""
    reasons = {one.reason for one in shown.items}
    head = [Text(shown.title, "bold")]
    if len(reasons) == 1:
        head.append(Text(reasons.pop()))
        table = items_table(shown.items, reasons=False)
    else:
        table = items_table(shown.items)
    facts = f"row of {instant(shown.as_of_ms)}, {span(shown.age_ms)} old"
    return Group(*head, table, Text(facts, "dim"))


def profile(shown: ShownProfile) -> RenderableType:
    """What is kept of a user."""
    found = shown.profile
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    counts = ", ".join(f"{name} {count:,}" for name, count in sorted(found.counts.items()))
    table.add_row("actions", Text(counts))
    for name, words in (("interests", shown.interests), ("tags", shown.tags), ("mood", shown.mood)):
        if words:
            lines = [f"{one.name} {one.weight:.2f} ({one.reason})" for one in words]
            table.add_row(name, Text("\n".join(lines)))
    recent = "\n".join(f"{title} ({item})" for item, title in shown.recent)
    table.add_row("last items", Text(recent))
    facts = f"row of {instant(found.as_of_ms)}, {span(shown.age_ms)} old"
    return Group(table, Text(facts, "dim"))


def instant(time_ms: int) -> str:
    """A time, to the second."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
