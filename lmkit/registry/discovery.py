"""Finds plugins one by one, so that a broken one is reported and never ends the command.

Every plugin is an entry point of the group ``lmkit``. Those of lmkit's own distribution are the
built-in ones; they are declared in its pyproject.toml and nowhere else.

pluggy's own loader imports every entry point in one go and lets the first exception through; and
pluggy is silent about a misspelled hook until it is asked. Both are dealt with here, per plugin.
"""

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from operator import attrgetter
from pathlib import Path
from typing import Any

import pluggy

from lmkit import __version__
from lmkit.errors import ExitCode, LmkitError, did_you_mean
from lmkit.registry import hookspecs, local
from lmkit.registry.component import Command, Component, Listing, Recipe
from lmkit.registry.places import place_in_module, place_of

API_VERSION = "2.1"
"""The version of ``lmkit.api``, major.minor. The minor one rises when something is added that a
plugin written before can ignore; the major one when such a plugin may have to change."""

_FORM = re.compile(r"(\d+)\.(\d+)")


def check_api(wanted: object) -> None:
    """Refuse a plugin that was written against an interface this lmkit does not have.

    Args:
        wanted: The plugin's ``LMKIT_API``; None if it does not say, which is accepted.

    Raises:
        LmkitError: If it is of another major version, of a newer minor one, or no version.
    """
    if wanted is None:
        return
    form = _FORM.fullmatch(wanted) if isinstance(wanted, str) else None
    if form is None:
        raise LmkitError(
            f"Its LMKIT_API is {wanted!r}, which is not a version of the form '{API_VERSION}'.",
            remedy=f"Its author has to correct that; here it is LMKIT_API = '{API_VERSION}'.",
            code=ExitCode.PLUGIN,
        )
    major, minor = map(int, form.groups())
    here_major, here_minor = map(int, API_VERSION.split("."))
    if (major, minor) > (here_major, here_minor):
        raise LmkitError(
            f"It needs lmkit's plugin API {wanted}, and lmkit {__version__} has {API_VERSION}.",
            remedy="Upgrade lmkit: pip install --upgrade lmkit.",
            code=ExitCode.PLUGIN,
        )
    if major < here_major:
        raise LmkitError(
            f"It was written for lmkit's plugin API {wanted}, and lmkit {__version__} has "
            f"{API_VERSION}, which is different.",
            remedy="Update the plugin, or ask its author to.",
            code=ExitCode.PLUGIN,
        )


GROUP = "lmkit"
"""The entry-point group of plugins."""

DISTRIBUTION = "lmkit"
"""The distribution whose entry points are the built-in plugins."""

OF_CORE = ("lmkit.data.plugin", "lmkit.settings.recipes")
"""The core's own modules with hooks, which come before all plugins."""

ROOT = Path(__file__).parents[2]
"""The folder that the package lmkit is in: a checkout's, or the one that pip installed it to."""

HOOKS: dict[str, tuple[str, type[Command | Component | Listing | Recipe]]] = {
    "lmkit_components": ("components", Component),
    "lmkit_recipes": ("recipes", Recipe),
    "lmkit_listings": ("listings", Listing),
    "lmkit_commands": ("commands", Command),
}
"""The hooks, the field of [Plugin][lmkit.registry.discovery.Plugin] that keeps the answer of each,
and what an answer is made of."""


