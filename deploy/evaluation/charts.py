"""Charts as inline SVG, drawn by hand: no script, no download, a few kilobytes each.

The drawing unit is a CSS pixel of a phone: a chart fills a card of 340 units and is scaled up on
wider screens, so its text is never smaller than on the smallest one. Colours are classes, the
page's style sheet gives them their values for light and dark. Every mark has a `<title>`: what a
pointer shows and a screen reader reads.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 340, 210
LEFT, RIGHT, TOP, BOTTOM = 38, 12, 12, 34
BAR_ROW, BAR_LABEL, BAR_NOTE, LABELLED_ROW = 26, 122, 96, 38

Format = Callable[[float], str]


class Point(NamedTuple):
    """A value with its interval; `label` names it on the axis, `title` says it in words."""

    x: float
    y: float
    low: float
    high: float
    label: str
    title: str


class Bar(NamedTuple):
    """A bar of a chart with one row a bar."""

    label: str
    value: float
    low: float
    high: float
    note: str
    title: str
    shade: str = "c1"


def percent(value: float) -> str:
    """A share with as many digits as it takes to tell it from its neighbours.

    >>> percent(0.1689), percent(0.0042), percent(1.0)
    ('16.9 %', '0.42 %', '100 %')
    """
    if value >= 0.9995:
        return "100 %"
    return f"{100 * value:.1f} %" if value >= 0.01 else f"{100 * value:.2f} %"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round values that span a range: steps of 1, 2, 2.5 or 5 times a power of ten.

    >>> ticks(0, 0.17)
    [0.0, 0.05, 0.1, 0.15, 0.2]
    """
    span = max(high - low, 1e-9)
    power = 10.0 ** (len(str(int(span))) - 1 if span >= 1 else -_zeros(span) - 1)
    step = next(s * power for s in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5, 10)
                if span / (s * power) <= count)  # fmt: skip
    first = int(low // step)
    last = -int(-high // step)
    return [round(place * step, 10) for place in range(first, last + 1)]


def _zeros(span: float) -> int:
    zeros = 0
    while span < 0.1:
        span, zeros = span * 10, zeros + 1
    return zeros


def line(
    points: Sequence[Point],
    name: str,
    *,
    y: Format = percent,
    wide: bool = False,
    joined: bool = True,
    base: float | None = 0.0,
) -> str:
    """Points over a scale, joined, with their intervals as a band."""
    if not points:
        return ""
    width = 2 * WIDTH if wide else WIDTH
    low = min(p.low for p in points) if base is None else base
    marks = ticks(low, max(p.high for p in points))
    x_of = _scale(min(p.x for p in points), max(p.x for p in points), LEFT + 8, width - RIGHT - 8)
    y_of = _scale(marks[0], marks[-1], HEIGHT - BOTTOM, TOP)
    parts = [_grid(marks, y_of, y, width)]
    if joined and len(points) > 1:
        upper = [f"{x_of(p.x):.1f},{y_of(p.high):.1f}" for p in points]
        lower = [f"{x_of(p.x):.1f},{y_of(p.low):.1f}" for p in reversed(points)]
        parts.append(f'<polygon class="band" points="{" ".join(upper + lower)}"/>')
        path = " ".join(f"{x_of(p.x):.1f},{y_of(p.y):.1f}" for p in points)
        parts.append(f'<polyline class="line" points="{path}"/>')
    parts += [_dot(x_of(p.x), y_of(p.y), p.title) for p in points]
    parts.append(_x_labels(points, x_of, width))
    return _svg("".join(parts), width, HEIGHT, name)


def bars(rows: Sequence[Bar], name: str, *, value: Format = percent) -> str:
    """A row a bar, from 0, with whiskers for the interval."""
    if not rows:
        return ""
    top = max(max(row.high, row.value) for row in rows) or 1.0
    x_of = _scale(0, top, BAR_LABEL, WIDTH - BAR_NOTE)
    parts = []
    for place, row in enumerate(rows):
        y = 4 + BAR_ROW * place
        middle = y + BAR_ROW / 2 - 2
        end = x_of(row.value)
        note = f'<tspan class="faint"> {escape(row.note)}</tspan>' if row.note else ""
        parts.append(
            f"<g><title>{escape(row.title)}</title>"
            f'<text class="name" x="{BAR_LABEL - 8}" y="{middle + 4}">{escape(_cut(row.label))}'
            f'</text><rect class="{row.shade}" x="{BAR_LABEL}" y="{y + 2}" rx="3" '
            f'width="{max(1.0, end - BAR_LABEL):.1f}" height="{BAR_ROW - 9}"/>'
            f"{_whisker(x_of(row.low), x_of(row.high), middle) if row.high > row.low else ''}"
            f'<text class="value" x="{max(end, x_of(row.high)) + 5:.1f}" y="{middle + 4}">'
            f"{value(row.value)}{note}</text></g>"
        )
    return _svg("".join(parts), WIDTH, 8 + BAR_ROW * len(rows), name)


def diverging(rows: Sequence[Bar], name: str, *, value: Format) -> str:
    """Bars to both sides of 0, each below its whole label."""
    if not rows:
        return ""
    reach = max(abs(row.value) for row in rows) or 1.0
    x_of = _scale(-reach, reach, 44, WIDTH - 44)
    zero, parts = x_of(0), []
    for place, row in enumerate(rows):
        y, end = 4 + LABELLED_ROW * place, x_of(row.value)
        left, right = min(zero, end), max(zero, end)
        kind, x = ("value", right + 4) if row.value >= 0 else ("value end", left - 4)
        note = f'<tspan class="faint"> {escape(row.note)}</tspan>' if row.note else ""
        parts.append(
            f"<g><title>{escape(row.title)}</title>"
            f'<text x="0" y="{y + 10}">{escape(row.label)}{note}</text>'
            f'<rect class="{row.shade}" x="{left:.1f}" y="{y + 15}" rx="3" '
            f'width="{max(1.0, right - left):.1f}" height="13"/>'
            f'<text class="{kind}" x="{x:.1f}" y="{y + 26}">{value(row.value)}</text></g>'
        )
    height = 8 + LABELLED_ROW * len(rows)
    return _svg("".join(parts), WIDTH, height, name)


def forest(rows: Sequence[Bar], name: str, *, value: Format = percent) -> str:
    """Dots with their intervals on one scale, a row each."""
    if not rows:
        return ""
    marks = ticks(0, max(row.high for row in rows))
    x_of = _scale(0, marks[-1], BAR_LABEL, WIDTH - 16)
    bottom = 8 + BAR_ROW * len(rows)
    parts = [
        f'<line class="grid" x1="{x_of(m):.1f}" x2="{x_of(m):.1f}" y1="4" y2="{bottom}"/>'
        f'<text class="tick middle" x="{x_of(m):.1f}" y="{bottom + 14}">{value(m)}</text>'
        for m in marks
    ]
    for place, row in enumerate(rows):
        y = 4 + BAR_ROW * place + BAR_ROW / 2
        parts.append(
            f"<g><title>{escape(row.title)}</title>"
            f'<text class="name" x="{BAR_LABEL - 8}" y="{y + 4}">{escape(_cut(row.label))}</text>'
            f'<line class="whisker" x1="{x_of(row.low):.1f}" x2="{x_of(row.high):.1f}" '
            f'y1="{y}" y2="{y}"/><circle class="{row.shade}" cx="{x_of(row.value):.1f}" '
            f'cy="{y}" r="5"/></g>'
        )
    return _svg("".join(parts), WIDTH, bottom + 22, name)


def stack(rows: Sequence[Bar], name: str) -> str:
    """One bar whose parts add up to the whole, with a legend."""
    total = sum(row.value for row in rows) or 1.0
    parts, x = [], 0.0
    for row in rows:
        width = WIDTH * row.value / total
        if row.value > 0:
            parts.append(
                f'<rect class="{row.shade}" x="{x:.1f}" y="0" width="{max(0.5, width - 1):.1f}" '
                f'height="30"><title>{escape(row.title)}</title></rect>'
            )
        x += width
    for place, row in enumerate(rows):
        y = 50 + 20 * place
        parts.append(
            f'<rect class="{row.shade}" x="0" y="{y - 10}" width="11" height="11" rx="2"/>'
            f'<text class="legend" x="18" y="{y}">{escape(row.label)}'
            f'<tspan class="strong"> {percent(row.value / total)}</tspan></text>'
        )
    return _svg("".join(parts), WIDTH, 50 + 20 * len(rows), name)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: start + (end - start) * (value - low) / span


def _grid(marks: Sequence[float], y_of: Callable[[float], float], y: Format, width: int) -> str:
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y_of(m):.1f}" '
        f'y2="{y_of(m):.1f}"/><text class="tick end" x="{LEFT - 5}" y="{y_of(m) + 4:.1f}">'
        f"{y(m).replace(' %', '%')}</text>"
        for m in marks
    )


def _x_labels(points: Sequence[Point], x_of: Callable[[float], float], width: int) -> str:
    """As many labels as fit without touching, the first among them."""
    parts, free = [], 0.0
    for point in points:
        half = 3.2 * len(point.label)
        x = min(max(x_of(point.x), LEFT - 20 + half), width - half)
        if point.label and x - half >= free:
            parts.append(
                f'<text class="tick middle" x="{x:.1f}" y="{HEIGHT - 14}">{escape(point.label)}'
                "</text>"
            )
            free = x + half + 8
    return "".join(parts)


def _dot(x: float, y: float, title: str) -> str:
    said = f"<title>{escape(title)}</title>"
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5">{said}</circle>'


def _whisker(low: float, high: float, y: float) -> str:
    return f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>'


def _cut(label: str) -> str:
    """As much of a name as there is room for; wide characters take two places."""
    room, kept = 17, ""
    for character in label:
        room -= 2 if ord(character) > 0x2E7F else 1
        if room < 0:
            return kept + "…"
        kept += character
    return kept


def _svg(inner: str, width: int, height: float, name: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(name)}">'
        f"{inner}</svg>"
    )
