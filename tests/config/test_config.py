from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from vatrack.common.errors import InputError
from vatrack.config import (
    Backbone,
    Config,
    Method,
    RunConfig,
    json_schema,
    load_config,
    load_run_config,
    parse_config,
)
from vatrack.config.dataset import DatasetConfig
from vatrack.config.reference import config_reference

CONFIGS = sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))


def parsed(**values: Any) -> Config:
    return parse_config(values, "test.yaml", Config)


def test_the_defaults_are_the_papers() -> None:
    """Numbers of spec 4.2 to 4.5 that a changed default would quietly alter."""
    run = Config().for_run(Method.VATRACK, Backbone.RESNEXT101)
    assert (run.training.batch_size, run.training.optimizer.learning_rate) == (4, 0.0025)
    assert (
        run.training.epochs,
        run.training.schedule.steps,
        run.training.schedule.warmup_iterations,
    ) == (12, (8, 11), 6000)
    assert (
        Config().for_run(Method.QDTRACK, Backbone.RESNET50).training.schedule.warmup_iterations
        == 2000
    )
    assert run.model.class_weights[:3] == (0.1, 0.8, 12.5)
    assert run.model.class_weights[16] == max(run.model.class_weights) == 104.0
    assert (run.model.roi_sampler.number, run.model.roi_sampler.positive_fraction) == (512, 0.25)
    assert (run.inference.tracker.memo_frames, run.inference.tracker.momentum) == (32, 0.8)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_config_files_are_valid(path: Path) -> None:
    config = load_config(path)
    for method in config.methods:
        for backbone in config.backbones:
            assert config.for_run(method, backbone).name == f"{method}__{backbone}"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_schema_agrees_with_the_models(path: Path) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    values = yaml.safe_load(path.read_text())
    jsonschema.validate(values, schema)
    jsonschema.validate(load_config(path).model_dump(mode="json"), schema)
    wrong: tuple[dict[str, Any], ...] = (
        {"training": {"epoch": 3}},
        {"methods": []},
        {"model": {"frozen_stages": 5}},
        {"dataset": {"name": "a/b"}},
    )
    for bad in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
        with pytest.raises(InputError):
            parsed(**bad)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"training": {"epoch": 3}}, "training.epoch: unknown key"),
        ({"nonsense": 1}, "nonsense: unknown key"),
        (
            {"training": {"epochs": 0}},
            "training.epochs: 0 must be at least 1",
        ),
        ({"methods": ["VATrack"]}, "methods.0: 'VATrack' is not allowed; give 'qdtrack', "),
        (
            {"dataset": {"name": "../elsewhere"}},
            "dataset.name: '../elsewhere' cannot be ",
        ),
        (
            {"launcher": {"extra": {"exclude": "n1", "array": "1-10"}}},
            "launcher.extra: array is not possible: a training is one job, ",
        ),
        ({"model": {"class_weights": [1.0]}}, "model.class_weights: has 1 weight for 24 classes"),
        (
            {"model": {"norm_groups": 48}},
            "norm_groups = 48 does not divide track_head_channels = 256",
        ),
    ],
)
def test_bad_values_are_named(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=r"test\.yaml: invalid configuration") as caught:
        parsed(**values)
    assert complaint in str(caught.value)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parsed(training={"epochs": 0, "epoch": 1}, seed=-1)
    assert len(str(caught.value).splitlines()) == 4


def test_our_own_words_have_no_title_of_the_library() -> None:
    with pytest.raises(InputError) as caught:
        parsed(
            methods=["qdtrack", "vatrack", "qdtrack"],
            backbones=["resnet50", "resnet50"],
            seeds=[1, 1],
            dataset={"format": "joint"},
        )
    text = str(caught.value)
    assert "  methods: qdtrack is listed twice; keep one of them" in text
    assert "  backbones: resnet50 is listed twice; keep one of them" in text
    assert "  seeds: 1 is listed twice; keep one of them" in text
    assert "  dataset: format joint needs images" in text
    assert "Value error" not in text


