"""Messages: what to do about a problem stands behind a semicolon, in all of the package."""

from __future__ import annotations

import ast
import errno
import os
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from vatrack.common.errors import PERMIT, ConfigError, advised, is_of_path, with_fix

ROOT = Path(__file__).parents[2]
ERRORS = {
    "InputError", "ConfigError", "InvalidData", "FolderBusy", "FolderLost", "TrainingDiverged",
    "PredictionError", "JointFault",
}  # fmt: skip
# What an advice, or a part of it, begins with; or it says what something must be.
ORDERS = (
    "add ask check choose compare convert copy correct create delete do download evaluate "
    "exchange exclude export fix free give import install join keep list lower move number "
    "predict put raise remove rename repair replace restart restore run save see set track "
    "train try unpack use wait write"
)
VERBS = set(ORDERS.split())
RULE = re.compile(r"\b(must|needs?|needed|did you mean)\b")
# Behind a semicolon: names and expressions of advice that is written elsewhere.
ADVICE = {
    "again", "fix", "hint", "known[1]", "memory_advice()", "verb", "wanted.give",
    "INDEX.give", "JOINT.give", "OFFICIAL.give", "STRUCTURE.give",
}  # fmt: skip
# Functions that end every message of theirs with advice.
ADVISERS = {"meant()", "next_step()", "outdated_step()", "unknown()", "why_not()", "with_fix()"}
# Where messages are only passed on, or made of parts: the value that they end in.
FORWARDED = {
    "vatrack/api/evaluate.py": {"problem"},
    "vatrack/api/track.py": {r"'\n'.join()"},
    "vatrack/cli/file_options.py": {"text"},
    "vatrack/cli/weights.py": {"problem"},
    "vatrack/common/frame_folders.py": {"problem"},
    "vatrack/common/text_files.py": {"found"},
    "vatrack/config/classes.py": {"hint", "problem"},
    "vatrack/config/file_classes.py": {"hint", "problem"},
    "vatrack/config/reading.py": {r"'\n  '.join()"},
    "vatrack/data/checks.py": {"text"},
    "vatrack/data/fields.py": {"damage()", "error"},
    "vatrack/data/joint/annotations.py": {"text"},
    "vatrack/data/joint/faults.py": {"wrong", "': '.join()"},
    "vatrack/data/joint/file.py": {"error.without()"},
    "vatrack/data/joint/prepare.py": {"error"},
    "vatrack/data/loading_process.py": {"*arguments"},
    "vatrack/data/pairs.py": {"problem"},
    "vatrack/evaluation/io/offsets.py": {"text", "problem or unknown_image(image)"},
    "vatrack/evaluation/io/predictions.py": {"text", "*first"},
    "vatrack/exchange/listing.py": {"hint"},
    "vatrack/exchange/masks.py": {"text", "problem()"},
    "vatrack/importers/writing.py": {"NEEDED['flag']"},
    "vatrack/jobs/call.py": {"self.text"},
    "vatrack/jobs/slurm.py": {"problem"},
    "vatrack/reporting/curves.py": {"str()"},
    "vatrack/reporting/layers.py": {"text"},
    "vatrack/runs/select.py": {"hint"},
    "vatrack/sailvos/annotate/findings.py": {"named[0]", r"'\n  '.join()"},
    "vatrack/sailvos/annotate/mask_files.py": {"error"},
    "vatrack/sailvos/annotate/videos.py": {"hint"},
    "vatrack/sailvos/index.py": {"hint"},
    "vatrack/sailvos/official.py": {"fault.text"},
    "vatrack/validate/__init__.py": {"str()", r"'\n'.join()"},
    "vatrack/validate/joint.py": {"str()"},
    "vatrack/validate/first_config.py": {r"'\n'.join()"},
    "vatrack/weights/openmmlab.py": {"_refusal()"},
    "vatrack/weights/tensors.py": {"_nothing()"},
    "workflow/lib/data_plan.py": {"str()"},
}


def written(node: ast.expr) -> Iterator[ast.expr]:
    """The parts of a message in order: texts, and what is put between them."""
    if isinstance(node, ast.JoinedStr):
        for part in node.values:
            yield from written(part)
    elif isinstance(node, ast.BinOp):
        yield from (*written(node.left), *written(node.right))
    else:
        yield node.value if isinstance(node, ast.FormattedValue) else node


def advises(text: str) -> bool:
    """Whether a part of a text is an order or says what something must be."""
    parts = (part.split() for part in re.split(r"[;:,.] ", re.sub(r"\{[^{}]*\}", " ", text)))
    return bool(RULE.search(text)) or any(
        words[words[0] == "otherwise" and len(words) > 1].strip(".,") in VERBS
        for words in parts
        if words
    )


def message_of(node: ast.expr, constants: Mapping[str, str]) -> str:
    """A message as one text, with values in braces and constants of the package put in."""
    shown = []
    for part in written(node):
        name = ast.unparse(part)
        value = part.value if isinstance(part, ast.Constant) else constants.get(name)
        shown.append(f"{{{name}}}" if value is None else str(value))
    return "".join(shown)


def says_what_to_do(message: str) -> bool:
    """Whether advice stands behind a semicolon, or a value that is known to be some."""
    _, mark, advice = message.partition("; ")
    given = re.match(r"\{([^{}]*)\}", advice.rpartition("; ")[2])
    return bool(mark) and (advises(advice) or bool(given and given[1] in ADVICE))


