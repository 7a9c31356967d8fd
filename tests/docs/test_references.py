"""Every citation of the specification, a quirk or a contract, and every link, leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.glob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "tests" / "golden" / "README.md",
]
MORE = r"(?:(?:,| and| or| to)\s+{0})*"
SECTION, QUIRK, CONTRACT = r"\d+(?:\.\d+)?", r"[DLMTIEV]\d+", r"[1-9]"
# "spec 4.2", "spec 6 and 8.6", "quirks E2, E10", "contract 4". Also over the end of a line.
CITATION = re.compile(
    rf"\b(?:(?:spec)\s+(?P<spec>{SECTION}{MORE.format(SECTION)})"
    rf"|(?:quirks?|spec)\s+(?P<quirk>{QUIRK}{MORE.format(QUIRK)})"
    rf"|(?:contracts?)\s+(?P<contract>{CONTRACT}{MORE.format(CONTRACT)}))\b",
    flags=re.IGNORECASE,
)
PARTS = {"spec": SECTION, "quirk": QUIRK, "contract": CONTRACT}
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
LINKED = re.compile(r"\[[^\]]*\]\([^)\s]+\)")


def citations(text: str) -> Iterator[tuple[str, str]]:
    """Pairs such as ("spec", "4.2"). A comment's # at a line's beginning is no part of a text."""
    for match in CITATION.finditer(re.sub(r"\n\s*#?\s*", "\n", text)):
        for name, part in PARTS.items():
            for number in re.findall(part, match[name] or ""):
                yield name, number


def prose(text: str) -> str:
    """A Markdown page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page: those of its headings, as GitHub makes them, and explicit ones."""
    text = prose(page.read_text(encoding="utf-8"))
    found = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.add(re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-"))
    return found


@cache
def known() -> dict[str, set[str]]:
    specification = (DOCS / "specification.md").read_text(encoding="utf-8")
    contracts = (DOCS / "contracts.md").read_text(encoding="utf-8")
    return {
        "spec": set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", specification, re.MULTILINE)),
        "quirk": set(re.findall(r'^\| <a id="quirk-\w+"></a>(\w+) \|', specification, re.M)),
        "contract": set(re.findall(r"^## (\d)\. ", contracts, re.MULTILINE)),
    }


def test_the_register_is_whole() -> None:
    assert {name: len(found) for name, found in known().items()} == {
        "spec": 70,
        "quirk": 82,
        "contract": 6,
    }


@pytest.mark.parametrize("folder", ["vatrack", "tests", "docs", "benchmarks", "config", "workflow"])
def test_every_citation_leads_somewhere(folder: str) -> None:
    endings = {".py", ".md", ".yaml", ".smk"}
    files = [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in endings]
    assert files
    wrong = [
        f"{path.relative_to(ROOT)}: {name} {number}"
        for path in files
        if path != Path(__file__)
        for name, number in citations(path.read_text(encoding="utf-8"))
        if number not in known()[name]
    ]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for target in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            wrong.append(target)
    assert wrong == []


WRITTEN = [page for page in PAGES if page.name != "config.md"]  # that one is made from docstrings


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_citations_in_pages_are_links(page: Path) -> None:
    text = LINKED.sub("", prose(page.read_text(encoding="utf-8")))
    if page.name == "specification.md":
        text = text.replace('Cited as "quirk D1".', "")
    assert list(citations(text)) == []


# Files and folders of the repository, between backticks.
PLACE = re.compile(
    r"`((?:benchmarks|config|docs|envs|profiles|tests|vatrack|workflow)/[\w./-]*\w/?)`"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_place_in_the_repository_exists(page: Path) -> None:
    named = PLACE.findall(page.read_text(encoding="utf-8"))
    below = (ROOT, ROOT / "workflow")  # whose own folders its row of architecture.md lists
    assert [name for name in named if not any((root / name).exists() for root in below)] == []


def test_what_a_citation_is() -> None:
    text = "spec 4.2 to 4.5, Quirks E2, E10; see contract\n    # 4. (spec 6 and 8.6) spec I11"
    assert list(citations(text)) == [
        ("spec", "4.2"),
        ("spec", "4.5"),
        ("quirk", "E2"),
        ("quirk", "E10"),
        ("contract", "4"),
        ("spec", "6"),
        ("spec", "8.6"),
        ("quirk", "I11"),
    ]
