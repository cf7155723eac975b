"""Pages in Chromium: drawn without an error, readable on small screens, and nothing that axe-core finds fault with."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rnnfast import demo
from tests.support.pages import check
from tests.support.reported import MADE, Pages, writing

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("scheme", ["light", "dark"])]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return writing(tmp_path_factory)


@pytest.mark.parametrize("name", MADE)
def test_browsers_show_the_page(name: str, scheme: Any, pages: Pages, tmp_path: Path) -> None:
    """Chromium: no error, no request, all pictures drawn, nothing wider than the screen, and no violation for axe."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    (tmp_path / "page.html").write_text(pages(name), encoding="utf-8")
    look(tmp_path / "page.html", scheme)


def test_browsers_show_the_page_of_the_demo(scheme: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    demo.main(demo.Settings(quick=True, progress=False), output=tmp_path)
    page = check((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(page.having("img")) > 10
    look(tmp_path / "report.html", scheme)


@contextmanager
def random_numbers_kept() -> Iterator[None]:
    """Playwright names what it opens by chance."""
    before = random.getstate()
    yield
    random.setstate(before)


def look(path: Path, scheme: Any) -> None:
    """Open a page in Chromium on a large and a small screen."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("needs Chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with random_numbers_kept(), playwright.sync_playwright() as tools:
        chromium = tools.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for width in (1280, 400):
            screen = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            told: list[str] = []
            screen.on("console", lambda message, told=told: told.append(message.text))
            screen.on("pageerror", lambda error, told=told: told.append(str(error)))
            screen.on("request", lambda request, told=told: told.append(request.url[:99]))
            screen.goto(path.as_uri())
            assert [said for said in told if not said.startswith(("data:", "file:"))] == []
            assert screen.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt)")
            assert screen.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            found = axe.Axe().run(screen).response["violations"]
            assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
            screen.close()
        chromium.close()
