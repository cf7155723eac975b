"""HTML pages as tests see them: their elements, headings, tables and what they refer to."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "img", "br", "hr", "input", "link", "path"}


class Page(HTMLParser):
    """A page, read once.

    ``elements`` are pairs (tag, attributes) in their order, ``headings`` pairs (level, text), and ``tables`` the texts
    of the cells by caption, row by row; of several with one caption the last.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.headings: list[tuple[int, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.open: list[str] = []
        self.text: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3", "h4", "caption", "th", "td", "title"):
            self.text = []
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} is closed"
        said = "".join(self.text).strip()
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdecimal():
            self.headings.append((int(tag[1]), said))
        elif tag == "caption":
            self._caption = said
        elif tag in ("th", "td"):
            self._rows[-1].append(said)
        elif tag == "table":
            self.tables[self._caption] = self._rows
        elif tag == "title":
            self.title = said

    def having(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def table(self, caption: str) -> list[list[str]]:
        """The rows below the head of the table whose caption begins like this."""
        (rows,) = [rows for said, rows in self.tables.items() if said.startswith(caption)]
        return rows[1:]


def check(html: str) -> Page:
    """Check what every page promises, and return it."""
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert page.having("html") == [{"lang": "en"}]
    assert page.title
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.having("meta")
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "video", "audio", "base"}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{tag} has a script"
            if name in ("src", "href", "srcset", "data", "action", "poster"):
                assert value.startswith("data:image/png;base64,iVBOR") or (value[0] == "#" and value[1:] in ids)
            if name == "aria-labelledby":
                assert value in ids
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    for image in page.having("img"):
        assert len(image["alt"]) > 20
        assert image["alt"].endswith(".")
        assert int(image["width"]) > 0
        assert int(image["height"]) > 0
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(said for _, said in page.headings)
    assert all(th.get("scope") in ("col", "row") for th in page.having("th"))
    return page
