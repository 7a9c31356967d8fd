"""The examples in docstrings run, and what is public has one."""

from __future__ import annotations

import doctest
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import cv2
import pytest
import yaml

import vatrack
from tests.conftest import TinyData, tiny_config
from tests.docs.test_site import ROOT
from tests.models.small import small_network
from tests.video.videos import sample_image, write_video
from vatrack import config
from vatrack.config import Method
from vatrack.weights.checkpoint import save

FENCED = re.compile(r"^ *```python\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
# Example: `1 + 1 == 2`, `2 in [2]`
STATED = re.compile(r"Example: ((?:`[^`]+`(?:,\s+)?)+)")
COMPARED = re.compile(r"`([^`]+ (?:==|in) [^`]+)`")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "vatrack").rglob("*.py"))
}
# Of these the page shows the fields.
WITHOUT = {"Config", "RunConfig", "Method", "Backbone", "Tracked", "__version__"} | {
    "FolderBusy", "InvalidData", "TrainingDiverged", "VatrackError",
}  # fmt: skip


def examples() -> Iterator[tuple[str, str]]:
    """Public names and the code in the docstrings of them and their methods."""
    for name in vatrack.__all__:
        value = getattr(vatrack, name)
        methods = vars(value).values() if inspect.isclass(value) else ()
        for item in (value, *filter(inspect.isfunction, methods)):
            for code in FENCED.findall(item.__doc__ or ""):
                yield name, textwrap.dedent(code)


def test_every_public_name_has_an_example() -> None:
    assert {name for name, _ in examples()} == set(vatrack.__all__) - WITHOUT


@pytest.mark.parametrize("name", [name for name, text in MODULES.items() if ">>> " in text])
def test_sessions_show_what_python_prints(name: str) -> None:
    ran = doctest.testmod(import_module(name))
    assert ran.attempted and not ran.failed


@pytest.mark.parametrize("name", [name for name, text in MODULES.items() if STATED.search(text)])
def test_what_an_example_states_is_true(name: str) -> None:
    module = import_module(name)
    for found in STATED.findall(MODULES[name]):
        for code in COMPARED.findall(found):
            assert eval(" ".join(code.split()), {**vars(config), **vars(module)}), code


@pytest.mark.slow
@pytest.mark.usefixtures("narrow_trunk")
def test_the_examples_of_public_names_run(
    tiny_data: TinyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = tiny_config(tmp_path)
    run = settings.for_run(Method.VATRACK, settings.backbones[0])
    save(Path("best.pt"), small_network(Method.VATRACK), run, 1)
    for name, content in {"run/config.yaml": run, "mine.yaml": settings}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(yaml.safe_dump(content.model_dump(mode="json")), encoding="utf-8")
    for name, target in {
        "annotations": tiny_data.annotations,
        "clips": tiny_data.images,
        "config": ROOT / "config",
        "joint.json": tiny_data.annotations / "valid/joint.json",
    }.items():
        Path(name).symlink_to(target)
    write_video(Path("street.mp4"), 8)
    Path("frames").mkdir()
    cv2.imwrite("frames/000000.png", sample_image(0))
    names: dict[str, object] = {"vatrack": vatrack, "cv2": cv2}
    # Those that make what others take come first.
    order = ["load", "predict_files", "export_predictions"]
    found = sorted(examples(), key=lambda item: order.index(item[0]) if item[0] in order else 9)
    for name, code in found:
        exec(compile(code, name, "exec"), names)
    assert Path("boxes.png").exists() and Path("my_run/training.json").exists()
    assert json.loads(Path("results.json").read_text()) is not None
