"""The documentation says what is so: quoted files, commands, options, hooks, settings, tables."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest

from lmkit.cli.commands import COMMANDS
from lmkit.cli.main import cli
from lmkit.errors import ExitCode
from lmkit.registry import hookspecs
from lmkit.registry.component import KINDS
from lmkit.registry.lookup import Registry, installed
from lmkit.registry.values import as_typed
from lmkit.settings.changes import (
    effect_of,
    is_of_the_data,
    is_of_the_method,
    may_change_on_resume,
    separates_experiments,
)
from lmkit.settings.layers import COMPONENT_SECTIONS, CORE_SECTIONS, SEVERAL
from lmkit.settings.optimizer import PARTS, SCHEDULES, PartSettings
from lmkit.settings.sections import Effect, effects_of
from lmkit.testing.check import PROMISES

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
OUTSIDE = [*sorted(ROOT.glob("*.md")), ROOT / ".github" / "pull_request_template.md"]
"""Pages that the site does not have."""

PAGES = [*OUTSIDE, *DOCS]
EXAMPLE = ROOT / "plugins" / "example"
HOOKS = {name for name in vars(hookspecs) if name.startswith("lmkit_")}
OTHERS_OPTIONS = {"--check"}
"""Options in the text that are not lmkit's."""

OTHERS_COMMANDS = {"COMMAND", "label"}
"""What stands for any command, and what the page about plugins brings."""

NO_VARIABLES = {"LMKIT_API"}
"""What is called like an environment variable: an attribute of a plugin's module."""

NO_SETTINGS = {"py", "json", "predict", "predict_each", "detect", "fit", "safetensors", "settings"}
"""What may stand after the name of a section without being a setting: files, and Python."""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code(text: str) -> list[str]:
    """Return every line of code in a page: of blocks, and what stands in backticks."""
    fenced = re.findall(r"^```\w*[^\n]*\n(.*?)^```$", text, re.S | re.M)
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    indented = re.findall(r"^ {4}(.+)$", rest, re.M)
    inline = re.findall(r"`([^`\n]+)`", rest)
    return [line for block in fenced for line in block.splitlines()] + indented + inline


def invocations(text: str) -> list[list[str]]:
    """Return the words of every ``lmkit COMMAND ...`` in a page's code."""
    found = []
    for line in code(text):
        for part in re.split(r"&&|\|\|", line.partition("  #")[0].removeprefix("$ ")):
            if re.match(r"\s*lmkit [a-z]", part):
                found.append(shlex.split(part)[1:])
    return found


def commands() -> dict[str, click.Command]:
    """Return the commands by what is typed after ``lmkit``, those in a group after it."""
    context = click.Context(cli)
    found = {}
    brought = [record.name for record, plugin in installed().commands() if plugin.built_in]
    for name in (*COMMANDS, *brought):
        command = cli.get_command(context, name)
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {each}": inner for each, inner in command.commands.items()}
    return found


def command_of(words: list[str]) -> str:
    """Return which of the commands an invocation is of."""
    fitting = [each for each in commands() if words[: each.count(" ") + 1] == each.split()]
    return max(fitting, key=len, default="")


def options(command: click.Command) -> dict[str, click.Option]:
    context = click.Context(command, help_option_names=["-h", "--help"])
    params = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    return {word: each for each in params for word in each.opts}


def rows(text: str, columns: int) -> list[list[str]]:
    """Return the cells of the tables' rows that have this many columns."""
    lines = re.findall(r"^\|(.+)\|$", text, re.M)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    return [row for row in cells if len(row) == columns]