@dataclass(slots=True)
class Plugin:
    """What is known of one plugin, whether it works or not."""

    name: str
    package: str
    version: str
    built_in: bool
    api: str = ""
    module: str = ""
    file: str = ""
    import_seconds: float = 0.0
    components: tuple[Component, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    listings: tuple[Listing, ...] = ()
    commands: tuple[Command, ...] = ()
    disabled: bool = False
    problem: str = ""
    remedy: str = ""
    place: str = ""
    """Where in its files the problem is, as `` (FILE, line N)``, if that is known."""
    given: str = ""
    """What to write after ``--plugin`` for it; empty for one that is installed."""
    sha256: str = ""
    """Of its file, if it is not installed."""

    @property
    def owner(self) -> str:
        """What brings it, in messages: its package, or its file."""
        return self.package if self.given else f"package {self.package}"

    @property
    def problem_and_place(self) -> str:
        """What is wrong with it, and where in its files."""
        return f"{self.problem.rstrip('.')}{self.place}."

    @property
    def mend(self) -> str:
        """What to do about it where it is broken, as the beginning of a sentence."""
        return f"Correct {self.package}" if self.given else f"Update or reinstall {self.package}"


def discover(environment: Mapping[str, str] | None = None) -> list[Plugin]:
    """Find and load every plugin: the built-in ones, then third parties' entry points.

    Args:
        environment: Where ``LMKIT_DISABLE_PLUGINS`` (names separated by commas, ``*`` for every
            third party's), ``LMKIT_STRICT_PLUGINS`` (``1``: a broken plugin is an error) and
            ``LMKIT_PLUGINS`` ([files and modules][lmkit.registry.local]) are read; the process's
            own if not given.

    Returns:
        One record a plugin. A broken one has ``problem`` and ``remedy`` set and no components.

    Raises:
        LmkitError: If a plugin is broken and ``LMKIT_STRICT_PLUGINS`` is set.
    """
    environment = os.environ if environment is None else environment
    disabled = {word.strip() for word in environment.get("LMKIT_DISABLE_PLUGINS", "").split(",")}
    strict = is_strict(environment)
    plugins = []
    working: list[tuple[object, Plugin]] = []
    for plugin, load in _candidates(environment):
        plugins.append(plugin)
        # Who names a file means it.
        others = "*" in disabled and not plugin.built_in and not plugin.given
        if plugin.name in disabled or others:
            plugin.disabled = True
            continue
        _load(plugin, load, working)
        if plugin.problem and strict:
            raise LmkitError(
                f"Plugin '{plugin.name}' of {plugin.owner} is broken. {plugin.problem_and_place}",
                remedy=f"{plugin.remedy} Or unset LMKIT_STRICT_PLUGINS to go on without it.",
                code=ExitCode.PLUGIN,
            )
    return plugins


def is_strict(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether a plugin's failure is to end what lmkit does, which is otherwise noted."""
    environment = os.environ if environment is None else environment
    return environment.get("LMKIT_STRICT_PLUGINS", "") not in ("", "0")


def examine(module: object) -> Plugin:
    """Question a plugin that is not installed, as an installed one is.

    Args:
        module: A module with hooks, or any object that has them.

    Returns:
        Its record, named after the module; a broken one has ``problem`` and ``remedy`` set.
    """
    name = str(getattr(module, "__name__", type(module).__name__))
    plugin = Plugin(name, package=name.partition(".")[0], version="unknown", built_in=False)
    _load(plugin, lambda: module, [])
    return plugin


def load_local(word: str | Path) -> Plugin:
    """Load and question a plugin that is named by its file or module.

    Args:
        word: What stands after ``--plugin``.

    Returns:
        Its record.

    Raises:
        LmkitError: If there is none, or it is broken, with the place in its file.
    """
    plugin, load = _local(word)
    _load(plugin, load, [])
    if plugin.problem:
        named = plugin.problem.startswith("--plugin")
        raise LmkitError(
            plugin.problem if named else f"--plugin {plugin.given}: {plugin.problem_and_place}",
            remedy=plugin.remedy,
            code=ExitCode.PLUGIN,
        )
    return plugin


def describe(error: BaseException) -> str:
    """Return what went wrong in code that is not lmkit's own, as one short sentence."""
    text = " ".join(str(error).split())[:300].rstrip(".")
    return f"{type(error).__name__}: {text}." if text else f"{type(error).__name__}."


def _candidates(
    environment: Mapping[str, str],
) -> Iterable[tuple[Plugin, Callable[[], object]]]:
    own, others = declared()
    core = [EntryPoint(module.removesuffix(".plugin"), module, GROUP) for module in OF_CORE]
    for entry in core + (own or []):
        yield Plugin(entry.name, DISTRIBUTION, __version__, built_in=True), entry.load
    if own is None:
        yield Plugin(DISTRIBUTION, DISTRIBUTION, __version__, built_in=True), _none_declared
    # A dictionary, since one package may say the same twice.
    found = {(entry.name, *_package(entry), entry.value): entry for entry in others}
    for (name, package, version, _), entry in sorted(found.items(), key=lambda item: item[0]):
        if package != DISTRIBUTION:  # Of another lmkit, most likely half removed.
            yield Plugin(name=name, package=package, version=version, built_in=False), entry.load
    for word in local.named(environment):
        try:
            yield _local(word)
        except LmkitError as error:
            yield Plugin(word, word, "unknown", built_in=False, given=word), partial(_fail, error)


def _local(word: str | Path) -> tuple[Plugin, Callable[[], object]]:
    source = local.read(word)
    plugin = Plugin(source.name, source.package, "unknown", built_in=False, given=source.given)

    def load() -> object:
        module, plugin.sha256 = source.load()
        plugin.version = f"sha256:{plugin.sha256[:12]}" if plugin.sha256 else "unknown"
        return module

    return plugin, load


def _fail(error: LmkitError) -> object:
    raise error


def declared() -> tuple[list[EntryPoint] | None, list[EntryPoint]]:
    """Return the entry points of lmkit's own distribution, by name, and those of all others.

    In a checkout, its pyproject.toml is the truth, installed or not: an lmkit that is installed
    beside it may be of another version. Elsewhere it is what pip wrote down.

    Returns:
        Both lists; None for the first if there is neither a checkout nor what pip wrote.
    """
    installed: tuple[EntryPoint, ...] = ()
    with suppress(PackageNotFoundError):
        installed = tuple(distribution(DISTRIBUTION).entry_points.select(group=GROUP))
    found = list(entry_points(group=GROUP))
    # One that somebody else declares in the very same words is kept, to be remarked upon.
    others = [entry for entry in found if entry not in installed or found.count(entry) > 1]
    table = _table_of_checkout(ROOT / "pyproject.toml")
    if table is not None:
        return [EntryPoint(name, table[name], GROUP) for name in sorted(table)], others
    return sorted(installed, key=attrgetter("name")) or None, others


def _table_of_checkout(file: Path) -> dict[str, str] | None:
    """Return the plugins that lmkit's pyproject.toml declares; None if this is no such file."""
    # Other packages have left theirs in site-packages, and a checkout's may be half merged.
    with suppress(OSError, ValueError):
        text = file.read_text(encoding="utf-8")
        import tomllib  # Only now, since an lmkit that pip installed does without.

        project = tomllib.loads(text).get("project", {})
        if project.get("name") == DISTRIBUTION:
            return dict(project.get("entry-points", {}).get(GROUP, {}))
    return None


def _none_declared() -> object:
    raise LmkitError(
        "Nothing says which plugins it ships: neither a pyproject.toml of lmkit that can be read "
        f"in {ROOT}, nor an installed lmkit.",
        remedy="Install lmkit with pip, or take a whole checkout of it.",
        code=ExitCode.PLUGIN,
    )


def _package(entry: EntryPoint) -> tuple[str, str]:
    """Return the name and version of the package that has an entry point."""
    name = version = None
    if entry.dist:
        # The metadata of a package that was half deleted may be missing or unreadable.
        with suppress(Exception):
            name, version = entry.dist.name, entry.dist.version
    return name or entry.value.partition(":")[0].partition(".")[0], version or "unknown"


def _load(plugin: Plugin, load: Callable[[], object], working: list[tuple[object, Plugin]]) -> None:
    """Import, register and question one plugin; leave any failure in its record."""
    started = time.perf_counter()
    module: object = None
    try:
        module = load()
        plugin.import_seconds = time.perf_counter() - started
        plugin.module = getattr(module, "__name__", "") or ""
        plugin.file = getattr(module, "__file__", "") or ""
        _check_new(module, working)
        wanted = getattr(module, "LMKIT_API", None)
        plugin.api = str(wanted or (API_VERSION if plugin.built_in else ""))
        check_api(wanted)
        # A manager of its own: nothing a plugin does to it can reach another plugin.
        manager = pluggy.PluginManager("lmkit")
        manager.add_hookspecs(hookspecs)
        manager.register(module, name=plugin.name)
        _check_hooks(manager, module)
        answers = {field: _ask(manager, hook, kind) for hook, (field, kind) in HOOKS.items()}
    except (Exception, SystemExit) as error:
        # SystemExit: a module that calls sys.exit() at import must not take lmkit with it.
        plugin.import_seconds = plugin.import_seconds or time.perf_counter() - started
        plugin.problem = error.problem if isinstance(error, LmkitError) else describe(error)
        plugin.remedy = _remedy(plugin, error)
        plugin.place = place_of(error) or place_in_module(module, str(error))
    else:
        # Only now, so that of a plugin whose last hook fails nothing is half there.
        for field, records in answers.items():
            setattr(plugin, field, records)
        working.append((module, plugin))


def _check_new(module: object, working: list[tuple[object, Plugin]]) -> None:
    for other, first in working:
        if other is module:
            raise LmkitError(
                f"It is the same module as plugin '{first.name}' of {first.owner}.",
                remedy="Remove one of the two entry points, or the package that brings it.",
                code=ExitCode.PLUGIN,
            )


def _check_hooks(manager: pluggy.PluginManager, module: object) -> None:
    """Refuse a hook that is misspelled, and a plugin without any, which pluggy lets pass."""
    hooks = manager.get_hookcallers(module) or []
    try:
        manager.check_pending()
    except pluggy.PluginValidationError:
        unknown = next(hook.name for hook in hooks if not hook.has_spec())
        raise LmkitError(
            f"It implements the hook '{unknown}', which does not exist.",
            remedy=did_you_mean(unknown, HOOKS, all_of_them="The hooks are"),
            code=ExitCode.PLUGIN,
        ) from None
    if not hooks:
        raise LmkitError(
            "It implements no hook.",
            remedy=f"Its author has to mark one with @hookimpl: {' or '.join(HOOKS)}.",
            code=ExitCode.PLUGIN,
        )


def _ask(manager: pluggy.PluginManager, hook: str, kind: type) -> tuple[Any, ...]:
    caller = getattr(manager.hook, hook)
    answers = caller()
    if caller.get_hookimpls() and not answers:
        raise TypeError(f"{hook} returned None instead of a list of {kind.__name__}")
    records: list[Any] = []
    for answer in answers:
        if not isinstance(answer, Iterable):
            raise TypeError(f"{hook} returned {answer!r} instead of a list of {kind.__name__}")
        records += answer
    for record in records:
        if not isinstance(record, kind):
            raise TypeError(f"{hook} returned {record!r}, which is not a {kind.__name__}")
    what = kind.__name__.lower()
    names = [f"{getattr(record, 'kind', what)} '{record.name}'" for record in records]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{hook} returned the {name} twice")
    return tuple(records)


def _remedy(plugin: Plugin, error: BaseException) -> str:
    if isinstance(error, LmkitError):
        return error.remedy
    if plugin.given:
        return f"Correct it: lmkit check-plugin {plugin.given} says when it is right."
    mend = "Reinstall lmkit" if plugin.built_in else f"Update or uninstall {plugin.package}"
    if isinstance(error, ImportError) and error.name == "lmkit.api":
        # It asks the door for a name that is not there: added later, most likely.
        mend = f"It may need a newer lmkit (here the plugin API is {API_VERSION}): upgrade. {mend}"
    return f"{mend}, or set LMKIT_DISABLE_PLUGINS={plugin.name} to go on without it quietly."
