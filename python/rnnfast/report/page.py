"""The template of all pages: one HTML file that needs neither scripts nor anything from elsewhere.

Blocks are texts of HTML; whatever else is put into them is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from rnnfast.report.pictures import PIXELS, Picture, available, png

MISSING = (
    "Pictures are missing here: they need matplotlib, which is not installed. Install the extra, "
    "pip install 'rnnfast[plot]', and make the page again."
)
# All pairs of text and background have a contrast of at least 4.5 (WCAG 2.1, AA), in light and in dark.
STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --quiet: #55595f; --page: #fff; --panel: #f4f5f7; --line: #c9ccd1;
  --link: #0b57d0; --good: #0a6b1e; --bad: #b3261e; --mark: #ffe3e0; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8ea; --quiet: #b4b7bc; --page: #16181c; --panel: #212429;
  --line: #454a52; --link: #8ab4f8; --good: #7bd88f; --bad: #ff9a92; --mark: #5c1a16; } }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 0 auto;
  max-width: 68rem; padding: 1rem; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; margin: 2rem 0 .5rem; } h1 { margin-top: 1rem; }
h2 { border-bottom: 2px solid var(--line); padding-bottom: .25rem; }
p, dl, nav ul { max-width: 44rem; } a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; }
nav a { display: inline-block; padding: .25rem 0; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; } caption { text-align: left; font-weight: 600; padding-bottom: .25rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } tbody th { font-weight: 400; }
thead th { vertical-align: bottom; }
.n { text-align: right; font-variant-numeric: tabular-nums; } td.n { white-space: nowrap; }
.best { font-weight: 700; } .good { color: var(--good); } .bad { color: var(--bad); } .quiet { color: var(--quiet); }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1rem 1.5rem; }
figure { margin: 0; min-width: 0; } figcaption { font-weight: 600; margin-bottom: .25rem; }
figure .scroll { margin: 0; } img { display: block; max-width: 100%; height: auto; background: #fff; }
.wide { grid-column: 1 / -1; } .wide img { max-width: none; }
pre { background: var(--panel); padding: .75rem; font-size: .875rem; overflow-x: auto; }
.wraps { white-space: pre-wrap; overflow-wrap: anywhere; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem 1.25rem; }
summary { cursor: pointer; padding: .25rem 0; }
@media (max-width: 30rem) { th, td { padding-right: .6rem; font-size: .875rem; } }
svg.line { display: block; } svg.line path { fill: none; stroke: var(--link); stroke-width: 1.5; }
"""


class Html(str):
    """A text that is HTML already."""


Cell = str | Html


def safe(text: Cell) -> Html:
    """Return a text as HTML.

    Examples
    --------
    >>> safe("a < b"), safe(Html("<b>c</b>"))
    ('a &lt; b', '<b>c</b>')
    """
    return text if isinstance(text, Html) else Html(escape(text))


@dataclass
class Section:
    """A part of a page with a heading.

    Attributes
    ----------
    heading : str
    blocks : list of Html
    """

    heading: str
    blocks: list[Html] = field(default_factory=list)


def document(title: str, lead: Sequence[Html], sections: Sequence[Section], *, style: str = "") -> str:
    """Return a page: its title, what stands first, the contents, and the sections.

    Parameters
    ----------
    title : str
    lead : sequence of Html
    sections : sequence of Section
    style : str
        Rules of CSS beside those of all pages.

    Examples
    --------
    >>> page = document("A & B", [paragraph("First.")], [Section("One", [paragraph("Second.")])])
    >>> page.count("<h1>A &amp; B</h1>"), page.count('<h2 id="s1">One</h2>'), page.count('<a href="#s1">One</a>')
    (1, 1, 1)
    """
    links = "".join(f'<li><a href="#s{i}">{safe(s.heading)}</a></li>' for i, s in enumerate(sections, start=1))
    body = [f"<h1>{safe(title)}</h1>", *lead]
    if not available():
        body.append(f'<p class="bad">{safe(MISSING)}</p>')
    body.append(f'<nav aria-label="Contents"><ul>{links}</ul></nav>')
    for i, section in enumerate(sections, start=1):
        body += [f'<section aria-labelledby="s{i}">', f'<h2 id="s{i}">{safe(section.heading)}</h2>', *section.blocks]
        body.append("</section>")
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{safe(title)}</title>",
        f"<style>{STYLE}{style}</style>",
    ]
    parts = ["<!doctype html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", "<main>"]
    return "\n".join([*parts, *body, "</main>", "</body>", "</html>", ""])


