"""Which golden cases are found, and that a checkout has its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.parity import golden
from tests.parity.golden import BUNDLED, Case, cases, find_cases
from vatrack.common.files import write_json

# pipeline and convert exist only with real annotations as input, which are not handed on.
KINDS = (
    "state_dict",
    "forward",
    "end_to_end",
    "tracker",
    "losses",
    "evaluation",
    "cuts",
    "schedule",
    "sampler",
)
MOST_BYTES = 12_000_000


def test_the_checkout_has_cases_of_every_kind() -> None:
    """A checkout without them skips its parity tests, which CI must not take for a success."""
    missing = [kind for kind in KINDS if not find_cases(kind, (BUNDLED,))]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"no golden cases in {BUNDLED} of: {', '.join(missing)}")
    assert not missing
    for name in ("README.md", "recipe.py", "recipe/overrides_resnet50.json"):
        assert (BUNDLED / name).is_file(), name
    assert sum(p.stat().st_size for p in BUNDLED.rglob("*") if p.is_file()) <= MOST_BYTES


def test_a_new_case_is_found_and_a_double_one_is_run_once(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_json(first / "cuts/same/case.json", {"from": "first"})
    write_json(second / "cuts/same/case.json", {"from": "second"})
    write_json(second / "cuts/another/case.json", {"from": "second"})
    found = find_cases("cuts", (first, second))
    assert [case.folder for case in found] == [second / "cuts/another", first / "cuts/same"]
    assert [case.info["from"] for case in found] == ["second", "first"]
    assert find_cases("cuts", (tmp_path / "missing", first)) == find_cases("cuts", (first,))
    assert find_cases("tracker", (first, second)) == []


def test_a_choice_is_never_silently_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Case(Path(name), {"method": name}) for name in ("a", "b")]
    monkeypatch.setattr(golden, "find_cases", lambda kind: found)

    def chosen(method: str) -> list[str]:
        wanted = cases("cuts", lambda every: [c for c in every if c.info["method"] == method])
        return [case.id for case in wanted]

    assert (chosen("b"), chosen("c")) == (["b"], ["a", "b"])
    found.clear()
    (missing,) = cases("cuts", list)
    assert missing.id == "missing" and "no golden cases" in missing.marks[0].kwargs["reason"]
