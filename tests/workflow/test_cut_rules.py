"""The rules about cuts, run on a tiny rendered set: fetching the dictionary, the sheets, and what a
new clip tree repeats."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError

from tests.workflow.snake import Workflow
from vatrack.common.files import write_json
from vatrack.common.images import read_image
from vatrack.common.value_files import read_json
from vatrack.sailvos.layout import list_videos

pytestmark = pytest.mark.usefixtures("served")


@pytest.fixture
def mirror(tiny: Workflow) -> dict[str, Any]:
    """A dictionary of cuts on disk, in the published form, and the config that fetches it; the raw
    set is rendered."""
    tiny.run("results/tiny/raw")
    clips = {
        f"{video}__6": [f"{number:06d}.bmp" for number in range(3, 10)]
        for video in list_videos(tiny.results / "raw")
    }
    path = tiny.folder / "mirror" / "cuts.json"
    write_json(
        path,
        {
            **clips,
            "mini_train_000__3": [],
            "mini_train_000": ["000002.bmp", "000000.bmp", "000001.bmp"],
        },
    )
    content = path.read_bytes()
    download = {
        "url": path.as_uri(),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return {
        "structure": str(tiny.folder / "data" / "cuts.json"),
        "fetch": True,
        "download": download,
    }


def test_the_dictionary_is_fetched_where_the_config_asks_for_it(
    tiny: Workflow, mirror: dict[str, Any]
) -> None:
    asked, unasked = (
        tiny.changed(dataset={"clips": {**mirror, "fetch": fetch}}) for fetch in (True, False)
    )
    with pytest.raises(SystemExit, match=r"data/cuts\.json: no such file"):
        unasked.plan()
    assert asked.plan()["fetch_cuts"] == 1
    assert asked.run("results/tiny/cuts/structure.json")["fetch_cuts"] == 1
    structure = read_json(tiny.results / "cuts/structure.json")
    assert sorted(structure) == ["mini_train_000__6", "mini_train_001__6", "mini_valid_000__6"]
    assert "fetch_cuts" not in asked.plan()
    assert "fetch_cuts" not in unasked.plan()
    # A user's own file is never removed to be fetched anew.
    asked.changed(
        dataset={"clips": {"download": {**mirror["download"], "sha256": "0" * 64}}}
    ).plan()
    assert Path(mirror["structure"]).is_file()


def test_another_file_is_not_taken(
    tiny: Workflow, mirror: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    mirror["download"]["sha256"] = "0" * 64
    with pytest.raises(WorkflowError):
        tiny.changed(dataset={"clips": mirror}).run("results/tiny/cuts/structure.json")
    assert "vatrack: error: file://" in capfd.readouterr().err
    assert not Path(mirror["structure"]).exists()


@pytest.mark.parametrize("clips", [{"fetch": True}, {"fetch": True, "structure": "cuts.json"}])
def test_fetching_needs_an_address_and_a_place(tiny: Workflow, clips: dict[str, Any]) -> None:
    with pytest.raises(
        SystemExit, match=r"clips\.fetch needs a path in clips\.structure and an address"
    ):
        tiny.changed(dataset={"clips": clips}).plan()


def test_every_video_gets_a_sheet(tiny: Workflow) -> None:
    """In one job where the set is rendered, in a job for each video of a raw set on disk."""
    names = [
        f"cuts/{kind}"
        for video in ("mini_train_000", "mini_valid_000")
        for kind in (f"scores/{video}.json", f"sheets/{video}.jpg")
    ]
    tiny = tiny.changed(dataset={"synthetic": {"train_videos": 1}})
    on_disk = tiny.changed(dataset={"name": "disk", "raw": str(tiny.results / "raw")})
    for workflow, jobs in ((tiny, 1), (on_disk, 2)):
        files = [str(workflow.results.relative_to(tiny.folder) / name) for name in names]
        done = workflow.run(*files)
        assert (done["cut_scores"], done["cut_sheet"]) == (jobs, jobs)
        assert all((tiny.folder / file).stat().st_size > 5000 for file in files[1::2])
        # Another threshold measures nothing again, but draws its line.
        again = workflow.changed(dataset={"clips": {"threshold": 5.0}}).plan(*files)
        assert again == {"cut_structure": 1, "cut_sheet": jobs}
        whole = workflow.changed(dataset={"clips": {"structure": "whole"}})
        assert "cut_sheet" not in whole.plan()
    for name in names:
        assert (tiny.results / name).read_bytes() == (on_disk.results / name).read_bytes()
    # A lost sheet is drawn again, and of a set on disk no other one.
    lost = on_disk.results / names[1]
    lost.unlink()
    assert on_disk.plan(f"results/disk/{names[1]}") == {"cut_sheet": 1}


def test_a_new_clip_tree_trains_nothing_again(tiny: Workflow) -> None:
    """The images in it are the same; only the annotations say what is trained."""
    forms = [f"results/tiny/annotations/{subset}/joint.json" for subset in ("train", "valid")]
    tiny.run(*forms, "results/tiny/clips")
    run = "results/tiny/runs/vatrack__resnet18"
    # As after a training and a prediction; their content does not matter to the plan.
    made: tuple[str, ...] = ("training.json", "best.json", "best.pt", "predictions.jsonl.gz")
    made = (*made, "overlay.png", "overlay.mp4")
    for name in made:
        path = tiny.folder / run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    targets = [f"{run}/{name}" for name in made]
    assert tiny.plan(*targets) == {}
    assert tiny.plan(*targets, force=("clips",)) == {"clips": 1}
    assert tiny.run("results/tiny/clips", force=("clips",)) == {"clips": 1}
    assert tiny.plan(*targets) == {}
    first, *_ = (tiny.results / "clips").glob("mini_valid_000__*/images/*.bmp")
    assert read_image(first).shape == (80, 128, 3)
