"""The site of `make docs`: built strictly, complete, and without a request that leaves it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MADE = {"cli.md", "python.md", "tutorial.md", "contributing.md", "changelog.md"}
WIDTHS = (1400, 390)
PROSE = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
ITEM = re.compile(r" *(?:[-*]|\d+\.) ")
# Characters of diagrams with a stroke to the line above, and to the line below.
UP, DOWN = "│└┘├┤┴┼", "│┌┐├┤┬┼"
# Names between < and > that are read as elements, and lines of code that have no room.
ELEMENTS = """() => Array.from(document.querySelectorAll("article *"))
  .filter(node => node instanceof HTMLUnknownElement || node.matches("video, root, raw"))
  .map(node => node.outerHTML.slice(0, 80))"""
# What leaves its cell, and so lies over the next one.
OVER = """() => Array.from(document.querySelectorAll("article td :is(code, .option)"))
  .filter(node => node.getBoundingClientRect().right
    > node.closest("td").getBoundingClientRect().right + 1).map(node => node.textContent)"""
LONG = """() => Array.from(document.querySelectorAll("article .highlight code"))
  .filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.textContent)
  .filter(text => !text.startsWith("{"))"""  # a record of a file of JSON lines stays one line


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without the Python objects in it."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python", lambda *_: None)


def pages(items: Any) -> Iterator[str]:
    """The files of a navigation."""
    for item in items:
        (value,) = item.values()
        if isinstance(value, str):
            yield value
        else:
            yield from pages(value)


def config() -> dict[str, Any]:
    return yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), _Loader)


def test_every_page_is_in_the_navigation_once() -> None:
    listed = list(pages(config()["nav"]))
    assert sorted(listed) == sorted({path.name for path in DOCS.glob("*.md")} | MADE)


def test_nothing_but_the_strict_build_counts() -> None:
    read = config()
    assert read["strict"] and read["theme"]["font"] is False
    assert {"search", "offline"} <= {name for name in read["plugins"] if isinstance(name, str)}


@pytest.mark.parametrize("path", PROSE, ids=lambda path: str(path.name))
def test_lists_and_diagrams_are_shown_as_such(path: Path) -> None:
    code, before = False, ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        if line.lstrip().startswith("```"):
            code, before = not code, ""
        elif code:
            width = max(len(line), len(before))
            for above, below in zip(before.ljust(width), line.ljust(width), strict=True):
                assert below != " " or above not in DOWN or not before, where
                assert above != " " or below not in UP, where
        elif ITEM.match(line) and before.strip() and not before.startswith(" "):
            assert ITEM.match(before), f"{where}: without an empty line it is no list"
        before = line


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, and no word of a warning."""
    pytest.importorskip("mkdocs")
    out = tmp_path_factory.mktemp("docs") / "site"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    return out


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loads = re.compile(r"<(?:script|img|iframe|source|video|link)\b[^>]*(?:https?:)?//[^>]*>")
    files = [*site.glob("*.html"), *site.rglob("*.css")]
    assert len(files) > 30
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert loads.findall(text) == [], file.name
        assert not re.search(r"url\(['\"]?(?:https?:)?//", text), file.name
        assert "fonts.googleapis" not in text, file.name


@pytest.mark.slow
def test_generated_pages_have_their_content(site: Path) -> None:
    text = {name: (site / f"{name}.html").read_text(encoding="utf-8") for name in (
        "cli", "python", "metrics", "tutorial",
    )}  # fmt: skip
    assert "--checkpoint" in text["cli"] and 'id="vatrack-cuts-score"' in text["cli"]
    assert 'id="vatrack.api.load.load"' in text["python"] and "Raises" in text["python"]
    examples = re.findall('<details class="example".*?</details>', text["python"], re.DOTALL)
    assert examples and all("<pre" in example for example in examples)  # code, in its lines
    linked = set(re.findall(r'<a href="(contracts\.html#[^"]+)">contract \d</a>', text["python"]))
    assert "contracts.html#2-predictions" in linked
    contracts = (site / "contracts.html").read_text(encoding="utf-8")
    assert all(f'id="{link.partition("#")[2]}"' in contracts for link in linked)
    assert text["metrics"].count("<math") > 8 and "\\frac" not in text["metrics"]
    assert "vatrack.load(CHECKPOINT)" in re.sub(r"<[^>]+>", "", text["tutorial"])


@pytest.mark.slow
def test_pages_fit_and_ask_nobody(site: Path, browser: Any) -> None:
    page = browser.new_page()
    left: list[str] = []
    page.on("request", lambda request: left.append(request.url))
    page.on("pageerror", lambda error: left.append(str(error)))
    for file in sorted(site.glob("*.html")):
        page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        page.goto(file.as_uri())
        assert page.evaluate(ELEMENTS) == [], file.name
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("document.getAnimations().forEach(animation => animation.finish())")
            overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert overflow <= 0, f"{file.name}, {width} pixels wide"
            assert page.evaluate(OVER) == [], f"{file.name}, {width} pixels wide"
            assert width < 1000 or page.evaluate(LONG) == [], file.name
    assert [url for url in left if not url.startswith(("file:", "data:", "blob:"))] == []
    page.close()


@pytest.mark.slow
def test_the_search_works_from_the_disk(site: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto((site / "index.html").as_uri())
    page.click(".md-search__input")
    page.keyboard.type("hidden part")
    page.wait_for_selector(".md-search-result__link")
    assert page.locator(".md-search-result__link").count() > 3
    page.close()


def test_the_badges_say_what_is_true() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (torch,) = (name for name in project["dependencies"] if name.startswith("torch>="))
    assert f"badge/python-%E2%89%A5%20{project['requires-python'].removeprefix('>=')}-" in text
    assert f"badge/PyTorch-%E2%89%A5%20{torch.removeprefix('torch>=')}-" in text
    assert f"badge/license-{project['license']}-" in text
    assert text.count("img.shields.io") == 4


def test_the_moving_image_is_small() -> None:
    image = DOCS / "images/tracked.webp"
    assert b"ANIM" in image.read_bytes()[:200]
    assert image.stat().st_size < 2_000_000
