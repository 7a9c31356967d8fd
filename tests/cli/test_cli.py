"""The command itself: what it accepts, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.sailvos.official import write_raw
from vatrack import cli
from vatrack.common.files import write_yaml
from vatrack.common.parallel import killed
from vatrack.config import Config, json_schema, load_config
from vatrack.config.reference import config_reference
from vatrack.sailvos.index import build_index


def test_a_path_behind_an_equals_sign_may_begin_in_the_home_folder(
    vatrack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shells leave `--out=~/x` as it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert vatrack("config", "--set=seed=3", "--out=~/all.yaml")[0] == 0
    assert vatrack("config", "--config=~/all.yaml", "--out=b.yaml")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.yaml", "b.yaml"]


def test_config_writes_all_keys(vatrack, tmp_path: Path) -> None:
    source, out = tmp_path / "mine.yaml", tmp_path / "out.yaml"
    source.write_text("training: {epochs: 3}\n")
    code, shown, _ = vatrack("config", "--config", source, "--out", out)
    assert (code, shown) == (0, f"wrote {out}\n")
    assert load_config(out).training.epochs == 3
    assert yaml.safe_load(out.read_text()).keys() == Config().model_dump().keys()
    code, _, _ = vatrack("config", "--json", '{"seed": 5}', "--out", out)
    assert (code, load_config(out).seed) == (0, 5)


def test_config_as_json_is_overridden_as_a_file_is(vatrack, tmp_path: Path) -> None:
    out = tmp_path / "out.yaml"
    code, _, _ = vatrack("config", "--json", "null", "--set", "seed=5", "--out", out)
    assert (code, load_config(out).seed) == (0, 5)
    old = '{"training": {"image_scale": [640, 400]}}'
    scale = ("--set", "input.image_scale=[320,200]")
    with pytest.warns(UserWarning, match="^--json: keys were renamed"):
        assert vatrack("config", "--json", old, *scale, "--out", out)[0] == 0
    assert load_config(out).input.image_scale == (320, 200)
    code, _, errors = vatrack("config", "--json", "{}", "--set", "sed=5", "--out", out)
    assert code == 2 and errors.startswith("vatrack: error: --json with --set sed=5: invalid conf")


def test_config_writes_schema_and_reference(vatrack, tmp_path: Path) -> None:
    assert vatrack("config", "--schema", "--out", tmp_path / "schema.json")[0] == 0
    assert json.loads((tmp_path / "schema.json").read_text()) == json_schema()
    assert vatrack("config", "--reference", "--out", tmp_path / "config.md")[0] == 0
    assert (tmp_path / "config.md").read_text() == config_reference()


def test_bad_input_is_one_message_and_code_2(vatrack, tmp_path: Path) -> None:
    source, out = tmp_path / "mine.yaml", tmp_path / "out.yaml"
    source.write_text("training: {epoch: 3}\n")
    code, shown, errors = vatrack("config", "--config", source, "--out", out)
    assert (code, shown) == (2, "")
    assert errors.startswith(
        f"vatrack: error: {source}: invalid configuration:\n  training.epoch: unknown key"
    )
    assert not out.exists()
    code, _, errors = vatrack("config", "--json", "{", "--out", out)
    assert code == 2
    assert "--json: not valid JSON" in errors
    code, _, errors = vatrack("config", "--set", "seed=x", "--out", out)
    assert code == 2 and "--json" not in errors
    assert "the configuration with --set seed=x: invalid configuration" in errors
    code, _, errors = vatrack("config", "--config", source, "--json", "{}", "--out", out)
    assert code == 2 and "--config: has no effect with --json; give one" in errors


def test_synth_index_cuts_clips_convert(vatrack, tmp_path: Path) -> None:
    """The data stages by hand, as docs/workflow.md lists them."""

    def run(words: str) -> str:
        """What a command shows that succeeds; FILE stands for a file of this test."""
        code, shown, errors = vatrack(*re.sub(r"\b[A-Z]+", place, words).split())
        assert (code, errors) == (0, ""), words
        return shown

    def place(name: re.Match[str]) -> str:
        return str(tmp_path / name[0].lower())

    synthetic = {"train_videos": 1, "valid_videos": 1, "frames": 16, "shots": 1}
    synthetic |= {"width": 64, "height": 40, "objects": 2}
    write_yaml(tmp_path / "config", {"dataset": {"synthetic": synthetic}})
    run("synth --config CONFIG --out RAW")
    run("index --raw RAW --train RAW/train.json --valid RAW/valid.json --out INDEX.json")
    for video in ("mini_train_000", "mini_valid_000"):
        run(f"cuts score --raw RAW --index INDEX.json --video {video} --out SCORES/{video}.json")
    shown = run("cuts score --raw RAW --index INDEX.json --out ALL")
    videos = [line.split(":")[0] for line in shown.splitlines()]
    assert videos == ["mini_train_000", "mini_valid_000"]
    for path in (tmp_path / "scores").iterdir():
        assert (tmp_path / "all" / path.name).read_bytes() == path.read_bytes()
    run("cuts structure --config CONFIG --index INDEX.json --scores SCORES --out CLIPS.json")
    cuts = "cuts sheet --raw RAW --index INDEX.json --structure CLIPS.json --scores SCORES"
    run(f"{cuts} --video mini_train_000 --video mini_valid_000 --out SHEETS")
    assert len(list((tmp_path / "sheets").glob("mini_*_000.jpg"))) == 2
    run("clips --config CONFIG --raw RAW --structure CLIPS.json --out CLIPS")
    clips = sorted(path.name for path in (tmp_path / "clips").glob("[!.]*"))
    assert clips == sorted(json.loads((tmp_path / "clips.json").read_text()))
    converting = "convert --config CONFIG --official RAW/valid.json --structure CLIPS.json"
    assert "7 frames" in run(f"{converting} --out ANNOTATIONS")
    assert len(list((tmp_path / "annotations").glob("*.json"))) == 6
    assert len(list((tmp_path / "annotations").glob("*.json.store"))) == 4


def test_scores_of_an_unknown_video_are_refused(vatrack, tmp_path: Path) -> None:
    paths = write_raw(tmp_path / "raw", {"train": {"a": 2}, "valid": {"b": 2}})
    build_index(tmp_path / "raw", paths, tmp_path / "index.json")
    given = ("--raw", tmp_path / "raw", "--index", tmp_path / "index.json", "--video", "none")
    code, _, errors = vatrack("cuts", "score", *given, "--out", tmp_path / "x.json")
    assert code == 2
    assert errors.startswith("vatrack: error: none: ")


def test_synth_options_win_over_the_config(vatrack, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    size = "--width 64 --height 40 --frames 16 --train-videos 2 --valid-videos 1 --objects 1"
    assert vatrack("synth", *size.split(), "--seed", 3, "--out", raw)[0] == 0
    assert len(json.loads((raw / "train.json").read_text())["videos"]) == 2
    assert len(list((raw / "mini_train_001" / "images").iterdir())) == 16
    code, _, errors = vatrack("synth", "--frames", 3, "--out", tmp_path / "other")
    assert code == 2
    assert "frames" in errors


def test_a_failing_disk_is_one_line_and_code_1(
    vatrack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli, "write_yaml", full)
    code, _, errors = vatrack("config", "--out", tmp_path / "config.yaml")
    told = "vatrack: error: [Errno 28] No space left on device; free disk space, or choose another "
    assert (code, errors) == (1, f"{told}place for the output\n")


def test_a_path_that_cannot_be_written_has_a_fix(
    vatrack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for out, fix in (
        (tmp_path / f"{'n' * 300}.yaml", "choose a shorter name"),
        (Path("/proc/x/y.yaml"), "choose another place for the output"),
    ):
        code, _, errors = vatrack("config", "--out", out)
        assert code == 2 and errors.endswith(f"; {fix}\n")
    monkeypatch.setattr(os, "access", lambda *_: False)
    code, _, errors = vatrack("config", "--out", tmp_path / "c.yaml")
    told = f"vatrack: error: {tmp_path / 'c.yaml'}: permission denied; correct its permissions"
    assert code == 2 and errors.startswith(told)


def test_one_of_schema_and_reference_is_written(vatrack, tmp_path: Path) -> None:
    code, _, errors = vatrack("config", "--schema", "--reference", "--out", tmp_path / "c")
    assert (code, "--reference: has no effect with --schema; give one" in errors) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_worker_is_one_line_and_code_1(
    vatrack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise killed("lower compute.mask_workers")

    monkeypatch.setattr(cli, "write_yaml", broken)
    code, _, errors = vatrack("config", "--out", tmp_path / "config.yaml")
    assert code == 1
    assert errors == (
        "vatrack: error: a worker process was killed, probably because memory ran out; lower "
        "compute.mask_workers\n"
    )


def test_tables_come_with_a_page(vatrack, tmp_path: Path) -> None:
    metrics, out = tmp_path / "metrics.json", tmp_path / "tables"
    metrics.write_text('{"image/amodal/AP": 12.25}')
    code, shown, _ = vatrack("tables", "--run", f"vatrack/resnet18={metrics}", "--out", out)
    assert code == 0
    lines = [line.split() for line in shown.splitlines()]
    assert lines[1:3] == [["run", *["amodal", "visible"] * 3], ["VATrack", *["-"] * 6]]
    assert shown.endswith(f"\n\nall tables: {out}/tables.html (and as .csv, .md, .tex)\n")
    assert "|" not in shown
    assert "12.2" in (out / "tables.html").read_text()
    options = ("--run", f"vatrack/resnet18={metrics}", "--out", out, "--full")
    code, shown, _ = vatrack("tables", *options)
    assert code == 0 and "| VATrack | ResNet-18 | - | this run | 12.2 |" in shown
    assert shown.splitlines()[-1].startswith("all tables: ")
    code, _, errors = vatrack("tables", "--run", "vatrack=x", "--out", tmp_path / "other")
    assert code == 2
    assert "METHOD/BACKBONE[:LABEL]=metrics.json" in errors
    assert not (tmp_path / "other").exists()


def test_tables_of_runs_folders(vatrack, tmp_path: Path) -> None:
    """By their folders, or with every file named; with a dataset that replaces that of the
    configs."""
    details = {"per_class": {"image/amodal": {"dog": {"AP": 5, "AP50": 7}}}, "per_video": {}}
    for name in ("a", "b"):
        folder = tmp_path / name / "runs" / "vatrack__resnet18"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text('{"image/amodal/AP50": 7}')
        (folder / "details.json").write_text(json.dumps(details))
        (folder / "config.yaml").write_text(
            "{method: vatrack, backbone: resnet18, dataset: {name: mini}}"
        )
    out = tmp_path / "tables"
    folders = [f"{tmp_path}/{name}/runs/vatrack__resnet18" for name in "ab"]
    code, shown, _ = vatrack("tables", "--run", folders[0], "--run", folders[1], "--out", out)
    assert code == 0
    (line,) = (line.split() for line in shown.splitlines() if line.startswith("VATrack (b)"))
    assert line == ["VATrack", "(b)", "7.0", *["-"] * 5]
    assert "| VATrack | ResNet-18 | mini | this run: b |" in (out / "image_amodal.md").read_text()
    assert "| dog | 5.0 | 5.0 |" in (out / "classes_image_amodal.md").read_text().replace("*", "")
    name = "vatrack/resnet18:x"
    files = (
        "--run",
        f"{name}={folders[0]}/metrics.json",
        "--details",
        f"{name}={folders[1]}/details.json",
    )
    code, shown, _ = vatrack("tables", *files, "--dataset", "mine", "--out", out, "--full")
    assert code == 0
    assert "| VATrack | ResNet-18 | mine | this run: x |" in shown
    assert "| dog | 5.0 | 7.0 |" in (out / "classes_image_amodal.md").read_text()


def test_a_failed_training_job_is_code_1(
    vatrack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vatrack.cli import train_job
    from vatrack.jobs.launch import JobFailed

    def fail(*_: object) -> str:
        raise JobFailed("the training job 7 failed: MemoryError (log: x)")

    monkeypatch.setattr(train_job, "launch", fail)
    config = tmp_path / "config.yaml"
    config.write_text("results: results\n")
    arguments = ("--config", config, "--method", "vatrack", "--backbone", "resnet18")
    code, _, errors = vatrack(
        "launch",
        *arguments,
        "--annotations",
        tmp_path,
        "--images",
        tmp_path,
        "--out",
        tmp_path / "run",
    )
    assert (code, errors) == (
        1,
        "vatrack: error: the training job 7 failed: MemoryError (log: x)\n",
    )


HEAVY = {
    *("cv2", "matplotlib", "mlflow", "numpy", "pandas", "PIL"),
    *("plotly", "pooch", "requests", "scipy", "torch"),
}
READ = {"cv2", "numpy"}  # frames and annotations
DRAWN = READ | {"matplotlib", "PIL"}


@pytest.mark.parametrize(
    ("modules", "needed"),
    [
        ("vatrack.cli", set()),
        ("vatrack.runs.select", set()),
        ("vatrack.api.settings, vatrack.video.sources", HEAVY - {"torch"}),
        ("vatrack.cli.train_job", set()),
        ("vatrack.synthetic.render", set()),
        ("vatrack.sailvos.cuts", READ),
        ("vatrack.sailvos.index, vatrack.sailvos.convert, vatrack.sailvos.clips", READ),
        ("vatrack.validate", READ),
        ("vatrack.evaluation.evaluate, vatrack.experiments.log", {"numpy"}),
        ("vatrack.reporting.tables", {"numpy", "pandas"}),
        pytest.param("vatrack.reporting.cut_sheet", DRAWN, marks=pytest.mark.slow),
        pytest.param(
            "vatrack.reporting.plots", DRAWN - {"cv2"} | {"pandas"}, marks=pytest.mark.slow
        ),
        pytest.param(
            "vatrack.reporting.overlay, vatrack.reporting.views_video",
            DRAWN | {"scipy"},
            marks=pytest.mark.slow,
        ),
        pytest.param("vatrack.reporting.page", DRAWN | {"pandas"}, marks=pytest.mark.slow),
    ],
)
def test_commands_start_without_libraries_that_they_do_not_need(
    modules: str, needed: set[str]
) -> None:
    """A workflow starts dozens of them, and torch alone takes seconds."""
    code = (
        f"import sys, vatrack.cli, {modules}; "
        f"sys.exit(', '.join({HEAVY - needed!r} & set(sys.modules)) or None)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_page_is_written_without_the_library_that_draws_plots() -> None:
    """Its charts are drawn in the browser; matplotlib itself is only asked for its fonts."""
    code = "import sys, vatrack.reporting.page; sys.exit('matplotlib.axes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_module_is_the_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "vatrack", "config"], capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert "--out" in ended.stderr


def test_a_second_ctrl_c_shows_no_traceback(vatrack, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    assert vatrack("config") == (130, "", "")


def test_ctrl_c_while_modules_are_imported_shows_no_traceback(tmp_path: Path) -> None:
    slow = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "typer.py").write_text(slow)  # found before the true one
    paths = os.pathsep.join([str(tmp_path), *sys.path[1:]])
    ended = subprocess.run(
        [sys.executable, "-m", "vatrack", "config"],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--video", "a.avi"], "a.avi: the video is an MP4 file; its name must end in .mp4"),
        (["--video", "a.mp4", "--fps", "0"], "--fps 0.0: not a frame rate; must be from 0.001"),
    ],
)
def test_overlay_looks_at_its_options_before_it_draws(
    vatrack, tmp_path: Path, options: list[str], complaint: str
) -> None:
    """The files are not even there: nothing was read yet."""
    given = ("--ground-truth", "no.json", "--predictions", "no.jsonl", "--images", tmp_path)
    code, _, errors = vatrack("overlay", *given, "--out", tmp_path / "sheet.png", *options)
    assert (code, complaint in errors) == (2, True), errors