@pytest.mark.parametrize("script", ["generate_command_line.py", "generate_api.py"])
@pytest.mark.parametrize("columns", ["40", "200"])
def test_generated_pages_are_up_to_date_on_any_terminal(script, columns):
    result = subprocess.run(
        [sys.executable, str(ROOT / "docs" / script), "--check"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": columns},
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_quoted_files_are_the_files_themselves():
    quoted = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for title, block in re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', text, re.S | re.M):
            assert block == read(title), f"{name(page)} quotes {title} as it is not"
            quoted[title] = page
    package = EXAMPLE.glob("lmkit_example/*.*")
    own = [name(path) for path in package if path.suffix in (".py", ".toml")]
    assert {*own, name(EXAMPLE / "pyproject.toml")} <= quoted.keys()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_options_in_the_text_exist(page):
    known = commands()
    for words in invocations(page.read_text(encoding="utf-8")):
        if words[0] in OTHERS_COMMANDS:
            continue
        command = command_of(words)
        assert command, f"{name(page)}: lmkit {' '.join(words)}"
        accepted = options(known[command])
        for word in words[1:]:
            if word.startswith("-"):
                assert word in accepted, f"{name(page)}: lmkit {command} {word}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_named_alone_exist(page):
    known = {word for command in commands().values() for word in options(command)} | {"--version"}
    for line in code(page.read_text(encoding="utf-8")):
        if word := re.match(r"--[a-z][a-z-]*", line):
            assert word[0] in known | OTHERS_OPTIONS, f"{name(page)}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_components_and_recipes_that_commands_name_exist(page, registry: Registry):
    known = {kind: {each.component.name for each in registry.components(kind)} for kind in KINDS}
    known["recipe"] = {recipe.name for recipe, _ in registry.recipes()}
    # What the pages about plugins bring, and what the README's sketch is called.
    known["detector"] |= {"example", "lmkit_example/example", "mine"}
    known["detector"] |= {"ensemble"}
    known["loss"] |= {"mine", "teacher", "critic", "distil"}
    known["generator"] |= {"none"}
    known["writer"] |= {"none", "mail"}
    known["recipe"] |= {"example", "mine"}
    for words in invocations(page.read_text(encoding="utf-8")):
        chosen = [(a[2:], b) for a, b in pairwise(words) if a[2:] in known]
        if words[0] == "show" and words[1:2] and words[1] in known:
            chosen.append((words[1], words[2]))
        for kind, chosen_name in chosen:
            if chosen_name.isupper():  # NAME stands for any.
                continue
            # A sweep takes several; NAME:VALUE fills the option that a component is known by.
            for each in chosen_name.replace("+", ",").split(","):
                assert each.partition(":")[0] in known[kind], f"{name(page)}: {kind} {each}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_settings_in_the_text_exist(page):
    known = {section: {each.name for each in fields(cls)} for section, cls in CORE_SECTIONS.items()}
    sections = {*CORE_SECTIONS, *COMPONENT_SECTIONS, *SEVERAL, "section", "SECTION", "KIND"}
    for line in code(page.read_text(encoding="utf-8")):
        for section in re.findall(r"--set (\w+)\.\w", line):
            assert section in sections, f"{name(page)}: {line}"
        for section, key in re.findall(r"(?<![\w./])(run|optimizer|loading)\.(\w+)", line):
            if key not in {*NO_SETTINGS, "PART"}:
                assert key in known[section], f"{name(page)}: {section}.{key}"


def test_hooks_in_the_text_exist_and_all_are_told():
    packages = {path.name for path in (ROOT / "plugins").glob("lmkit_*")} | {"lmkit_example"}
    for page in PAGES:
        words = set(re.findall(r"\blmkit_[a-z_]+\b", page.read_text(encoding="utf-8")))
        assert words <= HOOKS | packages, name(page)
    assert set(re.findall(r"\blmkit_[a-z_]+\b", read("docs/plugins.md"))) >= HOOKS


def test_the_kinds_are_all_told():
    told = [row[0] for row in rows(read("docs/plugins.md"), 4)[2:]]
    assert told == [f"[{kind}](kinds/{kind}.md)" for kind in KINDS]


def test_the_checks_of_the_kit_are_all_told():
    told = [tuple(row) for row in rows(read("docs/testing.md"), 3)[2:]]
    assert told == [
        (
            f"`{each.name}`",
            "every kind" if each.kinds == KINDS else ", ".join(each.kinds),
            each.text.rstrip("."),
        )
        for each in PROMISES
    ]


def test_every_setting_is_told_with_its_default():
    told = {row[0]: row[1] for row in rows(read("docs/settings.md"), 4)}
    for section, cls in CORE_SECTIONS.items():
        for each in fields(cls):
            if each.name in PARTS:
                continue
            values = each.default if isinstance(each.default, tuple) else (each.default,)
            shown = ",".join(as_typed(value) for value in values)
            assert told.pop(f"`{section}.{each.name}`") == f"`{shown}`"
    for each in fields(PartSettings):
        assert told.pop(f"`optimizer.PART.{each.name}`") == f"`{as_typed(each.default)}`"
    assert not [key for key in told if key.startswith(("`run.", "`optimizer.", "`loading."))]


def test_exit_codes_are_told_as_they_are():
    told = [row for row in rows(read("docs/errors.md"), 3) if row[0].isdigit()]
    assert [(int(code), word) for code, word, _ in told] == [(c.value, c.name) for c in ExitCode]
    source = read("lmkit/errors.py")
    for _, _, meaning in told:
        assert f'"""{meaning}"""' in source


def test_environment_variables_are_those_that_are_read():
    pattern = r"\bLMKIT_[A-Z_]+\b"
    sources = [*(ROOT / "lmkit").rglob("*.py")]
    read_by_code = {
        word for path in sources for word in re.findall(pattern, path.read_text(encoding="utf-8"))
    }
    assert set(re.findall(pattern, read("docs/errors.md"))) == read_by_code - NO_VARIABLES
    for page in PAGES:
        assert set(re.findall(pattern, page.read_text(encoding="utf-8"))) <= read_by_code


def settings_of_the_core() -> dict[str, Effect]:
    return {
        f"{section}.{name}": effect
        for section, cls in CORE_SECTIONS.items()
        for name, effect in effects_of(cls).items()
    }


def test_settings_are_put_together_from_python_as_told():
    (source,) = re.findall(r"^```python\n(.*?)^```$", read("docs/settings.md"), re.S | re.M)
    found: dict[str, Any] = {}
    exec(source, found)
    settings = found["settings"].flat()
    assert (settings["run.steps"], settings["detector.depth"]) == (500, 3)
    assert settings["optimizer.schedule"] == "constant"
    assert settings["run.image_size"] == 40  # the recipe's


def test_every_setting_is_told_with_what_a_change_of_it_means():
    told = {row[0]: row[3] for row in rows(read("docs/settings.md"), 4)}
    for key, effect in settings_of_the_core().items():
        if key.partition(".")[2] in PARTS:
            key = "optimizer.PART.learning_rate"
        assert told[f"`{key}`"] == effect.value, f"docs/settings.md: {key} is {effect.value}"


def test_what_a_change_means_is_told_as_it_is():
    text = read("docs/settings.md").partition("## What a change means")[2].partition("## Types")[0]
    meanings = dict(rows(text, 2)[2:])
    assert [*meanings] == [effect.value for effect in Effect]
    source = read("lmkit/settings/sections.py")
    for meaning in meanings.values():
        assert f'"""{meaning}"""' in source
    told = {row[0]: [cell == "yes" for cell in row[1:]] for row in rows(text, 5)[2:]}
    keys = [*settings_of_the_core(), "data.name", "data.path", "detector.name", "writer.mail.to"]
    assert told == {
        effect_of(key).value: [
            may_change_on_resume(key),
            separates_experiments(key),
            is_of_the_method(key),
            is_of_the_data(key),
        ]
        for key in keys
    }


def test_the_schedules_are_all_told():
    told = {row[0]: row[2] for row in rows(read("docs/settings.md"), 4)}
    schedules = [f"`{name}`: {schedule.meaning}" for name, schedule in SCHEDULES.items()]
    assert told["`optimizer.schedule`"].split("; ")[1:] == schedules


def test_what_may_change_on_resume_is_told():
    section = read("docs/run-folder.md").partition("may differ:")[2]
    free = [key for key in settings_of_the_core() if may_change_on_resume(key)]
    assert re.findall(r"^- `([\w.*]+)`$", section, re.M) == [*free, "data.path", "writer.*"]


def test_the_recipes_are_all_told(registry: Registry):
    found = [(recipe.name, plugin) for recipe, plugin in registry.recipes() if plugin.built_in]
    own = {name for name, plugin in found if plugin.name == "lmkit.settings.recipes"}
    rows_of_the_paper = {name for name, plugin in found if plugin.name == "lmkit_interintra"}
    for page in ("README.md", "docs/method.md"):
        assert set(re.findall(r"^\| `([\w-]+)` \| .*Table", read(page), re.M)) == rows_of_the_paper
    told = " ".join(row[3] for row in rows(read("docs/methods.md"), 5))
    for recipe in {name for name, _ in found} - own - rows_of_the_paper:
        assert f"`{recipe}`" in told, f"docs/methods.md has no row with {recipe}"


def test_files_that_the_architecture_names_exist():
    tree = re.search(r"^    lmkit/.*?^    docs/$", read("docs/architecture.md"), re.S | re.M)
    assert tree
    path = ROOT
    depths: dict[int, Path] = {}
    for line in tree[0].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2 - 2
        listed = re.match(r"((?:[\w.]+(?:\.py|/) ?)+)", line.strip())
        assert listed, line
        for word in listed[0].split():
            path = depths.get(depth - 1, ROOT) / word
            assert path.exists(), f"{word} is not there"
        depths[depth] = path
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS)
    for mentioned in re.findall(r"`((?:lmkit|plugins|tests)/[\w/.]+)`", text):
        assert (ROOT / mentioned).exists(), mentioned


@pytest.mark.parametrize("page", OUTSIDE, ids=name)
def test_links_outside_of_the_site_lead_somewhere(page):
    # Those of the site are checked by mkdocs.
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_nothing_is_left_to_be_filled_in(page):
    assert "@@" not in page.read_text(encoding="utf-8")


def test_the_checks_install_and_test_in_the_words_of_the_readme():
    command = next(words for words in code(read("README.md")) if words.endswith("&& pytest"))
    script = read(".ci/run")
    for step in command.split(" && ")[2:]:
        quiet = step.replace("pip install", "pip install --quiet")
        assert f"check {quiet}\n" in script
