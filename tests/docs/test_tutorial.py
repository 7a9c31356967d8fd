"""docs/tutorial.ipynb: short, without outputs, of public names alone, and it runs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import vatrack
from tests.conftest import TinyData
from vatrack.config import RunConfig
from vatrack.runs.folder import RunFolder

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"


@pytest.fixture
def notebook() -> dict[str, Any]:
    return json.loads(PAGE.read_text(encoding="utf-8"))


def sources(notebook: dict[str, Any], sort: str) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == sort]


def test_it_has_no_outputs(notebook: dict[str, Any]) -> None:
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert 5 < len(cells) < 12
    for cell in cells:
        assert (cell["outputs"], cell["execution_count"], cell["metadata"]) == ([], None, {})


def test_it_uses_public_names_alone(notebook: dict[str, Any]) -> None:
    code = "\n".join(sources(notebook, "code"))
    used = set(re.findall(r"\bvatrack\.(\w+)", code))
    assert used <= set(vatrack.__all__)
    assert {"load", "evaluate", "read_predictions", "export_predictions", "track_videos"} <= used
    assert not re.search(r"(from|import) vatrack\.", code)
    assert ".track(" in code and ".plot(" in code


def test_its_links_lead_somewhere(notebook: dict[str, Any]) -> None:
    links = re.findall(r"\]\(([^)]+)\)", "\n".join(sources(notebook, "markdown")))
    assert links
    assert [link for link in links if not (PAGE.parent / link).is_file()] == []


@pytest.mark.slow
def test_it_runs(
    tiny_run: tuple[RunConfig, Path],
    tiny_data: TinyData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    run, folder = tiny_run
    results = tmp_path / "results"
    results.mkdir()
    (results / "annotations").symlink_to(tiny_data.annotations)
    (results / "clips").symlink_to(tiny_data.images)
    checkpoint = RunFolder(folder).checkpoint(2)
    for name, value in {
        "VATRACK_RESULTS": results,
        "VATRACK_CHECKPOINT": checkpoint,
        "VATRACK_OUT": tmp_path / "out",
        "PYTHONPATH": f"{PAGE.parents[1]}:{os.environ.get('PYTHONPATH', '')}",
        "JUPYTER_RUNTIME_DIR": tmp_path / "jupyter",
        "IPYTHONDIR": tmp_path / "ipython",
    }.items():
        monkeypatch.setenv(name, str(value))
    page = nbformat.read(PAGE, as_version=4)
    nbclient.NotebookClient(
        page, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    outputs = json.dumps([cell.get("outputs") for cell in page.cells])
    assert '"image/png"' in outputs and "video/mp4" in outputs
    assert "video/amodal/AP50" in outputs
    (video,) = (path.parent for path in (tmp_path / "out").glob("*/overlay.mp4"))
    assert (video / "predictions.jsonl").exists()
    assert isinstance(json.loads((tmp_path / "out" / "coco.json").read_text()), list)
    # The notebook's way gives the metrics of `vatrack predict` and `vatrack evaluate`.
    truth = tiny_data.annotations / "valid" / "joint.json"
    vatrack.predict_files(run, checkpoint, truth, tiny_data.images, tmp_path / "p.jsonl")
    found = vatrack.evaluate(truth, tmp_path / "out" / "validation.jsonl")
    assert found == pytest.approx(vatrack.evaluate(truth, tmp_path / "p.jsonl"), nan_ok=True)
    assert any(value for value in found.values())
