"""What jobs cost, for the overall progress."""

# Seconds of a job of each rule in a demo on two cores; only their ratios count. Those of rules that
# the demo does not run are estimated.
WEIGHTS = {
    "all": 0.0,
    "annotations": 0.0,
    "clips": 1.6,
    "convert": 2.2,
    "cut_scores": 1.1,
    "cut_sheet": 1.5,
    "cut_structure": 0.7,
    "evaluate": 6.7,
    "evaluate_shard": 6.7,
    "fetch_cuts": 2.0,
    "fetch_weights": 30.0,
    "figures": 4.2,
    "index": 0.7,
    "overlay": 12.0,
    "predict": 21.0,
    "predict_shard": 21.0,
    "prepare": 2.2,
    "provenance": 5.6,
    "report": 3.3,
    "results": 0.0,
    "select": 1.6,
    "synth": 5.2,
    "tables": 3.0,
    "train": 546.0,
    "unpack": 60.0,
    "validate": 2.9,
    "views": 10.0,
}
