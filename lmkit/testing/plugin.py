"""What a plugin itself promises."""

import os
import subprocess
import sys
from importlib.util import find_spec

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.discovery import Plugin
from lmkit.settings.layers import merge, read_recipe
from lmkit.settings.settings import resolve
from lmkit.testing.check import Skipped, expect, promise
from lmkit.testing.subject import PluginSubject

HEAVY = ("torch", "torchvision", "timm", "numpy")
"""What a hook module leaves to the modules of its components."""


@promise("loads", "plugin", remedy="Correct the module that the entry point names.")
def loads(subject: PluginSubject) -> None:
    """It can be imported, and its hooks exist and return records."""
    plugin = subject.plugin
    if plugin.problem:
        raise LmkitError(plugin.problem_and_place, remedy=plugin.remedy, code=ExitCode.PLUGIN)


@promise(
    "light",
    "plugin",
    remedy="Import these in the modules of the components, and only hookimpl, Component and Recipe "
    "in the hook module and above it.",
)
def light(subject: PluginSubject) -> None:
    """Its hook module imports without torch, so that listing it costs nothing."""
    module = subject.plugin.module
    if subject.plugin.given:
        raise Skipped(f"{subject} is not installed: nobody lists it who does not name it")
    if subject.plugin.problem or not _importable(module):
        raise Skipped(f"{subject} is not a module that can be imported by itself")
    script = (
        f"import sys, importlib; importlib.import_module({module!r}); "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    expect(
        done.returncode == 0,
        subject,
        f"{module} to import in a fresh process",
        done.stderr.strip().splitlines()[-1:] or "nothing",
    )
    found = done.stdout.split()
    expect(not found, subject, f"{module} to import nothing heavy", ", ".join(found))


@promise(
    "names",
    "plugin",
    remedy="Give it a name of its own; users would have to write plugin/name, and one of lmkit's "
    "own would be taken for it.",
)
def names(subject: PluginSubject) -> None:
    """No other plugin brings a component, recipe, listing or command of the same name."""
    own = _names(subject.plugin)
    for other in subject.registry.plugins:
        if other is not subject.plugin:
            taken = sorted(own & _names(other))
            where = f"plugin {other.name} (package {other.package})"
            expect(
                not taken, subject, "names of its own", f"{', '.join(taken)}, which {where} brings"
            )


@promise("recipes", "plugin", remedy="Correct the recipe's TOML file, or ship it as package data.")
def recipes(subject: PluginSubject) -> None:
    """Every recipe it brings can be read and asks for nothing that does not exist."""
    registry = subject.registry
    for recipe in subject.plugin.recipes:
        merged = merge(read_recipe(f"{subject.plugin.name}/{recipe.name}", registry))
        data = str(merged.get("data", {}).get("name", "")).partition(":")[0]
        if data:
            registry.find("dataset", data)
        # Where its images are is left to the user.
        resolve({**merged, "data": {"name": "faces"}}, registry)


@promise(
    "listings and commands",
    "plugin",
    remedy="Name a function that returns pairs of texts, or a command of click, as "
    "package.module:name.",
)
def listings_and_commands(subject: PluginSubject) -> None:
    """Every listing it brings lists, and every command can be imported."""
    for listing in subject.plugin.listings:
        subject.registry.catalogue(f"{subject.plugin.name}/{listing.name}", "*")
    for command in subject.plugin.commands:
        loaded = command.load()
        kind = callable(getattr(loaded, "make_context", None))
        wanted = f"'{command.name}' to be a command of click"
        expect(kind, subject, wanted, f"a {type(loaded).__name__}")


def _importable(module: str) -> bool:
    try:
        return bool(module) and find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _names(plugin: Plugin) -> set[str]:
    found = {f"{component.kind} '{component.name}'" for component in plugin.components}
    found |= {f"recipe '{recipe.name}'" for recipe in plugin.recipes}
    found |= {f"listing '{listing.name}'" for listing in plugin.listings}
    return found | {f"command '{command.name}'" for command in plugin.commands}