def constants_of(trees: Iterable[ast.Module]) -> dict[str, str]:
    """The texts in capitals of all modules; where two have one name, the one without advice."""
    found: dict[str, str] = {}
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if name.strip("_").isupper() and isinstance(
                    node.value, ast.Constant | ast.JoinedStr | ast.BinOp
                ):
                    text = message_of(node.value, {})
                    if name not in found or not advises(text):
                        found[name] = text
    return found


def without_advice(
    tree: ast.Module, constants: Mapping[str, str], forwarded: set[str]
) -> list[str]:
    """Messages that neither say what to do nor end in one of the texts that a module forwards."""
    return [
        f"line {node.lineno}: {message}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ERRORS
        and node.args
        for message in [message_of(node.args[-1], constants)]
        if not says_what_to_do(message) and not ending(node.args[-1]) & (ADVISERS | forwarded)
    ]


def ending(node: ast.expr) -> set[str]:
    """The value that a message ends in, if it does: its name, or the function that is called."""
    last = list(written(node))[-1]
    if isinstance(last, ast.Constant):
        return set()
    return {ast.unparse(last.func) + "()" if isinstance(last, ast.Call) else ast.unparse(last)}


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
        for folder in ("vatrack", "workflow", "snakemake_logger_plugin_vatrack")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def unadvised(modules: Mapping[str, ast.Module], name: str, forwarded: set[str]) -> list[str]:
    constants = constants_of(modules.values()) | constants_of([modules[name]])
    return without_advice(modules[name], constants, forwarded)


def test_every_message_says_what_to_do(modules: dict[str, ast.Module]) -> None:
    found = {
        name: messages
        for name in modules
        if (messages := unadvised(modules, name, FORWARDED.get(name, set())))
    }
    assert found == {}, "what is to be done? write '...; do this'"


def test_every_forwarding_place_exists(modules: dict[str, ast.Module]) -> None:
    needless = {
        (name, text)
        for name, texts in FORWARDED.items()
        for text in texts
        if unadvised(modules, name, texts) == unadvised(modules, name, texts - {text})
    }
    assert needless == set()


@pytest.mark.parametrize(
    ("message", "sound"),
    [
        ('"is wrong"', False),
        ('f"{path}: is wrong: {name}"', False),
        ('f"{path}: is {shown} in one" " and another"', False),
        ('f"{path}: is wrong; " "correct it"', True),
        ('f"{path}: is wrong; the file may be cut off: {AGAIN}"', True),
        ('f"{path}: is wrong; {AGAIN}"', True),
        ('f"{path}: is wrong; {OTHER}"', False),
        ('f"{path}: is wrong; {fix}"', True),
        ('f"{path}: is wrong; {name}"', False),
        ('f"{path}: is wrong; a, b and c are known"', False),
        ('f"{path}: is wrong; ids must be unique"', True),
        ('f"{path}: {problem}"', True),
        ('f"{path}: {other}"', False),
        ('unknown("class", name, known)', True),
        ('other("class", name, known)', False),
        ("error.text", False),
    ],
)
def test_what_the_test_sees(message: str, sound: bool) -> None:
    tree = ast.parse(f"raise InputError({message})")
    constants = {"AGAIN": "download it again", "OTHER": "a thing"}
    assert (without_advice(tree, constants, {"problem"}) == []) is sound


def test_advice_is_given_once() -> None:
    assert advised("is wrong", "correct it") == "is wrong; correct it"
    assert advised("is wrong; remove it", "correct it") == "is wrong; remove it"


def test_what_the_system_says_has_a_fix() -> None:
    for number, fix in (
        (errno.ENAMETOOLONG, "choose a shorter name"),
        (errno.ENOENT, "check the path, or choose another one"),
    ):
        error = OSError(number, os.strerror(number), "x")
        assert with_fix(error) == f"{error}; {fix}"
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x")
    assert with_fix(error) == f"x: permission denied; {PERMIT}"
    assert with_fix(PermissionError(13, "Permission denied"), "x") == with_fix(error)
    assert is_of_path(error)
    assert not is_of_path(OSError(errno.ENOSPC, "full")) and not is_of_path(OSError("no number"))
    error = OSError(errno.ELOOP, os.strerror(errno.ELOOP), "x")
    assert with_fix(error) == "x: is a broken link; correct or remove it"
    assert with_fix(OSError("odd")) == "odd"


def test_a_folder_that_was_removed_under_the_process_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(FileNotFoundError) as caught:
        Path("x").absolute()
    assert with_fix(caught.value) == "the current folder no longer exists; choose another one (cd)"


def test_a_config_is_named_where_its_file_is_known() -> None:
    error = ConfigError("seed", "is odd; choose another")
    assert str(error) == "config: seed: is odd; choose another"
    arrived = pickle.loads(pickle.dumps(error))  # as from a job
    arrived.source = "mine.yaml"
    again = pickle.loads(pickle.dumps(arrived))
    assert type(again) is ConfigError
    assert str(again) == "mine.yaml: seed: is odd; choose another"


def test_no_message_names_a_config_by_itself(modules: dict[str, ast.Module]) -> None:
    texts = (
        (name, node.value)
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    assert [found for found in texts if found[1].startswith("config: ")] == []