def test_many_problems_are_counted() -> None:
    with pytest.raises(InputError) as caught:
        parsed(seed=-1, **{f"key{number}": 1 for number in range(40)})
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  and 31 more"


def test_a_file_without_any_known_key_is_no_config() -> None:
    with pytest.raises(InputError) as caught:
        parsed(**{f"track/amodal/{number}": 0.5 for number in range(110)})
    assert str(caught.value) == (
        "test.yaml: not a config: none of its 110 keys is known (first: track/amodal/0, "
        "track/amodal/1, track/amodal/2); give a config file (docs/config.md lists all keys)"
    )


def test_values_by_backbone_or_method() -> None:
    config = parsed(training={"batch_size": {"resnet18": 2}, "optimizer": {"learning_rate": 0.1}})
    run = config.for_run(Method.QDTRACK, Backbone.RESNET18)
    assert (run.training.batch_size, run.training.optimizer.learning_rate) == (2, 0.1)
    with pytest.raises(InputError, match=r"training\.batch_size: has no value for resnet50"):
        config.for_run(Method.QDTRACK, Backbone.RESNET50)


def test_a_config_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Config().training.epochs = 3  # type: ignore[misc]


def test_a_path_may_begin_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder called ~ would be made, and `rm -r ~` would not remove that one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "base.yaml").write_text("results: ~/all\ndataset: {raw: ~/raw}\n")
    mine = tmp_path / "other" / "mine.yaml"
    mine.parent.mkdir()
    mine.write_text("extends: ~/base.yaml\ntraining: {weights: {resnet18: ~/w.pth}}\n")
    config = load_config(mine)
    assert (config.results, config.dataset.raw) == (tmp_path / "all", tmp_path / "raw")
    assert config.start_file(Backbone.RESNET18) == tmp_path / "w.pth"
    other = Path("~no_such_user/x")
    assert load_config(mine, f"results={other}").results == other


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    config = parsed(dataset={"name": "x", "raw": "some/where"}, input={"image_scale": [64, 48]})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(tmp_path / "config.yaml") == config
    run = config.for_run(Method.VATRACK_2BBOX, Backbone.RESNET50)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run.model_dump(mode="json")))
    assert load_run_config(tmp_path / "run.yaml") == run
    assert isinstance(run, RunConfig)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [", "not valid YAML"),
        ("- a list", "invalid configuration"),
        (None, "no such file"),
    ],
)
def test_unreadable_files(text: str | None, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        load_config(path)


@pytest.mark.parametrize("text", ["", "\n", "# seed: 1\n"])
@pytest.mark.parametrize("overrides", [None, ["seed=1"]])
def test_an_empty_file_is_no_config(text: str, overrides: list[str] | None, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"config\.yaml: is empty; set at least one key"):
        load_config(path, overrides)


@pytest.mark.parametrize(
    ("method", "masks", "form"),
    [
        ("qdtrack", ("visible",), "visible"),
        ("amodaltrack", ("amodal",), "amodal"),
        ("vatrack", ("amodal", "visible"), "joint"),
        ("vatrack-2bbox", ("amodal", "visible"), "joint-2bbox"),
    ],
)
def test_methods(method: str, masks: tuple[str, ...], form: str) -> None:
    assert (Method(method).masks, Method(method).form) == (masks, form)


def _tables_of(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


def test_the_reference_lists_every_key() -> None:
    def keys(schema: dict[str, Any], models: dict[str, Any], path: str = "") -> set[str]:
        found = set()
        for name, field in schema["properties"].items():
            inner = models.get(field.get("$ref", "").rpartition("/")[2], {})
            found |= (
                keys(inner, models, f"{path}{name}.")
                if "properties" in inner
                else {f"{path}{name}"}
            )
        return found

    schema = Config.model_json_schema()
    text = config_reference()
    wanted = keys(schema, schema["$defs"])
    assert len(wanted) > 80
    for key in wanted:
        assert text.count(f"| `{key}` |") == 1, key
    assert "|  |" not in text, (
        "a key without a meaning: give its field in vatrack/config/ a description"
    )
    assert "| `model.frozen_stages` | integer from 0 to 4 | `1` |" in text
    assert "| `training.optimizer.clip_norm` | number > 0 or `null` | `null` |" in text
    # What must be given has no default, and what is cited can be followed.
    assert "| `dataset.archives[].path` | path | required |" in text
    assert "| `dataset.archives[].size` | integer > 0 or `null` | `null` |" in text
    assert "[quirk D12](specification.md#quirk-d12)" in text and "docs/" not in _tables_of(text)
    abouts = re.findall(r"^## .*\n\n([^|]+?)\n\n", text, re.MULTILINE)
    assert len(abouts) > 20 and all(re.match(r"[A-Z](.|\n)*\.$", about) for about in abouts)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"training": {"batch_size": 0}}, "training.batch_size"),
        ({"training": {"optimizer": {"learning_rate": -1}}}, "training.optimizer.learning_rate"),
        ({"input": {"image_scale": [0, 200]}}, "input.image_scale"),
        (
            {"training": {"epochs": 2, "validate_from": 3}},
            "validate_from = 3 is larger than epochs = 2",
        ),
    ],
)
def test_values_that_could_only_fail_later_are_refused(values: dict, place: str) -> None:
    with pytest.raises(InputError, match=place):
        parse_config(values, "config", Config)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metric": "foo"}, "vatrack has no 'foo'; give null, or a name of docs/metrics.md"),
        ({"metric": "auto"}, "vatrack has no 'auto'; give null"),
        ({"metric": "vide/amodal/AP"}, "; did you mean video/amodal/AP"),
        ({"metric": "video/amodal/AP", "methods": ["vatrack", "qdtrack"]}, "qdtrack has no"),
        ({"metric": "image/hidden/IoU", "methods": ["amodaltrack"]}, "amodaltrack has no"),
        ({"metric": "image/amodal/AR10", "extended": False}, "without evaluation.extended"),
    ],
)
def test_a_metric_that_no_run_will_have_is_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=r"selection\.metric: ") as refused:
        parsed(
            selection={"metric": values["metric"]},
            methods=values.get("methods", ["vatrack"]),
            evaluation={"extended": values.get("extended", True)},
        )
    assert message in str(refused.value)


