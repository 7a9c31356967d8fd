"""What a training keeps in its run's folder, and what it removes there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vatrack.common.files import read_json, write_json
from vatrack.runs.fingerprint import changed
from vatrack.runs.select import best_epoch

COMPLETE = "training.json"  # written last
MADE = ("checkpoints", "validation", "faults", "state")  # folders that a training makes


class RunFolder:
    """The places of a run's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "state"

    def checkpoint(self, epoch: int) -> Path:
        return self.path / "checkpoints" / f"epoch_{epoch:02d}.pt"

    def validation(self, epoch: int) -> Path:
        return self.path / "validation" / f"epoch_{epoch:02d}.json"

    def fault(self, epoch: int, batch: int) -> Path:
        return self.path / "faults" / f"epoch_{epoch:02d}_batch_{batch:06d}.json"

    def clear(self) -> None:
        """Removes what an earlier training left: it must not be chosen as this one's best."""
        for leftover in MADE:
            shutil.rmtree(self.path / leftover, ignore_errors=True)

    def complete(self) -> dict[str, Any] | None:
        """What a training wrote when it came to its end; None where none has."""
        path = self.path / COMPLETE
        return read_json(path) if path.exists() else None

    def finish(self, content: Mapping[str, Any]) -> None:
        """Says that the training is complete; from then on its state is of no more use."""
        write_json(self.path / COMPLETE, content, indent=2)
        self.remove_state()

    def remove_state(self) -> None:
        """Removes the states of a training that is complete."""
        shutil.rmtree(self.state, ignore_errors=True)

    def put_aside(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Keeps what a training with other settings made: who changed a key by mistake can bring it
        back.

        Args:
            found, wanted: recipe and data of that training and of the one that begins; the
                differences are told.
        """
        names = changed(found.get("recipe", {}), wanted["recipe"])
        what = names[:5] + [f"{len(names) - 5} other settings"] * (len(names) > 5)
        what += ["the data"] * (found.get("data") != wanted["data"])
        kind = "complete" if (self.path / COMPLETE).exists() else "interrupted"
        number = 1
        while (kept := self.path / f"{kind}_{number}").exists():
            number += 1
        kept.mkdir()
        # What says that it is complete goes first: without the rest it must not be found.
        for name in (COMPLETE, *MADE, "config.yaml", "metrics.jsonl"):
            if (self.path / name).exists():
                (self.path / name).rename(kept / name)
        print(
            f"{self.path}: the training here differs in {', '.join(what)}; another one begins,",
            flush=True,
        )
        print(f"and what was there is kept in {kept}", flush=True)

    def keep_best(self, values: Mapping[int, float | None]) -> None:
        """Removes all checkpoints but the last and the best, by epochs and their values."""
        for epoch in values.keys() - {max(values), best_epoch(values)}:
            self.checkpoint(epoch).unlink(missing_ok=True)
