"""An example of every command, for the end of its help."""

from __future__ import annotations

RUN = "results/mini/runs/vatrack__resnet18"
DATA = "results/mini/annotations"
VALID = f"{DATA}/valid/joint.json"
CLIPS = "results/mini/clips"
OFFICIAL = "--raw raw --train raw/train.json --valid raw/valid.json"

EXAMPLES = {
    "annotate": "--raw raw --models models.csv --out annotations.json",
    "clips": "--config mine.yaml --raw raw --structure clips.json --out clips",
    "compare": f"{RUN} {RUN}__e6 --out compare",
    "config": "--config first.yaml --set training.epochs=6 --out full.yaml",
    "convert": "--config mine.yaml --official raw/valid.json --structure clips.json --out valid",
    "cuts compare": "ours.json theirs.json",
    "cuts score": "--raw raw --index index.json --video ah_1_ext --out scores/ah_1_ext.json",
    "cuts sheet": "--raw raw --index index.json --structure clips.json --video ah_1_ext "
    "--out sheet.jpg",
    "cuts structure": "--config mine.yaml --index index.json --scores scores --out clips.json",
    "doctor": "--config config/sailvos_cut.yaml",
    "evaluate": f"--run {RUN} --out {RUN}/metrics.json --details {RUN}/details.json",
    "examples": "--out examples",
    "export": f"--checkpoint {RUN} --out vatrack.safetensors",
    "export-predictions": f"{RUN} --ground-truth {VALID} --to coco --out coco.json",
    "fetch": "--url https://example.org/cuts.json --size 123456 --sha256 0123...cdef "
    "--out cuts.json",
    "fetch-weights": "--config config/sailvos_cut.yaml",
    "figures": f"--run {RUN} --out figures",
    "import-checkpoint": "epoch_12.pth --method vatrack --backbone resnet50 --out vatrack.pt",
    "import-dataset": "instances_train.json --from coco-amodal --images images --out train.json",
    "import-predictions": f"results.json --from coco --ground-truth {VALID} --out theirs.jsonl",
    "index": f"{OFFICIAL} --out index.json",
    "init-config": "data/mine --out mine.yaml",
    "launch": f"--config mine.yaml --annotations {DATA} --images {CLIPS} --out run",
    "merge-evaluations": "shards/*.npz --out metrics.json",
    "merge-predictions": "shards/*.jsonl.gz --out predictions.jsonl.gz",
    "mlflow-sync": f"{RUN}",
    "mlflow-ui": "--results results",
    "overlay": f"--ground-truth {VALID} --predictions {RUN} --images {CLIPS} --out overlay.png",
    "predict": f"--checkpoint {RUN} --frames {VALID} --images {CLIPS} --out predictions.jsonl.gz",
    "prepare": "--config mine.yaml --subset valid --out annotations/valid",
    "report": "--run results/mini --results results/mini --out report.html",
    "select": f"--run {RUN} --out {RUN}/best.json",
    "synth": "--train-videos 4 --valid-videos 2 --seed 1 --out raw",
    "tables": "--run results/mini --out tables",
    "track": f"street.mp4 --checkpoint {RUN} --out tracked",
    "train": f"--config mine.yaml --annotations {DATA} --images {CLIPS} --out run",
    "unpack": "--archive images_1.tar.zst --archive images_2.tar.zst --out raw",
    "validate": f"{OFFICIAL} --out report.json",
    "views": f"--ground-truth {VALID} --predictions {RUN} --images {CLIPS} "
    f"--details {RUN}/details.json --out {RUN}/views",
}


def epilog(name: str) -> str | None:
    """The last lines of the help of a command, by its full name: `cuts score`, for example."""
    return f"Example:\n\nvatrack {name} {EXAMPLES[name]}" if name in EXAMPLES else None
