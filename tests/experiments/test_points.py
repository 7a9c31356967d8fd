import json
from pathlib import Path

from vatrack.experiments.points import batches, metric_name, read_points


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_lines_become_points(tmp_path: Path) -> None:
    path = write(
        tmp_path / "metrics.jsonl",
        {
            "step": 10,
            "epoch": 1,
            "lr": 0.1,
            "loss": float("nan"),
            "note": "no number",
            "flag": True,
            "seconds_per_iteration": 0.5,
        },
        {
            "step": 10,
            "epoch": 1,
            "validation": {
                "video/amodal/AP": 12.5,
                "track/IDF1 (all)": 3,
                "video/amodal/AP50_S": None,
            },
        },
        {"step": 14, "epoch": 2, "lr": 0.1, "seconds_per_iteration": 0.25, "time": 1700000000.5},
    )
    training, validation, later = read_points(path, started=1000)
    assert training.values == {"epoch": 1.0, "lr": 0.1, "seconds_per_iteration": 0.5}
    assert (training.kind, training.step, training.milliseconds) == ("training", 10, 6000)
    assert validation.values == {
        "validated_epoch": 1.0,
        "validation/video/amodal/AP": 12.5,
        "validation/track/IDF1 _all_": 3.0,
    }
    assert (validation.kind, validation.step, validation.milliseconds) == ("validation", 10, 6000)
    assert (later.step, later.milliseconds) == (14, 1700000000500)
    assert "time" not in later.values


def test_what_is_not_a_whole_line_is_no_point(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_points(path, 0) == []
    whole = '{"step": 1, "epoch": 1, "lr": 1}\n'
    path.write_text(
        whole + '{"step": 2, "epo{"step": 3, "epoch": 1, "lr": 1}\n[1]\n'
        '{"step": 4}\n\n{"step": 5, "epoch": 1, "lr"'
    )
    assert [point.step for point in read_points(path, 0)] == [1]
    path.write_text(whole + '{"step": 5, "epoch": 1, "lr": 1}\n')
    assert [point.step for point in read_points(path, 0)] == [1, 5]


def test_the_later_line_of_a_step_counts(tmp_path: Path) -> None:
    lines = [
        {"step": step, "epoch": 1, "loss": value}
        for step, value in [(1, 1.0), (2, 2.0), (1, 1.5), (2, 2.5), (3, 3.5)]
    ]
    points = read_points(write(tmp_path / "metrics.jsonl", *lines), 0)
    assert [(point.step, point.values["loss"]) for point in points] == [
        (1, 1.5),
        (2, 2.5),
        (3, 3.5),
    ]


def test_a_point_stays_in_one_batch(tmp_path: Path) -> None:
    lines = [{"step": step, "epoch": 1} | {f"m{n}": n for n in range(step)} for step in range(1, 8)]
    points = read_points(write(tmp_path / "metrics.jsonl", *lines), 0)  # of 2, 3, ... 8 values
    groups = list(batches(points, 6))
    assert [[point.step for point in group] for group in groups] == [
        [1, 2],
        [3],
        [4],
        [5],
        [6],
        [7],
    ]


def test_names() -> None:
    assert metric_name("image/amodal/AP50_P") == "image/amodal/AP50_P"
    assert metric_name("AP@[0.5:0.95] ü+") == "AP__0.5:0.95_ __"
    assert len(metric_name("x" * 300)) == 250
