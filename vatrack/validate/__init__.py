"""`vatrack validate`: checks the raw tree and the official annotations before hours of work are
wasted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vatrack.common.errors import InputError, InvalidData
from vatrack.common.files import write_json
from vatrack.config.dataset import ValidationConfig
from vatrack.validate.annotations import Subset, read_subset
from vatrack.validate.findings import SHOWN_EXAMPLES, Findings
from vatrack.validate.frames import check_frames
from vatrack.validate.kinds import KINDS, SEVERITIES
from vatrack.validate.relations import check_relations, check_subsets
from vatrack.validate.tree import check_tree

__all__ = ["validate"]

FRAMES = {"decode": "decoded", "header": "checked by header and length", "exist": "checked by name"}


def validate(
    raw: Path,
    official: Mapping[str, Path],
    settings: ValidationConfig,
    out: Path | None = None,
    processes: int = 1,
) -> str:
    """Looks at everything, whatever is wrong, and writes down all findings.

    Args:
        raw: the raw tree.
        official: annotation files by subset.
        out: JSON report: `ok`, `counts` by severity, what was `looked_at`, `findings`.
        processes: processes that look into masks and frames; the findings are the same for any
            number.

    Returns:
        The findings as text, if none of them is an error.

    Raises:
        InvalidData: with the findings as text, if at least one is an error. The report has been
            written then.
        InputError: `settings.accept` names a finding that does not exist.
    """
    started = time.monotonic()
    raw = Path(raw)
    unknown = sorted(set(settings.accept) - KINDS.keys())
    if unknown:
        raise InputError(
            f"dataset.validation.accept: there is no finding {unknown[0]!r}; docs/data.md lists "
            f"them"
        )
    findings = Findings(frozenset(settings.accept))
    subsets = [
        read_subset(name, Path(path), settings.masks, processes, findings)
        for name, path in official.items()
    ]
    for subset in subsets:
        check_relations(subset, findings)
    check_subsets(subsets, findings)
    videos, frames = check_tree(raw, subsets, findings)
    check_frames(frames, settings.frames, processes, findings)

    seen = {
        "raw": {
            "path": str(raw),
            "videos": videos,
            "frames": len(frames),
            "frames_checked": settings.frames,
        },
        "files": [_describe(subset) for subset in subsets],
        "masks_compared": settings.masks,
        "seconds": round(time.monotonic() - started, 1),
    }
    counts: dict[str, int] = {severity: findings.total(severity) for severity in SEVERITIES}
    if out is not None:
        report = {
            "ok": not counts["error"],
            "counts": counts,
            "looked_at": seen,
            "findings": findings.report(),
        }
        write_json(out, report, indent=2)
    text = "\n".join(
        [_headline(counts, seen), *_overview(seen), *_spaced(findings), *_hint(findings, out)]
    )
    if counts["error"]:
        raise InvalidData(text)
    return text


def _describe(subset: Subset) -> dict[str, Any]:
    return {
        "subset": subset.name,
        "path": str(subset.path),
        "bytes": subset.path.stat().st_size if subset.path.is_file() else None,
        "read_to_the_end": subset.ended,
        "videos": len(subset.videos),
        "frames": len(subset.images),
        "annotations": subset.total,
    }


def _headline(counts: Mapping[str, int], seen: Mapping[str, Any]) -> str:
    named = [
        f"{count:,} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items()
    ]
    return (
        f"{', '.join(named)} in {seen['raw']['path']} and its annotations ({seen['seconds']:g} s)"
    )


def _overview(seen: Mapping[str, Any]) -> Iterator[str]:
    """What was looked at."""
    for file in seen["files"]:
        size = "not there" if file["bytes"] is None else _size(file["bytes"])
        parts = [f"{file[name]:,} {name}" for name in ("videos", "frames", "annotations")]
        yield (
            f"  {file['path']}: "
            f"{', '.join([size, *parts])}{'' if file['read_to_the_end'] else ', not to its end'}"
        )
    raw = seen["raw"]
    yield (
        f"  {raw['path']}: {raw['videos']:,} of these videos, {raw['frames']:,} frames "
        f"{FRAMES[raw['frames_checked']]}"
    )
    masks = (
        "areas, boxes and rates compared with them"
        if seen["masks_compared"]
        else "nothing compared with them"
    )
    yield f"  masks: sizes and codes checked, {masks}"


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 1e7 else f"{count / 1e3:,.0f} kB"


def _spaced(findings: Findings) -> list[str]:
    lines = list(findings.lines())
    return ["", *lines] if lines else []


def _hint(findings: Findings, out: Path | None) -> list[str]:
    """Where more examples are than the text shows."""
    more = any(len(examples) > SHOWN_EXAMPLES for examples in findings.examples.values())
    return ["", f"more examples: {out or '--out report.json'}"] if more else []
