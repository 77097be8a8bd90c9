"""Figures, drawn by matplotlib without global state. The SVG follows the reader's light or dark theme."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure as Canvas
from matplotlib.rcsetup import cycler
from matplotlib.ticker import LogFormatter, MaxNLocator

from ..wording import printable

# Readable on both white and near-black backgrounds.
COLOURS = ("#3b7dd8", "#d97706", "#2a9d63", "#c2410c", "#8b5cf6", "#0e9aa7", "#8a8f98")
_INK = "#010203"  # placeholder for the colour of text and axes, which depends on the theme
_GRID = "#040506"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "purport",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "grid.color": _GRID,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "axes.prop_cycle": cycler(color=COLOURS),
    "text.parse_math": False,  # a label may have dollar signs
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
}
_SCRIPTS = (
    "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Noto Sans Devanagari", "Noto Sans Thai", "Noto Sans Arabic", "Unifont",
)  # fmt: skip
_THEME = (
    "<style>:root{--ink:#1f2430;--grid:#e3e6ea}"
    "@media (prefers-color-scheme: dark){:root{--ink:#dfe3ea;--grid:#3a404b}}"
    "text{font-family:system-ui,'DejaVu Sans',sans-serif !important}</style>"
)
_WIDTH = 4.6  # inches: 440 CSS pixels, so that text is nearly full size on a page 400 pixels wide


@contextmanager
def _drawing(style: Any) -> Iterator[None]:
    """Draw in ``style``, with fonts of this machine for scripts that the first one lacks.

    Browsers find a font for the text of the SVG themselves; the PNG has boxes where no font has a character.
    """
    known = set(font_manager.get_font_names())
    fonts = [*style["font.sans-serif"], *(name for name in _SCRIPTS if name in known)]
    with mpl.rc_context({**style, "font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@dataclass(frozen=True)
class Figure:
    """One figure: its file name, caption and alternative text, and a function that draws it.

    ``height`` and ``width`` are in inches, at 96 pixels per inch.
    """

    name: str
    title: str
    alt: str
    draw: Callable[[Axes], None]
    height: float = 3.0
    width: float = _WIDTH
    kind = "figure"

    def render(self) -> tuple[str, bytes]:
        """Draw the figure: SVG and PNG."""
        with _drawing(_STYLE):
            canvas = Canvas(figsize=(self.width, self.height), layout="constrained")
            self.draw(canvas.add_subplot())
            svg = io.StringIO()
            canvas.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
        with _drawing({**_STYLE, "savefig.facecolor": "white"}):
            png = io.BytesIO()
            canvas.savefig(png, format="png", dpi=160, metadata={"Software": None})
        head, end, body = svg.getvalue().partition("<svg")[2].partition(">")
        body = body.replace(_INK, "var(--ink)").replace(_GRID, "var(--grid)")
        return f"<svg{head}{end}{_THEME}{body}", png.getvalue()


def bars(
    name: str,
    title: str,
    alt: str,
    rows: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    log: bool = False,
    whole: bool = False,
    errors: Sequence[tuple[float | None, float | None]] | None = None,
    limit: int = 26,
    height: float | None = None,
    width: float = _WIDTH,
) -> Figure:
    """Horizontal bars, the first of ``rows`` on top. ``errors`` are the (low, high) whisker ends of a single series.

    ``log`` makes the axis logarithmic; ``whole`` limits its ticks to whole numbers.
    """

    def draw(axes: Axes) -> None:
        thickness = 0.8 / len(series)
        base = np.arange(len(rows))
        for index, (label, values) in enumerate(series.items()):
            at = base + (index - (len(series) - 1) / 2) * thickness
            axes.barh(at, values, height=thickness, label=shorten(label))
            if errors is not None:
                centre = np.asarray(values, dtype=float)
                low, high = (np.array(end, dtype=float) for end in zip(*errors, strict=True))
                spread = np.nan_to_num(np.clip([centre - low, high - centre], 0, None))
                axes.errorbar(centre, at, xerr=spread, fmt="none", ecolor=_INK, elinewidth=0.8)
        axes.set_yticks(base, [shorten(row, limit) for row in rows], fontsize=7.5)
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=xlabel)
        if log:
            _logarithmic(axes, "x")
        axes.grid(axis="y", visible=False)
        if whole:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(series) > 1:
            axes.legend()

    return Figure(name, title, alt, draw, height or bars_height(len(rows), len(series)), width)


def bars_height(count: int, series: int = 1) -> float:
    """The height in inches of ``count`` horizontal bars."""
    return 0.9 + count * max(0.2, 0.13 * series)


def bar_figure(
    name: str, title: str, values: Sequence[tuple[str, float]], form: str, *, xlabel: str, **options: Any
) -> Figure:
    """One bar for each ``(row, value)``. The alternative text formats each value with ``form`` (see ``str.format``).

    ``options`` are passed to :func:`bars`.
    """
    rows, lengths = [row for row, _ in values], [value for _, value in values]
    words = "Bars: " + "; ".join(f"{row} {form.format(value)}" for row, value in values)
    return bars(name, title, words, rows, {xlabel: lengths}, xlabel=xlabel, **options)


def line_figure(
    name: str,
    title: str,
    alt: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    labels: tuple[str, str],
    *,
    log: str = "",
    diagonal: bool = False,
    markers: bool = False,
    limits: Mapping[str, float] | None = None,
    point: tuple[str, float, float] | None = None,
) -> Figure:
    """One line per series of points ``(x, y)``; ``labels`` are those of both axes, ``log`` names axes ("x", "xy").

    ``limits`` are horizontal lines by name; ``point`` is one ``(name, x, y)`` that stands out.
    """
    style: Any = {"marker": "o", "markersize": 3.5} if markers else {}

    def draw(axes: Axes) -> None:
        if diagonal:
            axes.plot([0, 1], [0, 1], color=_GRID, linewidth=1.2, linestyle="--")
        for label, points in series.items():
            axes.plot(*zip(*points, strict=True), label=shorten(label), linewidth=1.5, **style)
        for number, (label, height) in enumerate((limits or {}).items(), start=1):
            axes.axhline(height, label=shorten(label, 44), linewidth=1.2, linestyle="--", color=COLOURS[number])
        if point is not None:
            axes.plot(*point[1:], "o", label=shorten(point[0], 44), markersize=6, color=COLOURS[3])
        axes.set(xlabel=labels[0], ylabel=labels[1])
        _logarithmic(axes, log)
        if len(series) > 1 or limits or point:
            axes.legend()

    return Figure(name, title, alt, draw)


def heatmap(
    matrix: Any, rows: Sequence[str], columns: Sequence[str], *, xlabel: str, ylabel: str
) -> Callable[[Axes], None]:
    """Counts as shades of one colour, with numbers in the cells if there is room."""
    shades = LinearSegmentedColormap.from_list("shade", [(*to_rgba(COLOURS[0])[:3], a) for a in (0.0, 1.0)])

    def draw(axes: Axes) -> None:
        values = np.asarray(matrix)
        # Square root: a few large counts would leave everything else blank.
        axes.imshow(np.sqrt(values), cmap=shades, aspect="auto", interpolation="nearest")
        axes.set_xticks(range(len(columns)), [shorten(name) for name in columns], rotation=90, fontsize=7)
        axes.set_yticks(range(len(rows)), [shorten(name) for name in rows], fontsize=7)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.grid(visible=False)
        if values.size <= 900:
            for row, column in np.argwhere(values > 0):
                axes.text(column, row, f"{values[row, column]:.0f}", ha="center", va="center", fontsize=6.5)

    return draw


def _logarithmic(axes: Axes, log: str) -> None:
    """Logarithmic axes (``"x"``, ``"xy"``), whose ticks are plain numbers instead of mathematical text."""
    for name in log:
        axis = {"x": axes.xaxis, "y": axes.yaxis}[name]
        axes.set(**{f"{name}scale": "log"})
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(LogFormatter())


def shorten(name: str, limit: int = 26) -> str:
    """``name`` in one line without control characters, with its middle cut out if it is longer than ``limit``."""
    name = printable(" ".join(name.split()))
    return name if len(name) <= limit else f"{name[: limit - 9]}…{name[-8:]}"
