"""Heads of predictions that are read many lines at once against one line after another."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.scenes import random_scene
from vatrack.evaluation.io import prediction_file, prediction_heads
from vatrack.evaluation.io.ground_truth import read_images
from vatrack.evaluation.io.offsets import FoundPredictions, find_predictions

JOINT, RECORDS = random_scene(3)
IMAGES = read_images(JOINT, "test")
STYLES: list[dict[str, Any]] = [{"separators": (",", ":")}, {}, {"separators": (" , ", " : ")}]


def _changed(line: bytes, generator: np.random.Generator) -> bytes:
    """A line whose beginning has a change at random."""
    image = json.loads(line)["image_id"]
    rest = line.split(b",", 1)[1]
    heads = [
        b'{"image_id":%d' % value for value in (0, 99, 10**17, 10**18, 2**63 - 1, 2**63, 10**25)
    ]
    heads += [
        b'{"image_id":0%d' % image,
        b'{"image_id":-%d' % image,
        b'{"image_id":%d.0' % image,
        b'{"image_id":"%d"' % image,
        b'{"image_id":',
        b'{"image_id":  %d' % image,
        b' {"image_id": %d' % image,
        b'{"Image_id":%d' % image,
        b'{"score":0.5',
        b"[5",
        b'{"image_id":%d\r' % image,
    ]
    lines = [chosen + b"," + rest for chosen in heads]
    lines += [b"\n", b" \t\n" + line, b"5\n", line[:20] + b"\n", line.replace(b"\n", b"\r\n")]
    lines += [b'{"image_id":%d\n' % image, b'{"image_id":%d}\n' % image, line.rstrip(b"}\n")]
    lines.append(b'{"image_id":%d' % image + b" " * 30 + b"," + rest)
    return lines[int(generator.integers(len(lines)))]


def _found(path: Path) -> Any:
    found = find_predictions(path, path, IMAGES)
    assert isinstance(found, FoundPredictions)
    video, places, *others, wrong = astuple(found)
    return video.tolist(), places.tolist(), others, str(wrong)


@pytest.mark.parametrize("seed", range(60))
def test_heads_are_those_of_lines_read_one_by_one(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(seed)
    style = STYLES[seed % len(STYLES)]
    lines = []
    for record in RECORDS[: 5 + 4 * (seed % 10)]:
        kept = {
            key: value
            for key, value in record.items()
            if key not in ("amodal", "visible") or generator.random() < 0.3
        }
        line = json.dumps(kept, **style).encode() + b"\n"
        lines.append(_changed(line, generator) if generator.random() < 0.02 else line)
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"".join(lines)[: -1 if seed % 4 == 0 else None])
    plain = pytest.MonkeyPatch()
    plain.setattr(prediction_file, "heads_of", lambda *_: None)
    expected = _found(path)
    plain.undo()
    for first, size in ((1, 1), (50, 300), (1 << 16, 1 << 20)):
        monkeypatch.setattr(prediction_heads, "BLOCK", first)
        monkeypatch.setattr(prediction_heads, "LINES", size)
        video, places, others, wrong = _found(path)
        # A line that is not JSON may be found out only when it is parsed, behind its head.
        assert video[: len(expected[0])] == expected[0]
        assert places[: len(expected[1])] == expected[1]
        if "not valid JSON" not in expected[-1]:
            assert (len(video), others, wrong) == (len(expected[0]), *expected[2:])


def test_usual_lines_are_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    expected = _found(path)
    parsed = []

    def parse(line: bytes, label: str, number: int) -> Any:
        parsed.append(number)
        return json.loads(line)

    monkeypatch.setattr(prediction_file, "parse_line", parse)
    monkeypatch.setattr(prediction_heads, "BLOCK", 2000)
    assert _found(path) == expected
    assert 0 < len(parsed) < 0.5 * len(RECORDS)
