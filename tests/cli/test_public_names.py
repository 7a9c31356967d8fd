"""`import vatrack`: what it offers, and that it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vatrack
from vatrack.common.errors import InputError, VatrackError


def test_every_public_name_is_there() -> None:
    for name in vatrack.__all__:
        assert getattr(vatrack, name) is not None, name
    assert set(vatrack.__all__) <= set(dir(vatrack))
    assert vatrack.InputError is InputError
    assert issubclass(vatrack.TrainingDiverged, VatrackError)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vatrack.nothing  # noqa: B018


def test_the_import_brings_nothing_heavy_along() -> None:
    code = (
        "import sys, vatrack; assert vatrack.__version__; "
        "sys.exit(', '.join({'torch', 'pydantic', 'numpy', 'cv2'} & set(sys.modules)) or None)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
