"""Who may import whom: the layers of lmkit, what stays light, and who may print."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import lmkit
from lmkit import api
from lmkit.registry.lookup import installed

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "lmkit").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").glob("lmkit_*/**/*.py"))

LAYERS = {
    "": "errors run training",
    "api": "errors registry settings geometry interfaces training campaigns cli",
    "bench": "errors registry settings interfaces data runtime prediction preparation training",
    "campaigns": "errors registry storage records settings data runtime run preparation training "
    "evaluation",
    "cli": "errors registry storage settings interfaces points data runtime run prediction "
    "preparation training evaluation comparison campaigns bench templates testing",
    "comparison": "errors registry storage settings interfaces points data runtime run "
    "preparation evaluation",
    "data": "errors seeds registry storage settings geometry interfaces",
    "drawing": "errors",
    "errors": "",
    "evaluation": "errors seeds storage settings geometry interfaces drawing points data runtime "
    "prediction run preparation",
    "export": "errors storage geometry interfaces points",
    "geometry": "errors",
    "interfaces": "errors storage records geometry",
    "points": "errors seeds storage",
    "prediction": "errors storage geometry interfaces drawing points data runtime",
    "preparation": "errors registry storage settings interfaces drawing data runtime run",
    "records": "errors storage",
    "registry": "errors storage",
    "run": "errors registry storage records settings interfaces points export data runtime "
    "prediction",
    "runtime": "errors seeds registry settings geometry interfaces",
    "seeds": "",
    "settings": "errors records registry storage",
    "storage": "errors",
    "templates": "api errors registry testing",
    "testing": "errors seeds registry settings geometry interfaces export data runtime",
    "training": "errors seeds registry storage records settings geometry interfaces drawing data "
    "runtime prediction run preparation",
    "__main__": "cli",
}
"""What each part of lmkit may import of lmkit, beside itself. Every part has a row; \"\" is
lmkit's own namespace. The names of that and of ``api`` are loaded on first use, so that both may
name what stands above whoever imports them."""

HEAVY = {"PIL", "numpy", "rich", "safetensors", "timm", "torch", "torchvision"}
LIGHT = [
    *("lmkit", "lmkit.__main__", "lmkit.api", "lmkit.errors", "lmkit.records", "lmkit.seeds"),
    *("lmkit.cli", "lmkit.registry", "lmkit.settings", "lmkit.storage"),
    *("lmkit.data.plugin", "lmkit.runtime.launch"),
]
"""What is imported by ``lmkit --help`` and ``lmkit list``: these modules, and all below them."""

RICH = "lmkit.cli.terminal"
"""The one file that draws on the terminal; imported inside functions alone."""


class Import(NamedTuple):
    where: str
    """File and line."""
    importer: str
    """The module that imports."""
    imported: str
    """The module that is imported, or the name in it."""
    at_once: bool
    """Whether that happens when the importer is imported, and not in a function or for types."""


def module_name(file: Path) -> str:
    base = ROOT if file.is_relative_to(ROOT / "lmkit") else ROOT / "plugins"
    parts = file.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(files: list[Path]) -> Iterator[Import]:
    for file in files:
        yield from imports_of(file)


@cache
def imports_of(file: Path) -> list[Import]:
    return list(read_imports(file))


def read_imports(file: Path) -> Iterator[Import]:
    module = module_name(file)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node, at_once in walk(ast.parse(file.read_text(encoding="utf-8")), at_once=True):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            home = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            # "from lmkit import config" imports a module, "from lmkit import Run" a name.
            names = [f"{home}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(f"{file.relative_to(ROOT)}:{node.lineno}", module, name, at_once)


def walk(node: ast.AST, *, at_once: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        later = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield child, at_once
        yield from walk(child, at_once=at_once and not for_types and not later)


def belongs(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def part(name: str) -> str:
    """Return which part of lmkit a module or name belongs to; "" for lmkit's own names."""
    first = name.split(".")[1] if "." in name else ""
    return first if first in parts() else ""


@cache
def parts() -> set[str]:
    known = {module_name(file).split(".")[1] for file in CORE if file.parent != ROOT / "lmkit"}
    return known | {file.stem for file in (ROOT / "lmkit").glob("*.py")}


def offences(files: list[Path], forbidden) -> list[str]:
    return [
        f"{each.where}: {each.importer} imports {each.imported}"
        for each in imports(files)
        if forbidden(each)
    ]


def may_import(importer: str, imported: str) -> bool:
    if imported == "lmkit.__version__":
        return True
    source, target = part(importer), part(imported)
    if not target:  # Its names are loaded on first use; the core takes them from where they are.
        return source == "templates"
    return target in (source, *LAYERS[source].split())


