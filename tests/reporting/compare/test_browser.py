"""The comparison in a browser: nothing overflows, tables sort, nothing is loaded from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import SCREENS, check_layout, opened
from tests.reporting.compare.test_compare import CLIPS, WORSE, run
from tests.reporting.test_overlay import write_set
from vatrack.reporting.compare import compare_runs
from vatrack.reporting.compare.clip_images import ClipImages

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    files = write_set(folder / "set")
    clips = {f"s_a_rather_long_name_of_a_video__{n}": 10.0 * n for n in range(6)}
    names = ("vatrack__resnet18", "vatrack__resnet18__e6", f"vatrack__resnet18__{60 * 'x'}")
    runs = [
        run(folder / "mini" / "runs" / name, own | clips, average=60.0 - number)
        for number, (name, own) in enumerate(zip(names, (CLIPS, WORSE, WORSE), strict=True))
    ]
    for own in runs:
        (own / "predictions.jsonl.gz").write_bytes(files["predictions"].read_bytes())
    compare_runs(
        runs,
        folder / "out",
        clip_images=ClipImages(
            frames=2, ground_truth=files["ground_truth"], images=files["images"]
        ),
    )
    return folder / "out" / "compare.html"


@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_it_is_seen_and_sorts(browser: Any, comparison: Path, screen: tuple[int, str]) -> None:
    with opened(browser, comparison, *screen) as page:
        images = page.locator(".frame img")
        assert images.count() >= 2 * 4
        assert all(box["width"] > 100 for box in (own.bounding_box() for own in images.all()))
        check_layout(page)
        rows = page.locator("#clips .scroll").first.locator("tbody tr")
        assert rows.first.locator("td").first.inner_text() == "clip_3"  # the largest drop
        page.locator("#clips th button").first.click()
        names = rows.evaluate_all("rows => rows.map(row => row.cells[0].textContent)")
        assert names == sorted(names) and len(names) > 6
        assert page.problems == []