def heading(text: str) -> Html:
    """Return a heading within a section."""
    return Html(f"<h3>{safe(text)}</h3>")


def paragraph(text: Cell, kind: str = "") -> Html:
    """Return a paragraph; ``kind`` is one of good, bad, quiet or nothing."""
    return Html(f'<p class="{kind}">{safe(text)}</p>' if kind else f"<p>{safe(text)}</p>")


def preformatted(text: Cell, *, wraps: bool = False) -> Html:
    """Return a text whose lines stay as they are; narrow screens scroll it, unless long lines wrap."""
    return Html(f'<pre class="wraps">{safe(text)}</pre>' if wraps else f'<pre tabindex="0">{safe(text)}</pre>')


def terms(meanings: Mapping[str, Cell]) -> Html:
    """Return words with what they mean."""
    return Html("<dl>" + "".join(f"<dt>{safe(k)}</dt><dd>{safe(v)}</dd>" for k, v in meanings.items()) + "</dl>")


def folded(summary: str, *blocks: Html) -> Html:
    """Return blocks that readers unfold."""
    return Html(f"<details><summary>{safe(summary)}</summary>{''.join(blocks)}</details>")


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], *, numbers: Sequence[int] = ()) -> Html:
    """Return a table whose first column names the rows.

    Parameters
    ----------
    caption : str
    head : sequence of str
        Names of the columns.
    rows : iterable of sequences of str or Html
    numbers : sequence of int
        The columns that hold numbers, which stand to the right.

    Examples
    --------
    >>> found = table("Ages", ["who", "age"], [["<Ann>", "7"]], numbers=[1])
    >>> '<th scope="row">&lt;Ann&gt;</th><td class="n">7</td>' in found
    True
    """
    kinds = [' class="n"' if i in numbers else "" for i in range(len(head))]
    top = "".join(f'<th scope="col"{kind}>{safe(name)}</th>' for name, kind in zip(head, kinds, strict=True))
    body = []
    for first, *others in rows:
        cells = [f"<td{kind}>{safe(cell)}</td>" for cell, kind in zip(others, kinds[1:], strict=True)]
        body.append(f'<tr><th scope="row">{safe(first)}</th>{"".join(cells)}</tr>')
    inner = (
        f"<table><caption>{safe(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    )
    return _scrolled(inner, caption)


def figures(pictures: Iterable[Picture]) -> list[Html]:
    """Return pictures, side by side where there is room; none without matplotlib."""
    if not available():
        return []
    drawn = "".join(_figure(picture) for picture in pictures)
    return [Html(f'<div class="pictures">{drawn}</div>')] if drawn else []


def line(values: Sequence[float], alt: str, *, width: int = 96, height: int = 24) -> Html:
    """Return a small curve of finite numbers, for a cell of a table.

    Examples
    --------
    >>> line([0.0, 1.0], "it rises")
    '<svg class="line" role="img" aria-label="it rises" width="96" height="24"><path d="M1.0 23.0L95.0 1.0"/></svg>'
    """
    low, high = min(values), max(values)
    across, up = (width - 2) / max(len(values) - 1, 1), (height - 2) / ((high - low) or 1.0)
    points = (f"{1 + i * across:.1f} {height - 1 - (v - low) * up:.1f}" for i, v in enumerate(values))
    size = f'width="{width}" height="{height}"'
    return Html(f'<svg class="line" role="img" aria-label="{safe(alt)}" {size}><path d="M{"L".join(points)}"/></svg>')


def _figure(picture: Picture) -> str:
    data = base64.b64encode(png(picture)).decode("ascii")
    size = f'width="{round(picture.width * PIXELS)}" height="{round(picture.height * PIXELS)}"'
    image = f'<img alt="{safe(picture.alt)}" {size} src="data:image/png;base64,{data}">'
    inner = _scrolled(image, picture.title) if picture.is_wide else image
    kind = ' class="wide"' if picture.is_wide else ""
    return f"<figure{kind}><figcaption>{safe(picture.title)}</figcaption>{inner}</figure>"


def _scrolled(inner: str, name: str) -> Html:
    """Let narrow screens scroll something alone, also by keys."""
    return Html(f'<div class="scroll" role="group" tabindex="0" aria-label="{safe(name)}">{inner}</div>')
