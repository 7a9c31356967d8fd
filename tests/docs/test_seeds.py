"""The script that prints the README's table of results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs/_site/seeds.py"


def ran(*folders: Path) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, SCRIPT, *folders], capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "metrics.json: no such file"),
        ("[]", "metrics.json: not a JSON object of metrics; give folders"),
        ("{}", "metrics.json: has no value of image/amodal/AP50; give folders"),
    ],
)
def test_a_wrong_folder_is_one_message(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    code, _, errors = ran(tmp_path)
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.startswith(f"error: {tmp_path}/{message}")


def test_no_folder_is_one_message() -> None:
    assert ran()[0] == 2
    assert ran()[2].startswith("error: RUN_FOLDER... is missing; give folders of runs")


def test_median_and_range(tmp_path: Path) -> None:
    names = ("image/{}/AP50", "video/{}/AP", "video/{}/AP50", "track/{}/HOTA", "track/{}/IDF1")
    for number in (1, 2, 4):
        (tmp_path / str(number)).mkdir()
        values = {name.format(masks): number for name in names for masks in ("amodal", "visible")}
        values |= {"image/hidden/IoU": number, "image/hidden/Recall": 10 * number}
        (tmp_path / str(number) / "metrics.json").write_text(json.dumps(values))
    code, shown, _ = ran(*(tmp_path / str(number) for number in (1, 2, 4)))
    assert code == 0
    assert f"| amodal | {' | '.join(['2.0 (1.0–4.0)'] * 5)} |" in shown
    assert "Hidden parts: IoU 2.0 (1.0–4.0), recall 20.0 (10.0–40.0)." in shown
    worst = values | {"image/hidden/IoU": None, "image/hidden/Recall": 0}
    (tmp_path / "1" / "metrics.json").write_text(json.dumps(worst))
    _, shown, _ = ran(*(tmp_path / str(number) for number in (1, 2, 4)))
    assert "Hidden parts: IoU –, recall 20.0 (0.0–40.0)." in shown
