"""The looks at Python and packages."""

from __future__ import annotations

import importlib
import re
import types
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from tests.doctor.looks import (
    ROOT,
    expect,
    only,
    raising,
)
from vatrack.config import Config
from vatrack.doctor import (
    LOOKS,
    software,
)
from vatrack.doctor.check import State


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    python, own = LOOKS["Python"](Config())
    expect(python, "ok")
    expect(own, "ok", "0.")
    monkeypatch.setattr("sys.version_info", (3, 10, 13, "final", 0))
    expect(next(iter(LOOKS["Python"](Config()))), "fails", fix="3.11 or newer")


def test_the_least_python_is_that_of_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    least = ".".join(map(str, software.LEAST_PYTHON))
    assert f'requires-python = ">={least}"' in text
    setup = (ROOT / "envs/setup").read_text()
    assert f"sys.version_info < {software.LEAST_PYTHON}" in setup, "set-up takes no older one"
    for extra in software.EXTRAS:
        assert re.search(rf"^{extra} = \[", text, re.MULTILINE), extra


@pytest.mark.parametrize(
    ("module", "error", "fix"),
    [
        ("torch", OSError("libcudart.so.12: cannot open shared object file"), "reinstall torch"),
        ("cv2", ImportError("libGL.so.1: cannot open shared object file"), "headless"),
        ("numpy", ModuleNotFoundError("No module named 'numpy'"), "reinstall numpy"),
        ("scipy.optimize", ValueError(""), "reinstall scipy"),
    ],
)
def test_a_package_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, module: str, error: Exception, fix: str
) -> None:
    real = importlib.import_module

    def broken(name: str) -> Any:
        if name == module:
            raise error
        return real(name)

    monkeypatch.setattr(software, "import_module", broken)
    bad = [check for check in LOOKS["packages"](Config()) if check.state != "ok"]
    assert [check.name for check in bad] == [software.PACKAGES[module][0]]
    expect(bad[0], "fails", str(error) or "ValueError", fix)


def test_a_torchvision_of_another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("operator torchvision::nms does not exist\nmore")
    monkeypatch.setattr("torchvision.ops.nms", raising(error))
    found = {check.name: check for check in LOOKS["packages"](Config())}
    expect(found["torchvision"], "fails", "nms does not exist)", "matching versions")
    expect(found["torch"], "ok")


def test_packages_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", raising(PackageNotFoundError("x")))
    assert all(check.state == "ok" for check in LOOKS["packages"](Config()))


@pytest.mark.parametrize("extra", software.EXTRAS)
def test_a_missing_extra(monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    gone = software.EXTRAS[extra][0][-1]
    monkeypatch.setattr(
        software, "find_spec", lambda name: None if name == gone else types.SimpleNamespace()
    )
    missing, rest = LOOKS["extras"](Config())
    expect(missing, "warning", f"no {gone}", f"pip install 'vatrack[{extra}]'")
    assert missing.name == f"[{extra}]"
    assert rest.found.count(", ") == len(software.EXTRAS) - 2


@pytest.mark.parametrize(
    ("gone", "state", "found"),
    [
        ((), "ok", "encoders openh264, vp9, x264; decoders h264, hevc"),
        (("libopenh264",), "warning", "encoders vp9, x264"),
        (("libopenh264", "libvpx-vp9"), "fails", "encoders x264"),
        (("libopenh264", "libvpx-vp9", "libx264"), "fails", "encoders none"),
        (("hevc", "av1"), "warning", "no decoder for hevc, av1"),
    ],
)
def test_codecs(
    monkeypatch: pytest.MonkeyPatch, gone: tuple[str, ...], state: State, found: str
) -> None:
    monkeypatch.setattr(software, "_has_codec", lambda name, mode: name not in gone)
    expect(only("codecs"), state, found, "--force-reinstall av" if state != "ok" else "")


def test_real_codecs_and_no_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    assert software._has_codec("mjpeg", "r")
    assert not software._has_codec("no-such-codec", "w")
    monkeypatch.setattr(software, "find_spec", lambda name: None)
    assert list(LOOKS["codecs"](Config())) == []  # the extra's line says it
