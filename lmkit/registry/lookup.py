"""From a kind and a name to a component, with errors that name both sides of a clash."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from lmkit.errors import ExitCode, LmkitError, did_you_mean
from lmkit.registry import local
from lmkit.registry.component import KINDS, LISTED, Command, Component, Listing, Recipe
from lmkit.registry.discovery import Plugin, describe, discover, load_local
from lmkit.registry.places import place_in_module, place_of

Record = TypeVar("Record", Command, Component, Listing, Recipe)


@dataclass(frozen=True, slots=True)
class Registered:
    """A component together with the plugin that brings it."""

    component: Component
    plugin: Plugin

    def load(self) -> Any:
        """Import the component's class.

        Raises:
            LmkitError: If its module or the class in it cannot be had.
        """
        try:
            cls = self.component.load()
            if not isinstance(cls, type):
                raise TypeError(f"{self.component.target.partition(':')[2]} is not a class")
        except (Exception, SystemExit) as error:
            kind = self.component.kind
            place = place_of(error) or place_in_module(self.plugin.module, "lmkit_components")
            raise LmkitError(
                f"The {kind} '{self.component.name}' of {self.plugin.owner} cannot be loaded from "
                f"{self.component.target}: {describe(error).rstrip('.')}{place}.",
                remedy=f"{self.plugin.mend}, or take another {kind}: lmkit list {kind}.",
                code=ExitCode.PLUGIN,
            ) from error
        return cls


class Registry:
    """Every component and recipe of a set of plugins.

    Args:
        plugins: What [discover][lmkit.registry.discovery.discover] found.
    """

    def __init__(self, plugins: list[Plugin]) -> None:
        self.plugins = plugins

    def add(self, plugin: Plugin) -> None:
        """Take in a plugin that is named by its file, in the place of an earlier state of it."""
        self.plugins[:] = [each for each in self.plugins if each.given != plugin.given] + [plugin]
        self.__dict__.pop("_named", None)

    def components(self, kind: str | None = None, pattern: str = "*") -> Iterator[Registered]:
        """Yield components by kind and name.

        Args:
            kind: One kind, or every kind if not given.
            pattern: A shell wildcard for the name.
        """
        for wanted in KINDS if kind is None else (kind,):
            found = [
                Registered(component, plugin)
                for plugin in self.plugins
                for component in plugin.components
                if component.kind == wanted and fnmatchcase(component.name, pattern)
            ]
            yield from sorted(found, key=lambda entry: (entry.component.name, entry.plugin.package))

    def find(self, kind: str, name: str) -> Registered:
        """Return the one component of this kind and name.

        Args:
            kind: One of the kinds.
            name: Its name: lmkit's own where it has one, or ``plugin/name`` (or ``package/name``)
                where several bring one.

        Raises:
            LmkitError: If there is none, or more than one.
        """
        bare = name.rpartition("/")[2]
        fits = _fitting(name, self._named.get((kind, bare), ()))
        if len(fits) != 1:
            # To refuse it takes every name there is.
            found = [(entry.component, entry.plugin) for entry in self.components(kind)]
            fits = [self._one(kind, name, found)]
        return Registered(*fits[0])

    @cached_property
    def _named(self) -> dict[tuple[str, str], list[tuple[Component, Plugin]]]:
        """Every component by its kind and name; several plugins may bring one."""
        named: dict[tuple[str, str], list[tuple[Component, Plugin]]] = {}
        for entry in self.components():
            component = entry.component
            named.setdefault((component.kind, component.name), []).append((component, entry.plugin))
        return named

    def recipes(self) -> list[tuple[Recipe, Plugin]]:
        """Return every recipe with its plugin, sorted by name."""
        return _sorted((record, plugin) for plugin in self.plugins for record in plugin.recipes)

    def recipe(self, name: str) -> Recipe:
        """Return the one recipe of this name, or ``plugin/name``.

        Raises:
            LmkitError: If there is none, or more than one.
        """
        return self._one("recipe", name, self.recipes())[0]

    def commands(self) -> list[tuple[Command, Plugin]]:
        """Return every command of a plugin with the plugin, sorted by name."""
        return _sorted((record, plugin) for plugin in self.plugins for record in plugin.commands)

    def command(self, name: str, own: Collection[str] = ()) -> tuple[Command, Plugin]:
        """Return the one command of this name, or ``plugin/name``, with its plugin.

        Args:
            name: Its name.
            own: The names of lmkit's own commands, for the suggestion.

        Raises:
            LmkitError: If there is none, or more than one.
        """
        return self._one("command", name, self.commands(), own)

    def listings(self) -> list[tuple[Listing, Plugin]]:
        """Return every listing with its plugin, sorted by name."""
        return _sorted((record, plugin) for plugin in self.plugins for record in plugin.listings)

    def catalogue(self, name: str, pattern: str = "*") -> tuple[list[tuple[str, str]], Plugin]:
        """Return what a plugin's own listing shows, and the plugin.

        Args:
            name: The listing's name, or ``plugin/name``.
            pattern: A shell wildcard, which the listing itself applies.

        Returns:
            A name and a line about it each, in the listing's order.

        Raises:
            LmkitError: If there is none of this name, more than one, or if it fails.
        """
        listing, plugin = self._one("kind or listing", name, self.listings(), LISTED)
        try:
            pairs = [(name, line) for name, line in listing.load()(pattern)]
            for pair in pairs:
                if not all(isinstance(word, str) for word in pair):
                    raise TypeError(f"{pair!r} is not a name and a line of text")
        except LmkitError:
            raise
        except (Exception, SystemExit) as error:
            raise LmkitError(
                f"The listing '{listing.name}' of plugin {plugin.name} ({plugin.owner}) "
                f"failed: {describe(error).rstrip('.')}{place_of(error)}.",
                remedy=f"{plugin.mend}.",
                code=ExitCode.PLUGIN,
            ) from error
        return pairs, plugin

    def problems(self) -> list[Plugin]:
        """Return the plugins that are broken."""
        return [plugin for plugin in self.plugins if plugin.problem]

    def taken(self, own_commands: Collection[str] = ()) -> Iterator[str]:
        """Yield a sentence and its remedy for every name of lmkit's own that a plugin uses again.

        Args:
            own_commands: The names of lmkit's own commands, which no plugin announces.
        """
        kinds: list[tuple[str, Sequence[tuple[Any, Plugin]]]] = [
            (kind, [(entry.component, entry.plugin) for entry in self.components(kind)])
            for kind in KINDS
        ]
        kinds += [("recipe", self.recipes()), ("listing", self.listings())]
        kinds += [("command", self.commands())]
        for what, found in kinds:
            own = {record.name for record, plugin in found if plugin.built_in}
            own |= set(own_commands) if what == "command" else set()
            for record, plugin in found:
                if record.name in own and not plugin.built_in:
                    yield (
                        f"the {what} '{record.name}' of plugin {plugin.name} "
                        f"({plugin.owner}) has the name of one of lmkit's own, which is taken for "
                        f"it. Write {plugin.name}/{record.name} for the plugin's, or set "
                        f"LMKIT_DISABLE_PLUGINS={plugin.name}."
                    )

    def _one(
        self,
        what: str,
        name: str,
        found: Sequence[tuple[Record, Plugin]],
        others: Collection[str] = (),
    ) -> tuple[Record, Plugin]:
        """Return the one record that a name means; ``others`` are names to suggest beside them."""
        bare = name.rpartition("/")[2]
        fits = _fitting(name, found)
        if not fits:
            known = {*others, *(record.name for record, _ in found)}
            raise LmkitError(
                f"There is no {what} '{name}'.",
                remedy=did_you_mean(bare, known, all_of_them=f"The {_plural(what)} are")
                + self.absent(),
            )
        if len(fits) > 1:
            plugins = [plugin for _, plugin in fits]
            names = {plugin.name for plugin in plugins}
            apart = len(names) == len(plugins)
            ways = [plugin.name if apart else plugin.package for plugin in plugins]
            raise LmkitError(
                f"There is more than one {what} '{name}': {_owners(plugins)}.",
                remedy=f"Say which: {' or '.join(f'{way}/{bare}' for way in ways)}.",
                code=ExitCode.PLUGIN,
            )
        return fits[0]

    def absent(self) -> str:
        """Name the plugins that could have brought what is not found, as a remedy's last words."""
        broken = ", ".join(plugin.name for plugin in self.problems())
        disabled = ", ".join(plugin.name for plugin in self.plugins if plugin.disabled)
        return (f" Plugins that are broken: {broken} (see lmkit plugins)." if broken else "") + (
            f" Plugins that are disabled: {disabled} (LMKIT_DISABLE_PLUGINS)." if disabled else ""
        )


