"""What is noted of the files of an evaluation."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.shards import given_tracks, ten_videos, write
from vatrack.common.errors import InputError
from vatrack.common.mask_types import MaskType
from vatrack.evaluation.evaluate import evaluate_inputs
from vatrack.evaluation.file_set import FileSet


def test_the_ground_truth_that_is_noted_is_the_one_that_was_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it changes meanwhile: of a packed file, the unpacked copy is read."""
    inputs, out = write(tmp_path, *ten_videos()), tmp_path / "m.json"
    assert evaluate_inputs(inputs, out).settings == {}
    content = gzip.decompress(inputs.ground_truth.read_bytes())
    plain = replace(inputs, ground_truth=tmp_path / "plain.json")
    plain.ground_truth.write_bytes(content)
    measure = FileSet.measure

    def change(self: FileSet, *args: Any, **options: Any) -> Any:
        results = measure(self, *args, **options)
        for path in (inputs.ground_truth, plain.ground_truth):
            path.write_bytes(b"{}")
        return results

    monkeypatch.setattr(FileSet, "measure", change)
    noted = evaluate_inputs(inputs, out, noted=True).settings["ground_truth"]
    digest = hashlib.sha256(content).hexdigest()
    assert noted == {"joint": digest, "video_max_occlusion": inputs.video_max_occlusion}
    out.unlink()
    plain.ground_truth.write_bytes(content)
    with pytest.raises(InputError, match=r"plain\.json: changed while it was being read"):
        evaluate_inputs(plain, out, noted=True)
    assert not out.exists()


def test_the_limit_is_noted_where_tracks_of_a_mask_type_are_derived(tmp_path: Path) -> None:
    joint, predictions = ten_videos()
    inputs, given = write(tmp_path, joint, predictions), given_tracks(tmp_path, joint)
    amodal: dict[MaskType, Path | None] = {"amodal": given["amodal"]}
    for video, limit in ((amodal, {"video_max_occlusion"}), (given, set())):
        own = replace(inputs, video=video)
        noted = evaluate_inputs(own, tmp_path / "m.json", noted=True).settings["ground_truth"]
        assert noted.keys() == {"joint", *video} | limit
