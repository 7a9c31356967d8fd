"""`vatrack validate`: checks raw tree and annotations before hours of work are wasted."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vatrack.common.counted import counted
from vatrack.common.errors import PERMIT, InputError, InvalidData, with_fix
from vatrack.common.files import check_target, refuse_same_file, require_json, write_json
from vatrack.common.similar import meant
from vatrack.common.text_files import check_source, no_such
from vatrack.config.classes import SAILVOS, ClassList
from vatrack.config.dataset import ValidationConfig
from vatrack.config.methods import Method
from vatrack.data.known_forms import AMODAL, JOINT, OFFICIAL, wants
from vatrack.validate.annotations import read_subset
from vatrack.validate.checks import CHECKS
from vatrack.validate.findings import SHOWN_EXAMPLES, Findings
from vatrack.validate.frames import Frame, check_frames
from vatrack.validate.joint import check_joint
from vatrack.validate.relations import check_relations, check_subsets, named_classes
from vatrack.validate.sentences import SEVERITIES, Severity
from vatrack.validate.tree import check_tree

__all__ = ["Report", "validate", "validate_joint"]

FRAMES = {
    "decode": "decoded",
    "header": "checked by header and file length",
    "exist": "checked by name",
}


@dataclass(frozen=True)
class Report:
    """What `validate` has found.

    Attributes:
        looked_at: what was read, as in the JSON report.
        findings: counts and examples by code.
        out: the JSON report, if one was written.
    """

    looked_at: dict[str, Any]
    findings: Findings
    out: Path | None = None

    @property
    def counts(self) -> dict[Severity, int]:
        """Findings by severity."""
        return {severity: self.findings.total(severity) for severity in SEVERITIES}

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.counts["error"]

    def __str__(self) -> str:
        named = [counted(count, severity) for severity, count in self.counts.items()]
        path, seconds = self.looked_at["raw"]["path"], self.looked_at["seconds"]
        lines = [f"{', '.join(named)} in {path} and its annotations ({seconds:g} s)"]
        lines += _overview(self.looked_at)
        if found := list(self.findings.lines()):
            lines += ["", *found]
        if any(len(examples) > SHOWN_EXAMPLES for examples in self.findings.examples.values()):
            lines += ["", f"all examples: {self.out or '--out report.json'}"]
        return "\n".join(lines)


@wants(official=(OFFICIAL, AMODAL))
def validate(
    raw: Path,
    official: Mapping[str, Path],
    settings: ValidationConfig,
    out: Path | None = None,
    processes: int = 1,
    classes: ClassList | None = SAILVOS,
) -> Report:
    """Looks at everything, whatever is wrong, and writes down all findings.

    Args:
        raw: the raw tree.
        official: annotation files by subset.
        out: JSON report: `ok`, `counts` by severity, what was `looked_at`, `findings`.
        processes: processes that look into masks and frames; the findings are the same for any
            number.
        classes: `dataset.classes`; None: those of the first file, in its order.

    Returns:
        The findings, if none of them is an error.

    Raises:
        InvalidData: with the findings as text, if at least one is an error. The report has been
            written then.
        InputError: `settings.accept` names a finding that does not exist; or the raw tree or a
            file is missing or may not be read, which is told before anything is looked at.
    """
    started = time.monotonic()
    raw = Path(raw)
    findings = _findings(settings)
    _require(raw, official, out)
    subsets = [
        read_subset(name, Path(path), settings.masks, processes, findings)
        for name, path in official.items()
    ]
    for subset in subsets:
        check_relations(subset, findings, classes)
        if classes is None:
            classes = named_classes(subset)
    check_subsets(subsets, findings)
    videos, frames = check_tree(raw, subsets, findings)
    check_frames(frames, settings.frames, processes, findings)

    files = [
        _describe(own.name, own.path, own.ended, len(own.videos), len(own.images), own.total)
        for own in subsets
    ]
    return _report(raw, videos, frames, files, settings, findings, started, out)


@wants(files=(JOINT, OFFICIAL, AMODAL))
def validate_joint(
    images: Path,
    files: Mapping[str, Path],
    settings: ValidationConfig,
    out: Path | None = None,
    processes: int = 1,
    classes: ClassList | None = None,
    methods: Sequence[Method] = (),
) -> Report:
    """The same for own annotations (docs/own-data.md).

    Args:
        images: folder that the file names of the annotations begin in.
        files: annotation files by subset, train first.
        classes: `dataset.classes`; None: those of the first file, in its order.
        methods: those of the config; the masks must allow them.

    Raises:
        InvalidData, InputError: as `validate`.
    """
    started = time.monotonic()
    findings = _findings(settings)
    _require(Path(images), files, out)
    described, frames = [], list[Frame]()
    videos = 0
    first_in = dict[str, Path]()  # the file that has a frame
    for name, path in files.items():
        broken = findings.counts["json-broken"]  # of the files before
        data, found, classes = check_joint(path, images, classes, settings.masks, findings, methods)
        again = [frame.path for frame in found if frame.path in first_in]
        findings.add_all(
            "frame-in-both", path, again, lambda frame: (frame, f"also in {first_in[frame]}")
        )
        first_in.update((frame.path, path) for frame in found)
        frames += found
        videos += data.total["videos"]
        ended = findings.counts["json-broken"] == broken
        counts = (data.total[each] for each in ("videos", "images", "annotations"))
        masks = data.mask_types if data.masks else ()
        allowed = [method.value for method in data.methods if masks]
        described.append(
            _describe(name, path, ended, *counts) | {"mask_types": masks, "methods": allowed}
        )
    check_frames(frames, settings.frames, processes, findings)
    return _report(Path(images), videos, frames, described, settings, findings, started, out)


def _require(folder: Path, files: Mapping[str, Path], out: Path | None) -> None:
    """Sees that all inputs are there and may be read, and that the report can be written, before
    the hours that the frames can take.

    Raises:
        InputError: naming each input that is not; or the report would be written over one.
    """
    if out is not None:
        require_json(out, "the report is")
        refuse_same_file(check_target(out), *files.values())
    problems = []
    try:
        if not folder.is_dir():
            text = f"{no_such(folder, 'folder')}; correct the path of the frames"
            problems.append(f"{folder}: {text}")
        elif not os.access(folder, os.R_OK | os.X_OK):
            problems.append(f"{folder}: permission denied; {PERMIT}")
    except OSError as error:
        problems.append(with_fix(error, folder))
    for path in map(Path, files.values()):
        try:
            check_source(path, "an annotation file").open("rb").close()
        except InputError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(with_fix(error, path))
    if problems:
        raise InputError("\n".join(problems))


def _findings(settings: ValidationConfig) -> Findings:
    unknown = sorted(set(settings.accept) - CHECKS.keys())
    if unknown:
        raise InputError(
            f"dataset.validation.accept: unknown finding {unknown[0]!r}"
            + meant(unknown[0], CHECKS, "choose one listed in docs/findings.md")
        )
    return Findings(frozenset(settings.accept))


def _report(
    raw: Path,
    videos: int,
    frames: Sequence[Frame],
    files: list[dict[str, Any]],
    settings: ValidationConfig,
    findings: Findings,
    started: float,
    out: Path | None,
) -> Report:
    """The report, written where that is wanted.

    Raises:
        InvalidData: there is an error.
    """
    looked_at = {
        "raw": {
            "path": str(raw),
            "videos": videos,
            "frames": len(frames),
            "frames_checked": settings.frames,
        },
        "files": files,
        "masks_compared": settings.masks,
        "seconds": round(time.monotonic() - started, 1),
    }
    report = Report(looked_at, findings, out)
    if out is not None:
        content = {
            "ok": report.ok,
            "counts": report.counts,
            "looked_at": looked_at,
            "findings": findings.report(),
        }
        write_json(out, content, indent=2)
    if not report.ok:
        raise InvalidData(str(report), files=findings.files("error"))
    return report


def _describe(
    subset: str, path: Path, ended: bool, videos: int, frames: int, annotations: int
) -> dict[str, Any]:
    return {
        "subset": subset,
        "path": str(path),
        "bytes": path.stat().st_size,
        "read_to_the_end": ended,
        "videos": videos,
        "frames": frames,
        "annotations": annotations,
    }


def _overview(seen: Mapping[str, Any]) -> Iterator[str]:
    """What was looked at."""
    for file in seen["files"]:
        counts = [counted(file[f"{each}s"], each) for each in ("video", "frame", "annotation")]
        masks = [f"{' and '.join(file['mask_types'])} masks"] if file.get("mask_types") else []
        end = [] if file["read_to_the_end"] else ["not read to the end"]
        yield f"  {file['path']}: {', '.join([_size(file['bytes']), *counts, *masks, *end])}"
        if masks:
            yield f"    can train {', '.join(file['methods'])}"
    raw = seen["raw"]
    yield (
        f"  {raw['path']}: {raw['videos']} of these videos, "
        f"{counted(raw['frames'], 'frame')} {FRAMES[raw['frames_checked']]}"
    )
    yield f"  masks: sizes and codes checked; {_compared(seen)}"


def _compared(seen: Mapping[str, Any]) -> str:
    """What was compared with masks, by the mask types of own files; others have none."""
    if seen["masks_compared"] and all("mask_types" not in file for file in seen["files"]):
        return "areas, boxes and occlusion rates compared with them"
    if seen["masks_compared"] and any(len(file["mask_types"]) > 1 for file in seen["files"]):
        return "visible masks, and occlusion rates where given, compared with amodal masks"
    return "nothing compared with them"


def _size(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e3:.0f} kB"