def _fitting(name: str, found: Iterable[tuple[Record, Plugin]]) -> list[tuple[Record, Plugin]]:
    """Return the records that a name, or ``plugin/name``, may mean."""
    owner, _, bare = name.rpartition("/")
    fits = [
        (record, plugin)
        for record, plugin in found
        if record.name == bare and owner in ("", plugin.name, plugin.package)
    ]
    if owner:
        return fits
    # What lmkit ships keeps its name, so that no package can change what a recipe means.
    return [(record, plugin) for record, plugin in fits if plugin.built_in] or fits


def _sorted(found: Iterable[tuple[Record, Plugin]]) -> list[tuple[Record, Plugin]]:
    return sorted(found, key=lambda entry: (entry[0].name, entry[1].package))


def _plural(kind: str) -> str:
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _owners(plugins: list[Plugin]) -> str:
    return " and ".join(f"one of plugin {each.name} ({each.owner})" for each in plugins)


@cache
def installed() -> Registry:
    """Return the registry of the plugins installed here; discovered once a process."""
    return Registry(discover())


def use(words: Iterable[str | Path], registry: Registry | None = None) -> None:
    """Load plugins that are named by file or module; they stay for this process and its children.

    One that has been loaded already is loaded anew if its file has changed.

    Args:
        words: What stands after ``--plugin``.
        registry: What takes them in; that of the installed plugins if not given.

    Raises:
        LmkitError: If one is not there or is broken.
    """
    registry = registry or installed()
    for word in words:
        source = local.read(word)
        for known in registry.plugins:
            # Installed as well, or given before.
            same = known.module == source.given and not known.given
            if same or (known.given == source.given and _is_current(known, source)):
                break
        else:
            plugin = load_local(word)
            registry.add(plugin)
            if plugin.sha256:
                local.remember(plugin.sha256)
        words_there = local.named(os.environ)
        if source.given not in words_there:
            os.environ[local.VARIABLE] = os.pathsep.join([*words_there, source.given])


def use_as_before(origins: Iterable[Mapping[str, str]], registry: Registry) -> None:
    """Load the files that a run was made with, if they are as they were and known to this user.

    Args:
        origins: Of the run's components, as ``run.json`` holds them.
        registry: What takes them in.
    """
    for origin in origins:
        given, file, sha256 = (origin.get(key, "") for key in ("given", "file", "sha256"))
        if not given or any(each.given == given for each in registry.plugins):
            continue
        if local.is_remembered(sha256) and local.digest(Path(file)) == sha256:
            # Whatever is wrong with it is told where the component is looked up.
            with suppress(LmkitError):
                use([given], registry)


def _is_current(plugin: Plugin, source: local.LocalPlugin) -> bool:
    if plugin.problem:
        return False
    return source.file is None or local.digest(source.file) == plugin.sha256
