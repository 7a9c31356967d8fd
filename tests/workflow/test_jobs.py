"""How the work of a stage is divided into jobs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from workflow.lib.jobs import details_option
from workflow.lib.plan import Plan

RUN = "{method}__{backbone}{variant}"


def plan(**sections: Any) -> Plan:
    values = {"results": "out", "dataset": {"name": "x"}, "training": {"random_start": True}}
    return Plan(values | sections)


def test_shards_of_a_stage_have_a_folder_for_each_number() -> None:
    split = plan(launcher={"prediction_shards": 2, "evaluation_shards": 3})
    folder = f"out/x/runs/{RUN}/shards_of_2"
    assert split.prediction.all(".gz") == [f"{folder}/1.gz", f"{folder}/2.gz"]
    assert split.prediction.one(".gz") == f"{folder}/{{shard,[0-9]+}}.gz"
    assert split.evaluation.all("") == [
        f"out/x/runs/{RUN}/evaluation_shards_of_3/{number}" for number in (1, 2, 3)
    ]
    assert split.prediction.option == "--shard {shard}/2"
    assert split.evaluation.option == "--shard {shard}/3"
    assert split.prediction.name == f"{RUN}.{{shard}}"


@pytest.mark.parametrize(("predictions", "evaluations"), [(1, 1), (2, 1), (1, 2)])
def test_only_several_shards_are_merged(predictions: int, evaluations: int) -> None:
    numbers = {"prediction_shards": predictions, "evaluation_shards": evaluations}
    split = plan(launcher=numbers)
    assert split.prediction.several == (predictions == 2)
    assert split.evaluation.several == (evaluations == 2)


def test_the_details_are_a_quoted_file() -> None:
    output = SimpleNamespace(details="my runs/a/details.json")
    assert details_option(None, output) == "--details 'my runs/a/details.json'"


def test_a_small_set_is_cut_in_one_job() -> None:
    jobs = plan(dataset={"synthetic": {"train_videos": 1, "valid_videos": 1}}).cut_jobs
    assert jobs.videos == ["mini_train_000", "mini_valid_000"]
    assert jobs.shown == "2 videos"
    assert jobs.name("cut_sheet") == "cut_sheet"
    assert jobs.group("cut_sheet") is None
    files = ["my results/scores/a.json", "my results/scores/b.json"]
    assert jobs.target(None, files) == "--out 'my results/scores'"


@pytest.mark.parametrize("dataset", [{"raw": "frames"}, {"synthetic": {"train_videos": 999}}])
def test_every_video_of_another_set_has_a_job(dataset: dict[str, Any]) -> None:
    """The names need not be known, nor the folder be there."""
    jobs = plan(dataset=dataset).cut_jobs
    assert jobs.videos == ["{video}"]
    assert jobs.shown == "{wildcards.video}"
    assert jobs.name("cut_sheet") == "cut_sheet/{video}"
    assert jobs.group("cut_sheet") == "cut_sheet"
    wanted = SimpleNamespace(video="it's 1")
    files = ["out/it's 1.json"]
    quoted = "'it'\"'\"'s 1"
    assert jobs.target(wanted, files) == f"--video {quoted}' --out 'out/{quoted[1:]}.json'"
