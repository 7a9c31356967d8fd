"""What callers in Python give: a single name is one name, a wrong type is refused at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import yaml

import vatrack
from tests.video.videos import write_video
from vatrack.api.frames import exact_rate
from vatrack.api.predictor import Predictor
from vatrack.common.errors import InputError

V: Any = vatrack  # the types that a checker would refuse are what is tested
IMAGE = np.zeros((48, 64, 3), np.uint8)


def test_a_string_is_one_name_and_not_its_letters(squares: Predictor, tmp_path: Path) -> None:
    name, other = squares.classes[1], squares.classes[2]
    assert V.TrackSettings(classes=name) == V.TrackSettings(classes=[name])
    assert V.TrackSettings(classes=name).classes == (name,)
    assert V.DrawSettings(parts="outline") == V.DrawSettings(parts=["outline"])
    assert V.DrawSettings(parts="outline").parts == ("outline",)
    assert squares.class_ids(name) == squares.class_ids([name]) == {1}
    source = write_video(tmp_path / "v.mp4", 2)
    settings = V.TrackSettings(score=0.0, classes=other, draw=V.DrawSettings(parts="box"))
    (tracked,) = vatrack.track_videos(squares, source, tmp_path / "out", settings)
    assert dict(tracked.tracks) == {other: 1}
    written = yaml.safe_load((tmp_path / "out/v/run.yaml").read_text())["settings"]
    assert (written["classes"], written["draw"]["parts"]) == ([other], ["box"])
    config = vatrack.load_config(None, "training.epochs=6")
    assert config == vatrack.load_config(None, ["training.epochs=6"])
    assert config.training.epochs == 6


def test_one_class_id_is_taken_as_well_as_several(squares: Predictor) -> None:
    (result,) = squares.track([IMAGE], score=0.0)
    one: Any = 2
    assert result.select(class_ids=one).class_ids.tolist() == [2]
    assert result.select(class_ids=np.array([2])).class_ids.tolist() == [2]
    assert result.select(class_ids=np.array(2)).class_ids.tolist() == [2]
    assert len(result.select(class_ids=())) == 0


def test_numbers_of_any_kind_are_kept_as_plain_ones(squares: Predictor, tmp_path: Path) -> None:
    settings = V.TrackSettings(
        score=np.float64(0.5),
        classes=np.array(list(squares.classes.values())),
        selection=V.Selection(np.float64(0.04), np.float32(0.5), np.int64(2)),
        rate=Fraction(30_000, 1001),
        draw=V.DrawSettings(np.array(["box"]), np.int32(3)),
        masks=np.bool_(True),
    )
    for number in range(6):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), IMAGE)
    (tracked,) = vatrack.track_videos(squares, tmp_path, tmp_path / "out", settings)
    written = yaml.safe_load((tracked.folder / "run.yaml").read_text())["settings"]
    assert written["selection"] == {"start_s": 0.04, "stop_s": 0.5, "step": 2}
    assert written["draw"] == {"parts": ["box"], "line_width": 3}
    assert (written["score"], written["masks"]) == (0.5, True)
    assert written["rate"] == pytest.approx(29.97, abs=0.001)
    assert (tracked.frames, len(list((tracked.folder / "masks").iterdir()))) == (2, 4)


@pytest.mark.parametrize("kind", [float, np.float32, np.float64, Fraction])
def test_scores_of_any_kind_mean_the_same(squares: Predictor, kind: Any) -> None:
    """Of a score that was rounded to single precision, 0.9, downwards."""
    (result,) = squares.track([IMAGE], score=kind(0.9))
    assert len(result) == len(result.select(kind(0.9))) == 1
    lower = squares.with_score(kind(0.001))
    assert lower.run.inference.tracker.init_score == pytest.approx(0.001)
    assert type(lower.run).model_validate(lower.run.model_dump(mode="json")) == lower.run


def test_outputs_may_begin_in_the_home_folder(
    squares: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    source = write_video(tmp_path / "v.mp4", 2)
    (tracked,) = vatrack.track_videos(squares, source, "~/out")
    assert tracked.folder == tmp_path / "out/v"


def test_numpy_numbers_are_frame_rates(squares: Any) -> None:
    for kind in (np.float16, np.float32, np.float64, np.int64):
        assert V.TrackSettings(rate=kind(25)).rate == 25
        _, second = squares.track([IMAGE, IMAGE], rate=kind(25))
        assert second.time_s == 0.04
        exact: Any = exact_rate(cast("float", kind(25)))
        assert exact == 25 and type(exact.numerator) is int


def test_a_member_of_an_enum_counts_as_its_value() -> None:
    class Name(str, Enum):  # noqa: UP042
        """Its members' str() is Name.CAR, unlike that of a StrEnum."""

        CAR = "car"

    settings = V.TrackSettings(classes=(Name.CAR,))
    assert [(type(name), name) for name in settings.classes or ()] == [(str, "car")]