def is_light(name: str) -> bool:
    if not belongs(name, "lmkit"):
        return name.split(".")[0] not in HEAVY
    if belongs(name, RICH):
        return False
    # A name of the two facades is as light as the module that it is loaded from.
    for facade in (lmkit, api):
        home = facade._HOMES.get(name.removeprefix(f"{facade.__name__}."))
        if home is not None:
            return is_light(f"lmkit.{home}")
    return part(name) == "" or any(belongs(name, light) for light in LIGHT[1:])


def starts_at_once(module: str) -> bool:
    """Whether a module is imported before anybody has asked for anything."""
    # Imported on the way to modules that are light.
    above = ["lmkit.data", "lmkit.runtime"]
    plugin = module.startswith("lmkit_") and "." not in module
    return plugin or module in above or (belongs(module, "lmkit") and is_light(module))


def test_there_is_something_to_check():
    assert {"lmkit.registry.lookup", "lmkit.geometry.warps"} <= {module_name(f) for f in CORE}
    assert "lmkit_interintra" in {module_name(f) for f in PLUGINS}
    assert any(not each.at_once for each in imports(CORE))


def test_each_layer_imports_only_what_is_below_it():
    found = offences(
        CORE,
        lambda each: (
            belongs(each.imported, "lmkit") and not may_import(each.importer, each.imported)
        ),
    )
    assert found == []


def test_every_part_has_a_row():
    parts = {part(module_name(file)) for file in CORE}
    assert parts == set(LAYERS)
    assert {word for row in LAYERS.values() for word in row.split()} <= parts


def test_no_module_imports_itself_by_way_of_others():
    # lmkit and lmkit.api load their names on first use; everybody may import those two.
    modules = {module_name(file) for file in CORE} - {"lmkit", "lmkit.api"}
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for each in imports(CORE):
        name = each.imported
        home = name if name in modules else name.rpartition(".")[0]
        if each.importer in modules and home in modules and home != each.importer:
            graph[each.importer].add(home)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(" -> ".join(reversed(error.args[1]))) from None


def test_the_core_imports_no_plugin_package():
    assert offences(CORE, lambda each: each.imported.startswith("lmkit_")) == []


def test_plugins_come_through_the_one_door():
    def around(each: Import) -> bool:
        own = each.importer.split(".")[0]
        of_lmkit = belongs(each.imported, "lmkit") and not belongs(each.imported, "lmkit.api")
        of_others = each.imported.startswith("lmkit_") and not belongs(each.imported, own)
        return of_lmkit or of_others

    assert offences(PLUGINS, around) == []


def test_what_listing_needs_imports_nothing_heavy():
    found = offences(
        [file for file in CORE + PLUGINS if starts_at_once(module_name(file))],
        lambda each: (
            each.at_once and not is_light(each.imported) and not belongs(each.imported, "lmkit_")
        ),
    )
    assert found == []


def test_only_one_file_draws_on_the_terminal():
    assert (
        offences(
            CORE + PLUGINS,
            lambda each: belongs(each.imported, "rich") and each.importer != RICH,
        )
        == []
    )


def test_only_the_command_line_and_commands_of_plugins_import_click():
    modules = {record.target.partition(":")[0] for record, _ in installed().commands()}
    # What lmkit new-plugin writes is a plugin's, though it lies here.
    modules |= {"lmkit.templates.command", "lmkit.templates.tests_command"}

    def elsewhere(each: Import) -> bool:
        own = belongs(each.importer, "lmkit") and part(each.importer) == "cli"
        return belongs(each.imported, "click") and not own and each.importer not in modules

    assert modules & {module_name(file) for file in PLUGINS}
    assert offences(CORE + PLUGINS, elsewhere) == []


def test_only_the_command_line_prints():
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in CORE + PLUGINS
        if not file.is_relative_to(ROOT / "lmkit" / "cli")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write")
    ]
    assert found == []


@pytest.mark.parametrize(
    "statement",
    [
        "import lmkit, lmkit.api, lmkit.registry.lookup, lmkit.errors, lmkit.seeds",
        "from lmkit.settings import Settings, read_recipe, settle; import lmkit.settings.changes",
        "from lmkit.registry.lookup import installed; list(installed().components())",
        "import lmkit.cli.main",
    ],
)
def test_torch_numpy_and_rich_wait_until_they_are_needed(statement):
    report = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    result = subprocess.run(
        [sys.executable, "-c", f"{statement}; {report}"],
        capture_output=True,
        text=True,
        check=True,
        # Third parties' plugins may be as heavy as they like.
        env=os.environ | {"LMKIT_DISABLE_PLUGINS": "*"},
    )
    assert HEAVY & set(result.stdout.split()) == set()