def test_metrics_that_every_run_will_have() -> None:
    for metric in (None, "track/visible_box/HOTA", "image/hidden/Recall", "video/amodal/AR100"):
        assert parsed(selection={"metric": metric}).selection.metric == metric
    run = Config().for_run(Method.QDTRACK, Backbone.RESNET18).model_dump(mode="json")
    with pytest.raises(InputError, match="qdtrack has no 'video/amodal/AP'"):
        parse_config(run | {"selection": {"metric": "video/amodal/AP"}}, "run", RunConfig)


def test_occlusion_limits_with_and_without_their_end() -> None:
    data = DatasetConfig()
    assert 0.75 < data.frame_limit < 0.7500001
    assert data.video_limit == 0.75
    data = DatasetConfig(max_occlusion_inclusive=False, video_max_occlusion_inclusive=True)
    assert data.frame_limit == 0.75 < data.video_limit


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"archives": [{"path": "a.tar"}]}, "archives need an output folder"),
        ({"clips": {"fetch": True}}, "clips.fetch needs a path"),
        (
            {"clips": {"fetch": True, "structure": "cuts.json"}},
            "clips.fetch needs a path in clips.structure and an address",
        ),
    ],
)
def test_parts_of_the_data_set_that_need_others(dataset: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_config({"dataset": dataset}, "test.yaml", Config)
