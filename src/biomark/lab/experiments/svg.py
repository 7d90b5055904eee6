"""Pictures of results as SVG, without a plotting library: equal figures give identical files."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Okabe and Ito's colours, which colour-blind readers can distinguish; the markers differ as well.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999", "#f0e442")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.small{font-size:11px;fill:#555}.title{font-weight:600}"
    ".light{fill:#fff}.grid{stroke:#ddd}.axis{stroke:#888;fill:none}"
)
_PANEL, _GAP, _LEFT, _TOP = 240, 36, 52, 34  # of a panel: width; between panels; before and above the first one
_ROW = 22


@dataclass(frozen=True, slots=True)
class Point:
    """A figure with its interval, all in [0, 1].

    Attributes:
        x: its value on the horizontal axis; ignored by pictures without one.
        y: the figure.
        low, high: the ends of its interval.
    """

    x: float
    y: float
    low: float
    high: float


Series = Mapping[str, Sequence[Point]]


def lines(panels: Mapping[str, Series], *, x_label: str, y_label: str) -> str:
    """Draw panels of lines with shaded intervals.

    Args:
        panels: by title, the points of each line in the order of x, by the line's name.
        x_label, y_label: the labels of the axes; x is a share and is shown in percent.
    """
    names = _names(panels)
    points = [point for panel in panels.values() for line in panel.values() for point in line]
    ticks = _ticks(points)
    height, parts = 200, []
    for number, (title, panel) in enumerate(panels.items()):
        left = _LEFT + number * (_PANEL + _GAP)
        parts.append(_text(left + _PANEL / 2, _TOP - 12, title, "title", "middle"))
        parts += _y_axis(left, _PANEL, _TOP, height, ticks, labels=number == 0)
        for x in sorted({point.x for line in panel.values() for point in line}):
            place = left + _PANEL * x
            parts.append(f'<path class="axis" d="M{place:.1f} {_TOP + height}v4"/>')
            parts.append(_text(place, _TOP + height + 18, f"{x:.0%}".rstrip("%"), "small", "middle"))
        parts.append(_text(left + _PANEL / 2, _TOP + height + 36, x_label, "small", "middle"))
        for name, line in panel.items():
            parts += _line(line, left, height, ticks, names.index(name))
    parts.append(_text(8, 14, y_label, "small"))
    width = _LEFT + len(panels) * (_PANEL + _GAP)
    bottom = _TOP + height + 52
    parts += _legend(names, _LEFT, bottom)
    return _svg(width, bottom + _ROW * (1 + (len(names) - 1) // 3), parts)


def _line(line: Sequence[Point], left: float, height: float, ticks: Sequence[float], colour: int) -> Iterable[str]:
    places = [(left + _PANEL * p.x, *(_y(v, height, ticks) for v in (p.y, p.low, p.high))) for p in line]
    there = " ".join(f"{x:.1f},{low:.1f}" for x, _, low, _ in places)
    back = " ".join(f"{x:.1f},{high:.1f}" for x, *_, high in reversed(places))
    yield f'<polygon points="{there} {back}" fill="{_colour(colour)}" opacity="0.16"/>'
    track = " ".join(f"{x:.1f},{y:.1f}" for x, y, *_ in places)
    yield f'<polyline points="{track}" fill="none" stroke="{_colour(colour)}" stroke-width="2"/>'
    for x, y, *_ in places:
        yield _mark(x, y, colour)


def intervals(panels: Mapping[str, Mapping[str, Point]], *, label: str) -> str:
    """Draw panels with a row for each name: the figure as a marker, its interval as a line.

    Args:
        panels: by title, the figure of each row by the row's name.
        label: the label of the axis.
    """
    names = _names(panels)
    points = [point for panel in panels.values() for point in panel.values()]
    ticks = _ticks(points)
    side = 16 + 6.4 * max(map(len, names), default=0)
    step = min(_PANEL, max(130, 900 // max(len(panels), 1)))
    columns = min(len(panels), 4)
    height = _ROW * len(names) + 8
    parts = []
    for number, (title, panel) in enumerate(panels.items()):
        left = side + (number % columns) * (step + _GAP)
        top = _TOP + (number // columns) * (height + 64)
        parts.append(_text(left + step / 2, top - 12, title, "title", "middle"))
        for tick in ticks:
            x = left + step * _share(tick, ticks)
            parts.append(f'<path class="grid" d="M{x:.1f} {top}v{height}"/>')
            parts.append(_text(x, top + height + 16, f"{100 * tick:.0f}", "small", "middle"))
        for row, name in enumerate(names):
            y = top + _ROW * row + _ROW / 2 + 4
            if number % columns == 0:
                parts.append(_text(side - 10, y + 4, name, "", "end"))
            if name in panel:
                low, high = (left + step * _share(v, ticks) for v in (panel[name].low, panel[name].high))
                stroke = f'stroke="{_colour(row)}" stroke-width="2"'
                parts.append(f'<path d="M{low:.1f} {y:.1f}H{high:.1f}" {stroke}/>')
                parts.append(_mark(left + step * _share(panel[name].y, ticks), y, row))
    rows = -(-len(panels) // columns) if panels else 1
    bottom = _TOP + rows * (height + 64) - 24
    parts.append(_text(side, bottom, label, "small"))
    return _svg(side + columns * (step + _GAP), bottom + 12, parts)


def stacks(rows: Mapping[str, Mapping[str, float]], *, label: str) -> str:
    """Draw a stacked bar for each row, with the number of each part.

    Args:
        rows: by name, the number of each part by the part's name.
        label: the label of the axis.
    """
    parts_of = list(dict.fromkeys(part for row in rows.values() for part in row))
    most = max((sum(row.values()) for row in rows.values()), default=1) or 1
    side, wide = 16 + 6.4 * max(map(len, rows), default=0), 520
    parts = []
    for number, (name, row) in enumerate(rows.items()):
        y, x = _TOP + 34 * number, side
        parts.append(_text(side - 10, y + 17, name, "", "end"))
        for part, value in row.items():
            width = wide * value / most
            colour = _colour(parts_of.index(part))
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="25" fill="{colour}" opacity="0.8"/>')
            if width > 22:
                parts.append(_text(x + width / 2, y + 17, f"{value:g}", "light", "middle"))
            x += width
    bottom = _TOP + 34 * len(rows)
    parts.append(_text(8, 14, label, "small"))
    for number, part in enumerate(parts_of):
        x = side + 130 * number
        parts.append(f'<rect x="{x}" y="{bottom + 4}" width="12" height="12" fill="{_colour(number)}" opacity="0.8"/>')
        parts.append(_text(x + 18, bottom + 14, part))
    return _svg(side + wide + 24, bottom + 30, parts)


def _names(panels: Mapping[str, Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for panel in panels.values() for name in panel))


def _ticks(points: Iterable[Point]) -> list[float]:
    """Return multiples of 0.1 or 0.2 that enclose all points."""
    values = [value for point in points for value in (point.low, point.high, point.y)] or [0.0, 1.0]
    step = 0.1 if max(values) - min(values) < 0.4 else 0.2
    first, last = int(min(values) / step + 1e-9), -(-max(values) // step)
    last = max(last, first + 1)
    return [round(step * number, 2) for number in range(first, int(min(last, round(1 / step))) + 1)]


def _share(value: float, ticks: Sequence[float]) -> float:
    return (value - ticks[0]) / ((ticks[-1] - ticks[0]) or 1)


def _y(value: float, height: float, ticks: Sequence[float]) -> float:
    return _TOP + height * (1 - _share(value, ticks))


def _y_axis(
    left: float, width: float, top: float, height: float, ticks: Sequence[float], *, labels: bool
) -> Iterable[str]:
    for tick in ticks:
        y = _y(tick, height, ticks)
        yield f'<path class="grid" d="M{left} {y:.1f}h{width}"/>'
        if labels:
            yield _text(left - 8, y + 4, f"{100 * tick:.0f}", "small", "end")
    yield f'<path class="axis" d="M{left} {top}v{height}h{width}"/>'


def _legend(names: Sequence[str], left: float, top: float) -> Iterable[str]:
    for number, name in enumerate(names):
        x, y = left + 270 * (number % 3), top + _ROW * (number // 3)
        yield _mark(x, y, number)
        yield _text(x + 12, y + 4, name)


def _mark(x: float, y: float, number: int) -> str:
    colour = _colour(number)
    if number % 3 == 1:
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'
    if number % 3 == 2:
        return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" fill="{colour}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attribute}>{html.escape(text)}</text>'


def _svg(width: float, height: float, parts: Iterable[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{_STYLE}</style>'
    ground = f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>'
    return "\n".join((head, ground, *parts, "</svg>")) + "\n"
