"""The chart: one bar per ratio on a logarithmic scale, with a whisker for its spread. SVG by hand."""

from __future__ import annotations

import dataclasses
import math
from xml.sax.saxutils import escape

from ratios import Ratio

WIDTH = 920
LABEL_WIDTH = 250
VALUE_WIDTH = 70
BAR_HEIGHT = 9
BAR_GAP = 2
ROW_GAP = 7
HEADING_HEIGHT = 30
TOP = 74
BOTTOM = 34
# Bars end at 64 ×, so that one extreme does not flatten all others; the number beside it says how far it goes.
CLIPPED_LOG2 = 6

# Colours for light and for dark pages; text beside bars carries the number, so none depends on hue.
STYLE = """
text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #24292f; }
.title { font-size: 16px; font-weight: 600; }
.heading { font-weight: 600; }
.quiet { fill: #57606a; }
.value { font-size: 11px; font-variant-numeric: tabular-nums; }
.page { fill: #ffffff; }
.grid { stroke: #d8dee4; }
.one { stroke: #24292f; }
.whisker { stroke: #24292f; stroke-opacity: .55; }
.s0 { fill: #2f6fd0; }
.s1 { fill: #d9792b; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .quiet { fill: #9da7b3; }
  .page { fill: #0d1117; }
  .grid { stroke: #30363d; }
  .one { stroke: #e6edf3; }
  .whisker { stroke: #e6edf3; }
  .s0 { fill: #6ea8fe; }
  .s1 { fill: #f0a35e; }
}
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """A label, and a ratio per series; None where there is none. A row without ratios is a heading."""

    label: str
    ratios: tuple[Ratio | None, ...] = ()


class Scale:
    """Places ratios on a logarithmic axis that ends at powers of two and holds 1; those beyond are clipped."""

    def __init__(self, values: list[float]):
        self.low = max(-CLIPPED_LOG2, min(-1, math.floor(math.log2(min(values, default=1)))))
        self.high = min(CLIPPED_LOG2, max(1, math.ceil(math.log2(max(values, default=1)))))
        self.left, self.right = LABEL_WIDTH, WIDTH - VALUE_WIDTH

    def x(self, ratio: float) -> float:
        share = (min(self.high, max(self.low, math.log2(ratio))) - self.low) / (self.high - self.low)
        return round(self.left + share * (self.right - self.left), 1)

    def ticks(self) -> list[float]:
        return [2.0**power for power in range(self.low, self.high + 1)]


def draw(title: str, subtitle: str, series: tuple[str, ...], rows: list[Row]) -> str:
    present = [ratio for row in rows for ratio in row.ratios if ratio]
    scale = Scale([bound for ratio in present for bound in (ratio.lowest, ratio.highest)])
    body, y = [], TOP
    for row in rows:
        bars = [(index, ratio) for index, ratio in enumerate(row.ratios) if ratio]
        if not row.ratios:
            body.append(text(16, y + HEADING_HEIGHT - 8, row.label, "heading"))
            y += HEADING_HEIGHT
        elif bars:
            height = len(bars) * (BAR_HEIGHT + BAR_GAP) - BAR_GAP
            body.append(text(LABEL_WIDTH - 12, y + height / 2 + 4, row.label, anchor="end"))
            for place, (index, ratio) in enumerate(bars):
                body += bar(scale, y + place * (BAR_HEIGHT + BAR_GAP), index, ratio, f"{row.label}, to {series[index]}")
            y += height + ROW_GAP
    height = y + BOTTOM
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}"/>',
            text(16, 28, title, "title"),
            text(16, 48, subtitle, "quiet"),
            *legend(series),
            *axis(scale, y),
            *body,
            "</svg>",
            "",
        ]
    )


def text(x: float, y: float, content: str, style: str = "", anchor: str = "start") -> str:
    chosen = f' class="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y:g}"{chosen} text-anchor="{anchor}">{escape(content)}</text>'


def legend(series: tuple[str, ...]) -> list[str]:
    parts, x = [], LABEL_WIDTH
    for index, name in enumerate(series):
        parts.append(f'<rect class="s{index}" x="{x}" y="58" width="12" height="{BAR_HEIGHT}" rx="2"/>')
        parts.append(text(x + 18, 67, f"to {name}"))
        x += 100
    return parts


def axis(scale: Scale, bottom: float) -> list[str]:
    parts = []
    for tick in scale.ticks():
        x = scale.x(tick)
        parts.append(f'<line class="{"one" if tick == 1 else "grid"}" x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(text(x, bottom + 18, f"{tick:g} ×", "quiet", "middle"))
    return parts


def bar(scale: Scale, y: float, index: int, ratio: Ratio, meaning: str) -> list[str]:
    one, end = scale.x(1), scale.x(ratio.median)
    left, width = min(one, end), max(1.0, abs(end - one))
    middle = y + BAR_HEIGHT / 2
    low, high = scale.x(ratio.lowest), scale.x(ratio.highest)
    return [
        f'<rect class="s{index}" x="{left:g}" y="{y:g}" width="{width:g}" height="{BAR_HEIGHT}" rx="2">'
        f"<title>{escape(meaning)}: {ratio}</title></rect>",
        f'<line class="whisker" x1="{low}" x2="{high}" y1="{middle:g}" y2="{middle:g}"/>',
        text(max(one, end, high) + 6, y + BAR_HEIGHT - 0.5, value_text(ratio.median), "value"),
    ]


def value_text(ratio: float) -> str:
    """Two digits that say something."""
    digits = 2 if ratio < 1 else 1 if ratio < 10 else 0
    return f"{ratio:.{digits}f} ×"
