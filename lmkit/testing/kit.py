"""From a plugin's name to the checks of everything it brings."""

import re
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from lmkit.errors import ExitCode, LmkitError, did_you_mean
from lmkit.registry.component import KINDS
from lmkit.registry.discovery import GROUP, Plugin, examine
from lmkit.registry.lookup import Registered, Registry, installed, use

# Imported for their checks, which are made in this order.
from lmkit.testing import (  # noqa: F401  # isort: skip
    plugin as _plugin,
    works as _works,
    component as _component,
    network as _network,
    detector as _detector,
    generator as _generator,
    deformation as _deformation,
    pairing as _pairing,
    loss as _loss,
    dataset as _dataset,
    writer as _writer,
)
from lmkit.testing.check import Check, promises_of
from lmkit.testing.subject import PluginSubject, Subject


def checks_for(
    plugin: object,
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    kinds: Collection[str] = (),
) -> list[Check]:
    """Return the checks of a plugin and of every component it brings.

    Args:
        plugin: The name of an installed plugin, of its package or of its hook module; the path of
            a Python file that is one; or a module or another object with hooks, which need not be
            installed.
        settings: What components need to be built, by kind and name:
            ``{"detector mine": {"depth": 2, "image_size": 128}}``. Beside options there may be
            ``landmarks`` (5 if not given) and ``image_size`` (64).
        expected_failures: Why checks are expected to fail, by their name:
            ``{"detector mine: bf16": "the backbone overflows"}``. One that passes all the same
            fails.
        kinds: If given, components of these kinds alone, and not the plugin itself.

    Returns:
        Checks to be called; ``str`` gives each one's name.

    Raises:
        LmkitError: If there is no such plugin, component, check or kind.
    """
    plugins, registry = _find(plugin)
    for kind in kinds:
        _known(kind, KINDS, f"There is no kind '{kind}'.", "The kinds are")
    subjects: list[tuple[str, object]] = []
    settings, excuses = settings or {}, expected_failures or {}
    for each in plugins:
        subjects += [] if kinds else [("plugin", PluginSubject(each, registry))]
        for component in each.components:
            if component.kind in kinds or not kinds:
                given = settings.get(f"{component.kind} {component.name}", {})
                subject = Subject(Registered(component, each), given)
                subjects.append((component.kind, subject))
    checks = [
        Check(subject, promise, excuses.get(f"{subject}: {promise.name}", ""))
        for kind, subject in subjects
        for promise in promises_of(kind)
    ]
    if not any(each.problem for each in plugins) and not kinds:
        # What a broken plugin brings is not known, and that it is broken is the message.
        components = {str(subject) for _, subject in subjects}
        for key in settings:
            _known(key, components, f"settings: there is no component '{key}'.", "There are")
        names = {str(check) for check in checks}
        for key in excuses:
            _known(key, names, f"expected_failures: there is no check '{key}'.", "There are")
    unexplained = [key for key, reason in excuses.items() if not reason.strip()]
    if unexplained:
        raise LmkitError(
            f"expected_failures: '{unexplained[0]}' has no reason.", remedy="Say why it fails."
        )
    return checks


def _find(given: object) -> tuple[list[Plugin], Registry]:
    known = installed()
    if not isinstance(given, str):
        plugin = examine(given)
        return [plugin], Registry([*known.plugins, plugin])
    if given.endswith(".py"):
        use([given])
        given = str(Path(given).expanduser().absolute())
    found = [
        plugin
        for plugin in known.plugins
        if given in (plugin.name, plugin.module, plugin.given) or _same(given, plugin.package)
    ]
    disabled = [plugin.name for plugin in found if plugin.disabled]
    if disabled:
        raise LmkitError(
            f"The plugin '{disabled[0]}' is disabled.",
            remedy="Take its name out of LMKIT_DISABLE_PLUGINS.",
            code=ExitCode.PLUGIN,
        )
    if found:
        return found, known
    names = {name for plugin in known.plugins for name in (plugin.name, plugin.package)}
    try:
        package = distribution(given).name
    except (PackageNotFoundError, ValueError):
        problem = f"There is no plugin or package '{given}' here."
        remedy = did_you_mean(given, names, all_of_them="There are")
        raise LmkitError(problem, remedy=f"{remedy} pip install brings others.") from None
    raise LmkitError(
        f"The package {package} is installed and announces no plugin.",
        remedy=f"Its pyproject.toml needs [project.entry-points.{GROUP}] with a line such as "
        f'{package.replace("-", "_")} = "{package.replace("-", "_")}"; then install it again.',
        code=ExitCode.PLUGIN,
    )


def _same(first: str, second: str) -> bool:
    """Compare two packages' names as indexes do."""
    return re.sub(r"[-_.]+", "-", first).lower() == re.sub(r"[-_.]+", "-", second).lower()


def _known(word: str, words: Collection[str], problem: str, all_of_them: str) -> None:
    if word not in words:
        raise LmkitError(problem, remedy=did_you_mean(word, words, all_of_them=all_of_them))
