"""The data stages on a real raw tree: from archives to annotations, and a stop where the data is
bad."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from snakemake.exceptions import WorkflowError

from tests.workflow.conftest import TINY
from tests.workflow.snake import Workflow
from vatrack.common.value_files import read_json
from vatrack.config.dataset import SyntheticConfig
from vatrack.synthetic.render import render

pytestmark = pytest.mark.usefixtures("served")

TARGETS = ["annotations"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("rendered") / "raw"
    render(raw, SyntheticConfig(**{**TINY["dataset"]["synthetic"], "train_videos": 1}), seed=3)
    return raw


def with_data(folder: Path, **dataset: object) -> Workflow:
    return Workflow(folder / "work", {**TINY, "dataset": {"name": "sailvos", **dataset}})


def split_tar(raw: Path, folder: Path) -> list[Path]:
    """The raw tree in a tar of three parts, below a folder of its own."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(raw, "sailvos_download")
    data = packed.getvalue()
    third = len(data) // 3 + 1
    parts = [folder / f"sailvos.tar.{number:02d}" for number in range(3)]
    for number, part in enumerate(parts):
        part.write_bytes(data[number * third : (number + 1) * third])
    return parts


def test_from_archives_to_annotations(rendered: Path, tmp_path: Path) -> None:
    archives = [
        {"path": str(part), "size": part.stat().st_size} for part in split_tar(rendered, tmp_path)
    ]
    workflow = with_data(tmp_path, raw=str(tmp_path / "raw"), archives=archives, archive_strip=1)
    workflow.run(*TARGETS)
    record = read_json(workflow.results / "unpacked.json")
    assert sorted(path.name for path in (workflow.results / "cuts/scores").iterdir()) == [
        "mini_train_000.json",
        "mini_valid_000.json",
    ]
    assert [archive["name"] for archive in record["archives"]] == ["sailvos.tar"]
    assert (tmp_path / "raw/mini_train_000/images/000000.bmp").read_bytes() == (
        rendered / "mini_train_000/images/000000.bmp"
    ).read_bytes()
    assert len(read_json(workflow.results / "annotations/train/joint.json")["images"]) == 7
    assert (workflow.results / "annotations/train/joint.json.store").is_file()
    assert not workflow.run(*TARGETS)
    # Archives that were deleted to save space are not asked for again.
    for archive in archives:
        Path(str(archive["path"])).unlink()
    assert not workflow.plan(*TARGETS)
    # Writing checksums down later is no reason to unpack again; a corrected annotation file is one
    # to convert again.
    noted = workflow.changed(
        dataset={"archives": [{**archive, "sha256": "0" * 64} for archive in archives]}
    )
    assert not noted.plan(*TARGETS)
    (tmp_path / "raw/train.json").write_bytes((rendered / "train.json").read_bytes() + b"\n")
    again = noted.plan(*TARGETS)
    assert again["convert"] >= 1, again
    assert "unpack" not in again


def test_bad_data_stops_the_workflow_before_any_work(rendered: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(rendered, raw)
    frame = raw / "mini_valid_000/images/000005.bmp"
    frame.write_bytes(frame.read_bytes()[:1000])
    workflow = with_data(tmp_path, raw=str(raw))
    with pytest.raises(WorkflowError):
        workflow.run(*TARGETS)
    assert sorted(path.name for path in workflow.results.iterdir()) == [
        ".config.lock",
        "benchmarks",
        "config.yaml",
        "logs",
        "validation.json",
    ]
    assert "000005.bmp" in (workflow.results / "logs/validate.log").read_text()
    report = json.loads((workflow.results / "validation.json").read_text())
    assert "000005.bmp" in json.dumps(report)
    shutil.copyfile(rendered / "mini_valid_000/images/000005.bmp", frame)
    assert workflow.run("results/sailvos/index.json") == {"validate": 1, "index": 1}
