"""The clips that the report shows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiments.experiments import config, make_run
from tests.reporting.page.results import scene
from tests.video.test_reader import read
from vatrack.common.errors import InputError
from vatrack.common.files import write_yaml
from vatrack.config import Method
from vatrack.reporting.views import choose, read_views
from vatrack.reporting.views_video import write_views


def test_every_view_has_its_tile(tmp_path: Path) -> None:
    files = scene(tmp_path, 1)
    views = write_views(**files, out=tmp_path / "views", rate=5)
    assert read_views(tmp_path / "views") == views
    assert views.views == (
        "input",
        "truth/amodal",
        "truth/visible",
        "prediction/amodal",
        "prediction/visible",
    )
    (clip,) = views.clips
    assert (clip.frames, clip.of_frames, clip.value, clip.why) == (3, 3, None, ("evenly chosen",))
    frames, known = read(tmp_path / "views" / clip.video)
    width, height = views.tile
    assert (known.width, known.height) == (3 * width, 2 * height)
    image = frames[1].image.astype(float)

    def colour(view: str, x: int, y: int) -> np.ndarray:
        """The mean colour around a place of the original frame."""
        down, right = divmod(views.views.index(view), views.columns)
        column, row = right * width + x * width // 160, down * height + y * height // 120
        return image[row - 5 : row + 6, column - 5 : column + 6].reshape(-1, 3).mean(0)

    seen, hidden = (55, 50), (85, 50)  # parts of the object
    assert np.abs(colour("input", *seen) - 60).max() < 8
    for mask_type in ("amodal", "visible"):
        true, found = (colour(f"{side}/{mask_type}", *seen) for side in ("truth", "prediction"))
        assert np.abs(true - found).max() < 12 and np.abs(true - 60).max() > 30
    # The hidden part is hatched in amodal views, and bare in visible ones.
    hatched = np.abs(colour("truth/amodal", *hidden) - 60).max()
    assert 5 < hatched < np.abs(colour("truth/amodal", *seen) - 60).max()
    assert np.abs(colour("truth/visible", *hidden) - 60).max() < 8


def test_which_predictions_were_drawn_is_noted(tmp_path: Path) -> None:
    files = scene(tmp_path, 1)
    notes = {"predictions": files["predictions"].name, "sha256": "a1"}
    write_yaml(files["predictions"].with_name("inference.yaml"), notes)
    views = write_views(**files, out=tmp_path / "views")
    assert views.predictions == "a1" and read_views(tmp_path / "views") == views


def test_a_method_with_one_mask_has_its_views(tmp_path: Path) -> None:
    files = scene(tmp_path, 1, ("visible",))
    views = write_views(**files, out=tmp_path / "views")
    assert views.views == ("input", "truth/visible", "prediction/visible")
    assert views.metric == "video/visible/AP50"


def test_without_predictions_the_method_of_the_run_tells_the_masks(tmp_path: Path) -> None:
    files = scene(tmp_path, 1, ("visible",))
    run = make_run(tmp_path / "qdtrack__resnet18", config(tmp_path, Method.QDTRACK), lines=0)
    files["predictions"] = run / "predictions.jsonl.gz"
    files["predictions"].write_bytes(gzip.compress(b""))
    with pytest.warns(UserWarning, match="contains no predictions"):
        views = write_views(**files, out=run / "views")
    assert views.views == ("input", "truth/visible", "prediction/visible")
    assert views.metric == "video/visible/AP50"


def write_details(path: Path, per_video: Any) -> Path:
    path.write_text(json.dumps({"per_class": {}, "per_video": per_video}))
    return path


def test_the_worst_and_the_best_clips_are_shown(tmp_path: Path) -> None:
    files = scene(tmp_path, 6)
    names = [video["name"] for video in json.loads(files["ground_truth"].read_text())["videos"]]
    values = [50.0, -1, 10.0, 90.0, 70.0, 30.0]  # -1: undefined
    per_video = {
        name: {"video/amodal": {"AP50": value}} for name, value in zip(names, values, strict=True)
    }
    details = write_details(tmp_path / "details.json", per_video)
    views = write_views(**files, out=tmp_path / "views", details=details, each=1)
    assert [(clip.value, clip.why) for clip in views.clips] == [
        (10.0, ("worst",)),
        (90.0, ("best", "evenly chosen")),
    ]
    assert views.of_clips == 6


def test_the_choice_of_few_and_of_equal_clips() -> None:
    def chosen(values: list[float | None], each: int) -> dict[int, tuple[str, ...]]:
        known = dict(enumerate(values))
        return dict(choose(list(known), known, set(known), each))

    evenly = "evenly chosen"
    assert chosen([5.0, 5.0], 1) == {1: ("best", evenly)}
    assert chosen([7.0, 5.0], 1) == {1: ("worst", evenly), 0: ("best",)}
    assert chosen([None, None], 1) == {1: (evenly,)}


def test_bad_input_is_named(tmp_path: Path) -> None:
    files = scene(tmp_path, 1)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"each": 0}, "--clips 0"),
        ({"rate": 0}, "--fps 0"),
        ({"rate": 0.0004}, "--fps 0.0004: not a frame rate; must be from 0.001 to 240"),
        ({"score": 50}, "the score threshold is 50; it must be from 0 to 1"),
    ]
    for given, match in cases:
        with pytest.raises(InputError, match=match):
            write_views(**files, out=tmp_path / "views", **given)
    write_views(**files, out=tmp_path / "lost")
    listed = tmp_path / "lost" / "views.json"
    (tmp_path / "lost" / "01.mp4").unlink()
    with pytest.raises(InputError, match=r"01\.mp4: no such file"):
        read_views(tmp_path / "lost")
    listed.write_text(listed.read_text().replace('"image": ', '"picture": '))  # an older version
    with pytest.raises(InputError, match="delete it and run `vatrack views` again"):
        read_views(tmp_path / "lost")
    (tmp_path / "details.json").write_text("{}")
    with pytest.raises(InputError, match="per_video"):
        write_views(**files, out=tmp_path / "views", details=tmp_path / "details.json")
    assert not (tmp_path / "views").exists()


@pytest.mark.parametrize(
    ("per_video", "match"),
    [
        ({"clip": 3}, "'per_video/clip' must be an object"),
        ({"clip": {"video/amodal": [3]}}, "'per_video/clip/video/amodal' must be an object"),
        ({"clip": {"video/amodal": {"AP50": "x"}}}, "video/amodal/AP50' is 'x', not a number"),
    ],
)
def test_damaged_details_are_named(tmp_path: Path, per_video: Any, match: str) -> None:
    details = write_details(tmp_path / "details.json", per_video)
    with pytest.raises(InputError, match=match):
        write_views(**scene(tmp_path, 1), out=tmp_path / "views", details=details)


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    files = scene(tmp_path, 1)
    out = tmp_path / "run"
    for _ in range(2):  # what it drew itself is replaced
        write_views(**files, out=out)
    (out / "best.pt").write_bytes(b"weights")
    with pytest.raises(InputError, match=r"run: contains best\.pt, which would be lost; choose"):
        write_views(**files, out=out)
    assert (out / "best.pt").read_bytes() == b"weights"
    assert read_views(out).clips
