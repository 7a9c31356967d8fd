"""docs/own-video.md and the README: their Python runs, and their table has every option."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import pytest
import typer

from tests.api.conftest import checkpoint  # noqa: F401
from tests.video.videos import sample_image, write_video
from vatrack.cli import app
from vatrack.video.sources import find_sources

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own-video.md"
FENCED = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """Where the files lie that the examples name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.pt").symlink_to(checkpoint)
    write_video(tmp_path / "street.mp4", 8)
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames/000000.png"), sample_image(0))
    return tmp_path


@pytest.mark.parametrize("page", [PAGE, ROOT / "README.md"], ids=lambda page: page.name)
def test_the_python_runs(page: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = FENCED.findall(page.read_text(encoding="utf-8"))
    assert examples
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, page.name, "exec"), names)
    assert capsys.readouterr().out.count("\n") >= 8
    if page == PAGE:
        assert (folder / "drawn.png").exists()
        assert (folder / "tracked/street/overlay.mp4").exists()


def test_no_other_page_has_python() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    found = {page.name for page in pages if "```python" in page.read_text(encoding="utf-8")}
    # test_methods_page.py runs that of methods.md.
    assert found == {"README.md", "own-video.md", "methods.md"}


def test_every_option_is_in_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    command = typer.main.get_command(app).commands["track"]  # type: ignore[attr-defined]
    options = [found for found in command.params if found.opts[0].startswith("--")]
    assert len(options) > 20
    for option in options:
        # A switch that is on is named by what turns it off.
        shown = (option.secondary_opts or option.opts)[0]
        assert f"`{shown}`" in text, shown


def test_the_folders_are_called_as_the_table_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("trip/left/1.png", "trip/frames/1.png", "trip/street.mp4", "trip/other.mp4"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("trip/chosen.txt").write_text("left/1.png\n")
    section = PAGE.read_text(encoding="utf-8").split("## Names of the output folders")[1]
    rows = re.findall(r"^\| .*: `'?(.*?)'?` \| (?:`tracked/(\w+)/`|one folder)", section, re.M)
    assert len(rows) == 8
    for source, name in rows:
        found = [each.name for each in find_sources([source])]
        assert found == ([name] if name else ["other", "street"]), source
    given, names = re.search(r"are given:\n`(.*?)` writes (.*?)\.", section, re.S).groups()
    for name in given.split():
        Path(name).parent.mkdir()
        Path(name).touch()
    found = [f"`tracked/{each.name}/`" for each in find_sources(given.split())]
    assert found == re.findall(r"`.*?`", names)
