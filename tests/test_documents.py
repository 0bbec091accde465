"""The documents say what is there: names, links, verbs, examples and dependencies are compared with the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from penjing.cli.main import VERBS
from penjing.pipeline.config import read_config

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "README.zh-CN.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"]
READMES = ["README.md", "README.zh-CN.md"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXAMPLES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "example_plugins").rglob("*.py"))
_FENCED = re.compile(r"^(?:<!-- (?P<mark>[^\n]+?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[tuple[str, str, str]]:
    """Return (mark, language, code) of each fenced block; the mark is the comment in the line above it."""
    return [(found["mark"] or "", found["language"], found["code"]) for found in _FENCED.finditer(text_of(name))]


def prose(name: str) -> str:
    return _FENCED.sub("", text_of(name))


def code_of(name: str) -> str:
    """Return everything written as code, in blocks and within lines; Python aside, where `penjing` is a module."""
    shell = [code for _, language, code in blocks(name) if language in ("sh", "")]
    return "\n".join([*shell, *re.findall(r"`([^`\n]+)`", prose(name))])


def without_captions(code: str) -> list[str]:
    """Return the lines of a block without what is translated: the captions after `# `."""
    return [re.sub(r"(^|\s+)# .*", "", line) for line in code.splitlines()]


def normalised(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def dependencies() -> set[str]:
    project = PROJECT["project"]
    extras = [one for group in project["optional-dependencies"].values() for one in group]
    return {normalised(one) for one in [*PROJECT["build-system"]["requires"], *project["dependencies"], *extras]}


def test_both_readmes_have_the_same_sections() -> None:
    english, chinese = ([len(level) for level in re.findall(r"^(#+) ", prose(name), re.MULTILINE)] for name in READMES)
    assert english == chinese


def test_both_readmes_have_the_same_code() -> None:
    english, chinese = ([(mark, language, without_captions(code)) for mark, language, code in blocks(name)] for name in READMES)
    assert english == chinese


def test_both_readmes_have_the_same_tables_and_lists() -> None:
    english, chinese = (re.findall(r"^(\| `?[\w ]+`? \||- |\d\. )", prose(name), re.MULTILINE) for name in READMES)
    words = [[found for found in side if not found.startswith("| ") or found.startswith("| `") or found[2].isdigit()] for side in (english, chinese)]
    assert words[0] == words[1]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose(name))
    missing = [link for link in links if "://" not in link and not (ROOT / name).parent.joinpath(link).exists()]
    assert not missing


@pytest.mark.parametrize("name", READMES)
def test_everything_in_the_captioned_tree_exists(name: str) -> None:
    (tree,) = [code for mark, _, code in blocks(name) if mark == "tree"]
    places: list[str] = []
    for line in tree.splitlines():
        path, caption = line.split("# ", 1)
        depth = (len(path) - len(path.lstrip())) // 2
        places = [*places[:depth], path.strip()]
        assert caption.strip()
        assert (ROOT / "".join(places)).exists(), f"{''.join(places)} does not exist"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_verb_that_is_written_exists(name: str) -> None:
    written = set(re.findall(r"(?<![\w./-])penjing ([a-z]+)\b", code_of(name)))
    assert written <= VERBS.keys()


@pytest.mark.parametrize("name", READMES)
def test_the_table_of_verbs_lists_them_all_in_their_order(name: str) -> None:
    assert re.findall(r"^\| `penjing (\w+)` \|", prose(name), re.MULTILINE) == list(VERBS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_option_that_is_written_is_taken(name: str) -> None:
    from penjing.cli.main import penjing_command

    for verb, rest in re.findall(r"(?<![\w./-])penjing ([a-z]+)\b([^\n`]*)", code_of(name)):
        command = penjing_command.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)(--?[a-z]+(?:-[a-z]+)*)", rest.split("  # ")[0])) <= known, f"penjing {verb}{rest}"


@pytest.mark.parametrize("name", READMES)
def test_a_config_that_is_shown_is_one_that_is_read(name: str, tmp_path: Path) -> None:
    shown = [code for _, language, code in blocks(name) if language == "yaml"]
    assert shown
    for code in shown:
        (tmp_path / "penjing.yaml").write_text(code, encoding="utf-8")
        read_config(tmp_path / "penjing.yaml")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_set_that_is_written_is_a_key(name: str) -> None:
    for override in re.findall(r"--set (?:'([^']+)'|([\w.]+=[^\s`]+))", code_of(name)):
        read_config(None, ["".join(override)], {"data": {"source": "reviews.csv"}})


@pytest.mark.parametrize("name", DOCUMENTS)
def test_python_that_is_shown_is_python(name: str) -> None:
    for mark, language, code in blocks(name):
        if language == "python":
            compile(code, mark or name, "exec")


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_worked_example_is_shown_as_it_is(example: str) -> None:
    shown = {mark.removeprefix("file: "): code for mark, _, code in blocks("CONTRIBUTING.md") if mark.startswith("file: ")}
    assert shown.get(example, "").strip() == text_of(example).strip(), f"copy {example} into its block in CONTRIBUTING.md"


def test_every_worked_example_that_is_shown_exists() -> None:
    shown = [mark.removeprefix("file: ") for mark, _, _ in blocks("CONTRIBUTING.md") if mark.startswith("file: ")]
    assert sorted(shown) == EXAMPLES


def test_every_dependency_has_its_reason() -> None:
    section = text_of("CONTRIBUTING.md").split("## Dependencies")[1]
    assert set(re.findall(r"^\| `([\w.-]+)` \|", section, re.MULTILINE)) == dependencies()


def test_the_lock_pins_every_dependency() -> None:
    pinned = {normalised(line) for line in text_of("requirements.lock").splitlines() if re.match(r"[\w.-]+==[\w.+!]+$", line)}
    assert dependencies() <= pinned


def test_the_floors_are_those_that_are_held() -> None:
    (layers,) = [contract["layers"] for contract in PROJECT["tool"]["importlinter"]["contracts"] if contract["type"] == "layers"]
    held = [sorted(room.strip().removeprefix("penjing.") for room in layer.split("|")) for layer in layers]
    rows = re.findall(r"^\| (\d) \| ((?:`\w+` ?)+)\|", text_of("ARCHITECTURE.md"), re.MULTILINE)
    assert [sorted(re.findall(r"`(\w+)`", rooms)) for _, rooms in rows] == held
    assert [int(floor) for floor, _ in rows] == list(range(len(held)))[::-1]


def test_every_import_contract_is_explained() -> None:
    for contract in PROJECT["tool"]["importlinter"]["contracts"]:
        assert f"| {contract['name']} |" in text_of("ARCHITECTURE.md")


@pytest.mark.parametrize("name", READMES)
def test_every_extra_that_is_written_exists(name: str) -> None:
    written = {extra for group in re.findall(r"\[([a-z,]+)\]'", code_of(name)) for extra in group.split(",")}
    assert written <= PROJECT["project"]["optional-dependencies"].keys()


def test_the_licence_is_the_whole_of_apache_2() -> None:
    licence = text_of("LICENSE")
    assert PROJECT["project"]["license"] == "Apache-2.0"
    for part in ("Version 2.0, January 2004", "9. Accepting Warranty or Additional Liability", "END OF TERMS AND CONDITIONS"):
        assert part in licence