def test_what_cannot_be_written_is_told_before_the_work(
    squares: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "follow", None)
    source = write_video(tmp_path / "v.mp4", 2)
    with pytest.raises(yaml.YAMLError, match="cannot represent"):
        next(vatrack.track_videos(squares, source, tmp_path / "out", about={"by": object()}))


# By the words of the message: a call with a predictor, a result, and the path of no file.
WRONG: dict[str, Callable[[Any, Any, str], Any]] = {
    "ground_truth: is 5 (int); it must be a string or a path": lambda p, r, f: V.evaluate(5, f),
    "predictions: is [{'a': 1}] (list); it must": lambda p, r, f: V.evaluate(f, [{"a": 1}]),
    "processes: is '2' (str); it must be": lambda p, r, f: V.evaluate(f, f, processes="2"),
    "settings: is {} (dict); it must be": lambda p, r, f: V.evaluate(f, f, settings={}),
    "path: is [] (list)": lambda p, r, f: next(V.read_predictions([])),
    "checkpoint: is None (NoneType)": lambda p, r, f: V.load(None),
    "checkpoint: is 1 (int)": lambda p, r, f: V.predict_files(p.run, 1, f, f, "p.jsonl"),
    "predictions: is [1] (list)": lambda p, r, f: V.export_predictions([1], f, "coco", "o.json"),
    "source: is [1] (list)": lambda p, r, f: V.import_predictions([1], f, "coco", "o.jsonl"),
    "unknown mask type 'modal'; did you mean amodal": lambda p, r, f: V.export_predictions(
        f, f, "coco", "o.json", "modal"
    ),
    "unknown mask type None; choose from amodal": lambda p, r, f: V.import_predictions(
        f, f, "coco", "o.jsonl", None
    ),
    "annotations: is 1 (int)": lambda p, r, f: V.train(p.run, 1, f, "run"),
    "the config: is 1 (int)": lambda p, r, f: V.load_config(1),
    "the config: is [] (list)": lambda p, r, f: V.load_run_config([]),
    "overrides: is {1} (set)": lambda p, r, f: V.load_config(None, {1}),
    "the score threshold: is '0.3' (str)": lambda p, r, f: p.track([IMAGE], score="0.3"),
    "the score threshold: is True (bool)": lambda p, r, f: V.TrackSettings(score=True),
    "the frame rate: is '25' (str)": lambda p, r, f: p.track([IMAGE], rate="25"),
    "the video: is 5.5 (float); it must be a string, a path, a whole number or a list": (
        lambda p, r, f: p.track(5.5)
    ),
    "the video: is True (bool)": lambda p, r, f: p.track(True),
    "camera 97: no /dev/video97": lambda p, r, f: p.track(97),
    "the largest side: is '8' (str); it must be a whole number": lambda p, r, f: V.load(
        f, largest_side="8"
    ),
    "selection: is (0, 1) (tuple)": lambda p, r, f: p.track([IMAGE], selection=(0, 1)),
    "classes: is 3 (int); it must be a string, or a list": lambda p, r, f: p.track(
        [IMAGE], classes=3
    ),
    "classes: is ['a', 3] (list)": lambda p, r, f: V.TrackSettings(classes=["a", 3]),
    "draw: is 'box' (str); it must be a DrawSettings": lambda p, r, f: V.TrackSettings(draw="box"),
    "parts: is 1 (int)": lambda p, r, f: V.DrawSettings(parts=1),
    "the line width: is '3' (str)": lambda p, r, f: V.DrawSettings(line_width="3"),
    "the start time: is '1' (str)": lambda p, r, f: V.Selection("1"),
    "the end time: is '1' (str)": lambda p, r, f: V.Selection(0.0, "1"),
    "the frame step: is 1.5 (float)": lambda p, r, f: V.Selection(step=1.5),
    "sources: is 5.5 (float)": lambda p, r, f: next(V.track_videos(p, 5.5, "out")),
    "camera 98: no /dev/video98": lambda p, r, f: next(V.track_videos(p, [98], "out")),
    "out: is 5 (int)": lambda p, r, f: next(V.track_videos(p, f, 5)),
    "settings: is {'a': 1} (dict)": lambda p, r, f: next(V.track_videos(p, f, "o", {"a": 1})),
    "the score threshold: is 'a' (str)": lambda p, r, f: r.select(score="a"),
    "predictor: is 'best.pt' (str); it must be a Predictor": lambda p, r, f: next(
        V.track_videos("best.pt", f, "out")
    ),
    "about: is [1] (list)": lambda p, r, f: next(V.track_videos(p, f, "out", about=[1])),
    "overwrite: is 'no' (str); it must be True or False": lambda p, r, f: V.TrackSettings(
        overwrite="no"
    ),
    "sound: is 1 (int)": lambda p, r, f: V.TrackSettings(sound=1),
    "half: is 'yes' (str)": lambda p, r, f: V.load(f, half="yes"),
    "unknown cuts 5; choose from detect, none": lambda p, r, f: V.TrackSettings(cuts=5),
    "unknown encoder None": lambda p, r, f: V.TrackSettings(encoder=None),
    "unknown mask type ['amodal']": lambda p, r, f: r.masks(["amodal"]),
    "unknown method 5": lambda p, r, f: V.load(f, method=5),
    "run: is None (NoneType); it must be a RunConfig": lambda p, r, f: V.train(None, f, f, "run"),
    "run: is Config(": lambda p, r, f: V.predict_files(V.Config(), f, f, f, "p.jsonl"),
    "processes: is '2' (str)": lambda p, r, f: V.predict_files(
        p.run, f, f, f, "p.jsonl", processes="2"
    ),
    "class_ids: is True (bool)": lambda p, r, f: r.select(class_ids=True),
    "class_ids: is 'car' (str)": lambda p, r, f: r.select(class_ids="car"),
    "the frame: is list; it must be uint8 [H, W, 3]": lambda p, r, f: r.plot([]),
    "the frame: is uint8 [48, 64]; it must": lambda p, r, f: r.plot(IMAGE[..., 0]),
    "the frame: is float64 [48, 64, 3]; it must": lambda p, r, f: r.plot(IMAGE / 255),
    "the frame is 64 x 20 pixels, its result is of one with 64 x 48": lambda p, r, f: r.plot(
        IMAGE[:20]
    ),
    "settings: is 'box' (str)": lambda p, r, f: r.plot(IMAGE, "box"),
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_types_are_refused_where_they_are_given(
    words: str, squares: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.mp4").touch()
    (result,) = squares.track([IMAGE], score=0.0)
    with pytest.raises(InputError, match=re.escape(words)) as error:
        WRONG[words](squares, result, "there.mp4")
    assert "; " in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["there.mp4"]
