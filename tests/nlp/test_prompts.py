"""Prompts: read and checked, filled in a sandbox, tested, compared, saved; and what is wrong with one is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nlp.generation.task import TASK
from nlp.prompts.forms import Form
from nlp.prompts.prompt import packed, read_prompt
from nlp.prompts.store import find_prompt, prompt_diff, prompt_folders, save_prompt
from nlp.prompts.template import compile_template
from nlp.prompts.testing import check_prompt
from nlp.qa.generate import UNKNOWN, messages
from nlp.retrieval.types import Passage
from shared.cli import prompts
from shared.errors import DataError, UnknownNameError, UsageError
from shared.weights.folder import read_model_folder

TOML = """name = "greeting"
version = "1.0.0"
summary = "says hello"
licence = "MIT"
[variables]
name = { type = "text" }
times = { type = "whole", default = 1 }
"""
TEMPLATE = (
    "{% block system %}Be kind.{% endblock %}\n{% block user %}Hello {{ name }}, {{ times }} times{% endblock %}\n"
)


@pytest.fixture
def make(tmp_path: Path, empty_home: Path) -> Callable[..., Path]:
    def write(toml: str = TOML, template: str = TEMPLATE, examples: str | None = None, name: str = "greeting") -> Path:
        folder = tmp_path / "prompts" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prompt.toml").write_text(toml)
        (folder / "template.j2").write_text(template)
        if examples is not None:
            (folder / "examples.jsonl").write_text(examples)
        return folder

    return write


def test_a_prompt_is_filled_in(make: Callable[..., Path]) -> None:
    prompt = find_prompt(make())
    assert prompt.messages(name="Ann") == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello Ann, 1 times"},
    ]
    assert prompt.messages(name="<b>", times=2)[1]["content"] == "Hello <b>, 2 times"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, r"needs the variables name \(text\). Got none"),
        ({"name": "x", "tmes": 2}, "no variable of the prompt greeting is called 'tmes'. Nearest: times"),
        ({"name": 3}, "the variable name must be of type text. Got 3"),
        ({"name": "x", "times": True}, "the variable times must be of type whole. Got True"),
        ({"name": "x", "times": "2"}, "the variable times must be of type whole"),
    ],
)
def test_wrong_variables_say_so(make: Callable[..., Path], values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_prompt(make()).messages(**values)


@pytest.mark.parametrize(
    ("toml", "template", "error", "words"),
    [
        ("nmae = 1\n" + TOML, TEMPLATE, UnknownNameError, "no field of .*prompt.toml is called 'nmae'. Nearest: name"),
        (TOML.replace('"greeting"', '"Gr eeting"'), TEMPLATE, DataError, "name must be of small letters"),
        (TOML.replace("1.0.0", "1.0"), TEMPLATE, DataError, "version must be three numbers"),
        (TOML.replace('"whole"', '"int"'), TEMPLATE, UnknownNameError, "no type of variables.times"),
        (TOML.replace("default = 1", 'default = "a"'), TEMPLATE, UsageError, "must be of type whole"),
        (TOML.replace("default", "defalt"), TEMPLATE, UnknownNameError, "'defalt'. Nearest: default"),
        (TOML, TEMPLATE + "{{ extra }}", DataError, "must stand in a block"),
        (TOML, TEMPLATE.replace("{{ times }}", "{{ tims }}"), DataError, "It reads tims"),
        (TOML + 'more = { type = "text" }\n', TEMPLATE, DataError, "It never reads more"),
        (TOML, "{% block user %}{{ name }", DataError, "template.j2.* must be a Jinja template"),
        (TOML, "{% block robot %}{{ name }}{{ times }}{% endblock %}", DataError, "Got .'robot'."),
        (TOML, "hello", DataError, "must stand in a block"),
        (TOML, "{% include 'x' %}" + TEMPLATE, DataError, "It takes another template in .include."),
        (TOML, "{% block user %}{% block user_2 %}{% endblock %}{% endblock %}", DataError, "none within another"),
        (TOML + '[output]\nform = "jsn"\n', TEMPLATE, UnknownNameError, "no form of output .* Nearest: json"),
        (TOML + '[output]\nform = "label"\n', TEMPLATE, DataError, "output.labels must be a list"),
        (TOML + '[output]\nform = "json"\nkeys = { a = "txt" }\n', TEMPLATE, UnknownNameError, "Nearest: text"),
        ('digest = "0123"\n' + TOML, TEMPLATE, DataError, "raise the version and state this digest"),
        ("name = [", TEMPLATE, DataError, "must be a prompt's folder"),
    ],
)
def test_a_wrong_prompt_says_so(
    make: Callable[..., Path], toml: str, template: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        read_prompt(make(toml, template))


@pytest.mark.parametrize(
    "body",
    [
        "{{ name.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ name.format.__globals__ }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ range(10) }}",
        "{{ lipsum() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% for i in range(1000000000) %}x{% endfor %}",
        "{{ times / 0 }}",
        "{{ name + 1 }}",
        "{{ parts.append(1) }}",
        "{{ name * 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ name.ljust(1000000000) }}",
        "{% for a in parts %}{{ long }}{% endfor %}",
    ],
)
def test_a_template_runs_no_code(body: str) -> None:
    made = compile_template("{% block user %}" + body + "{% endblock %}", "t")
    with pytest.raises(UsageError, match="must only write its variables|fails on these variables|must have at most"):
        made.messages({"name": "x", "times": 1, "parts": ["a", "b", "c"], "long": "x" * 400_000})


def test_a_version_means_the_same_words(make: Callable[..., Path]) -> None:
    folder = make()
    digest = read_prompt(folder).digest
    make(f'digest = "{digest}"\n' + TOML.replace("says hello", "another summary"))
    assert read_prompt(folder).digest == digest  # what is said of it is not what it says
    make(f'digest = "{digest}"\n' + TOML, TEMPLATE.replace("kind", "brief"))
    with pytest.raises(DataError, match="the content must be that of version 1.0.0"):
        find_prompt(folder)
    make(TOML.replace("default = 1", "default = 2"))
    assert read_prompt(folder).digest != digest


def test_what_ships_states_its_digest_and_passes_its_tests() -> None:
    shipped = {name: folder for name, folder in prompt_folders().items() if "shipped" in folder.parts}
    assert set(shipped) >= {"grounded-answer", "short-answer"}
    for folder in shipped.values():
        assert f'digest = "{read_prompt(folder).digest}"' in (folder / "prompt.toml").read_text()
        assert all(row["ok"] for row in check_prompt(read_prompt(folder)))


def test_answers_from_an_index_are_asked_for_by_the_first_of_them() -> None:
    passage = Passage("a.md", None, "Alps", "The {{ x }} is <high>.", 0, 22)
    system, user = messages("How high?", [passage])
    assert system["content"].endswith(f"write only: {UNKNOWN}")
    assert user == {"role": "user", "content": "[1] Alps\nThe {{ x }} is <high>.\n\nQuestion: How high?"}


@pytest.mark.parametrize(
    ("form", "text", "fault"),
    [
        (Form(), "anything", ""),
        (Form(), "  ", "must not be empty"),
        (Form("label", ("yes", "no")), " yes ", ""),
        (Form("label", ("yes", "no")), "yes.", "must be one of yes, no"),
        (Form("json", keys={"a": "number"}), '{"a": 1, "b": []}', ""),
        (Form("json", keys={"a": "number"}), '```json\n{"a": 1}\n```', ""),
        (Form("json", keys={"a": "number"}), '{"a": true}', "must have the key 'a' as a number"),
        (Form("json"), "[1]", "must be one JSON object"),
        (Form("json"), "{", "must be one JSON object"),
        (Form("cited", unknown="I don't know."), "I don't know.", ""),
        (Form("cited"), "A [1]. B [2, 3].", ""),
        (Form("cited"), "A [1]. B.", "must cite a passage in each sentence; 'B.' cites none"),
    ],
)
def test_a_form_is_checked(form: Form, text: str, fault: str) -> None:
    assert form.fault(text) == fault


def test_examples_show_what_is_wrong(make: Callable[..., Path]) -> None:
    rows = [
        {"id": "good", "variables": {"name": "Ann"}, "completion": "Hi", "says": ["Hello Ann"]},
        {"id": "silent", "variables": {"name": "Ann"}, "says": ["Hello Bob"]},
    ]
    prompt = find_prompt(make(examples="".join(json.dumps(row) + "\n" for row in rows)))
    found = check_prompt(prompt)
    assert [row["ok"] for row in found] == [True, False]
    assert found[1]["fault"] == "what the model is told must hold 'Hello Bob'"
    make(examples='{"variables": {"nme": "Ann"}}\n')
    with pytest.raises(UsageError, match="examples.jsonl, row 1: no variable of the prompt greeting is called 'nme'"):
        check_prompt(prompt)
    (prompt.folder / "examples.jsonl").unlink()
    with pytest.raises(DataError, match="must have an evaluation set to be tested"):
        check_prompt(prompt)


def test_a_difference_is_shown(make: Callable[..., Path]) -> None:
    one = find_prompt(make())
    other = find_prompt(make(TOML.replace("1.0.0", "1.1.0"), TEMPLATE.replace("kind", "brief"), name="other"))
    lines = prompt_diff(one, other)
    assert [line for line in lines if line[0] in "+-" and "block system" in line] == [
        "-{% block system %}Be kind.{% endblock %}",
        "+{% block system %}Be brief.{% endblock %}",
    ]
    assert lines[0].startswith("--- greeting 1.0.0 ")
    assert not prompt_diff(one, one)


def test_a_prompt_is_saved_as_a_model_folder(make: Callable[..., Path], tmp_path: Path) -> None:
    prompt = find_prompt("grounded-answer")
    card = save_prompt(prompt, tmp_path / "out")
    assert packed(tmp_path / "out")
    assert read_model_folder(tmp_path / "out") == card
    assert (card.family, card.options["version"], card.licence) == ("prompt", "1.0.0", "Apache-2.0")
    assert read_prompt(tmp_path / "out").digest == prompt.digest
    with pytest.raises(UsageError, match="must be a new or empty folder"):
        save_prompt(prompt, tmp_path / "out")


def test_the_users_own_come_first(make: Callable[..., Path], empty_home: Path) -> None:
    shutil.copytree(make(), empty_home / "prompts" / "greeting")
    assert find_prompt("greeting").version == "1.0.0"
    with pytest.raises(UnknownNameError, match="no prompt is called 'greting'. Nearest: greeting"):
        find_prompt("greting")


def invoke(*words: str) -> Any:
    done = CliRunner().invoke(prompts.command, list(words), standalone_mode=False, catch_exceptions=False)
    return done.return_value, done.stdout


def test_the_command(make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "find_task", lambda name: {"nlp.generation": TASK}[name])
    folder = str(make(examples='{"id": "a", "variables": {"name": "Ann"}, "completion": "Hi Ann", "says": ["Bob"]}\n'))
    code, out = invoke("list")
    assert (code, "grounded-answer          1.0.0" in out) == (0, True)
    code, out = invoke("show", folder)
    assert "times: whole, 1 when not given" in out
    assert "Hello {{ name }}" in out
    code, out = invoke("render", folder, "--set", "name=Ann")
    assert json.loads(out)[1]["content"] == "Hello Ann, 1 times"
    (tmp_path / "values.json").write_text('{"name": "Bob", "times": 3}')
    assert (
        json.loads(invoke("render", folder, "--values", str(tmp_path / "values.json"))[1])[1]["content"][-7:]
        == "3 times"
    )
    code, out = invoke("test", folder)
    assert (code, "a: what the model is told must hold 'Bob'" in out) == (1, True)
    assert invoke("diff", folder, folder) == (0, "")
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"id": "a", "text": "hi, ann"}\n')
    code, out = invoke("test", folder, "--model", str(answers), "--record", "--json")
    found = json.loads(out)
    assert found["metrics"]["em"]["value"] == 1.0
    assert json.loads(invoke("show", folder, "--json")[1])["figures"][0]["model"] == "answers"
    invoke("test", folder, "--model", str(answers), "--record")
    assert len(find_prompt(folder).figures()) == 1  # the same model's take the place of those before
    make(TOML, TEMPLATE.replace("kind", "brief"))
    assert find_prompt(folder).figures() == []  # they were of other words
    assert json.loads(invoke("save", folder, str(tmp_path / "saved"))[1])["name"] == "greeting"
    with pytest.raises(UsageError, match="name the model"):
        invoke("test", folder, "--record")
    with pytest.raises(UsageError, match="--set must be VARIABLE=TEXT"):
        invoke("render", folder, "--set", "name")
