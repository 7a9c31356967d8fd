"""An earlier training in a run's folder makes way for one with other settings or data."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from vatrack.common.counted import counted
from vatrack.runs.fingerprint import CONTENTS, changed, other_contents
from vatrack.runs.folder import RunFolder

logger = logging.getLogger(__name__)


def put_aside(folder: RunFolder, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Moves a training with other settings to complete_N/ or interrupted_N/, and what later
    stages made of it.

    Who changed a key by mistake can bring it back. The differences are logged.

    Args:
        found: recipe and data of that training.
        wanted: those of the one that begins.
    """
    names = changed(found.get("recipe", {}), wanted["recipe"])
    what = names[:5] + [counted(len(names) - 5, "other setting")] * (len(names) > 5)
    if found.get("data") != wanted["data"]:
        what.append(CONTENTS["annotations"])
    others = (CONTENTS[name] for name in other_contents(found, wanted))
    what += [words for words in others if words not in what]
    if folder.ended.exists():
        folder.ended.replace(folder.training)
    state = "complete" if folder.training.exists() else "interrupted"
    number = 1
    while (kept := folder.path / f"{state}_{number}").exists():
        number += 1
    kept.mkdir()
    # What says that it is complete goes first: without the rest it must not be found. The
    # environment goes last: with it, `clear` removes what is left of the rest.
    texts = (folder.config, folder.start_weights, folder.metrics_log, folder.environment)
    for path in (folder.training, *folder.derived, *folder.made, *texts):
        if path.exists():
            path.rename(kept / path.name)
    logger.info(
        "%s: the existing training differs in %s; starting a new one,",
        folder.path,
        ", ".join(what),
    )
    logger.info("the old one is kept in %s", kept)
