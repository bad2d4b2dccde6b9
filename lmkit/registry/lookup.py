"""From a kind and a name to a component, with errors that name both sides of a clash."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from lmkit.errors import ExitCode, LmkitError, did_you_mean
from lmkit.registry.component import KINDS, LISTED, Component, Listing, Recipe
from lmkit.registry.discovery import Plugin, describe, discover


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
            package, kind = self.plugin.package, self.component.kind
            raise LmkitError(
                f"The {kind} '{self.component.name}' of package {package} cannot be loaded from "
                f"{self.component.target}: {describe(error)}",
                remedy=f"Update or reinstall {package}, or take another {kind}: lmkit list {kind}.",
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
            name: Its name, or ``plugin/name`` (or ``package/name``) where several bring one.

        Raises:
            LmkitError: If there is none, or more than one.
        """
        owner, _, bare = name.rpartition("/")
        found = [
            entry
            for entry in self.components(kind)
            if entry.component.name == bare
            and owner in ("", entry.plugin.name, entry.plugin.package)
        ]
        if len(found) == 1:
            return found[0]
        if not found:
            known = {entry.component.name for entry in self.components(kind)}
            raise LmkitError(
                f"There is no {kind} '{name}'.",
                remedy=did_you_mean(bare, known, all_of_them=f"The {_plural(kind)} are")
                + self._absent(),
            )
        raise _clash(kind, bare, [entry.plugin for entry in found])

    def recipes(self) -> list[tuple[Recipe, Plugin]]:
        """Return every recipe with its plugin, sorted by name."""
        found = [(recipe, plugin) for plugin in self.plugins for recipe in plugin.recipes]
        return sorted(found, key=lambda entry: (entry[0].name, entry[1].package))

    def recipe(self, name: str) -> Recipe:
        """Return the one recipe of this name.

        Raises:
            LmkitError: If there is none, or more than one.
        """
        found = [(recipe, plugin) for recipe, plugin in self.recipes() if recipe.name == name]
        if not found:
            known = {recipe.name for recipe, _ in self.recipes()}
            raise LmkitError(
                f"There is no recipe '{name}'.",
                remedy=did_you_mean(name, known, all_of_them="The recipes are") + self._absent(),
            )
        if len(found) > 1:
            raise LmkitError(
                f"There is more than one recipe '{name}': "
                f"{_owners([plugin for _, plugin in found])}.",
                remedy="Set LMKIT_DISABLE_PLUGINS to the name of one of these plugins.",
                code=ExitCode.PLUGIN,
            )
        return found[0][0]

    def listings(self) -> list[tuple[Listing, Plugin]]:
        """Return every listing with its plugin, sorted by name."""
        found = [(listing, plugin) for plugin in self.plugins for listing in plugin.listings]
        return sorted(found, key=lambda entry: (entry[0].name, entry[1].package))

    def catalogue(self, name: str, pattern: str = "*") -> tuple[list[tuple[str, str]], Plugin]:
        """Return what a plugin's own listing shows, and the plugin.

        Args:
            name: The listing's name, or ``plugin/name`` (or ``package/name``) where several plugins
                bring one.
            pattern: A shell wildcard, which the listing itself applies.

        Returns:
            A name and a line about it each, in the listing's order.

        Raises:
            LmkitError: If there is none of this name, more than one, or if it fails.
        """
        owner, _, bare = name.rpartition("/")
        found = [
            (listing, plugin)
            for listing, plugin in self.listings()
            if listing.name == bare and owner in ("", plugin.name, plugin.package)
        ]
        if not found:
            known = {*LISTED, *(listing.name for listing, _ in self.listings())}
            raise LmkitError(
                f"There is no kind or listing '{name}'.",
                remedy=did_you_mean(bare, known, all_of_them="There are") + self._absent(),
            )
        if len(found) > 1:
            raise _clash("listing", bare, [plugin for _, plugin in found])
        listing, plugin = found[0]
        try:
            pairs = [(name, line) for name, line in listing.load()(pattern)]
            for pair in pairs:
                if not all(isinstance(word, str) for word in pair):
                    raise TypeError(f"{pair!r} is not a name and a line of text")
        except LmkitError:
            raise
        except (Exception, SystemExit) as error:
            raise LmkitError(
                f"The listing '{bare}' of plugin {plugin.name} (package {plugin.package}) failed: "
                f"{describe(error)}",
                remedy=f"Update or reinstall {plugin.package}.",
                code=ExitCode.PLUGIN,
            ) from error
        return pairs, plugin

    def problems(self) -> list[Plugin]:
        """Return the plugins that are broken."""
        return [plugin for plugin in self.plugins if plugin.problem]

    def _absent(self) -> str:
        """Name the plugins that could have brought what is not found."""
        broken = ", ".join(plugin.name for plugin in self.problems())
        disabled = ", ".join(plugin.name for plugin in self.plugins if plugin.disabled)
        return (f" Plugins that are broken: {broken} (see lmkit plugins)." if broken else "") + (
            f" Plugins that are disabled: {disabled} (LMKIT_DISABLE_PLUGINS)." if disabled else ""
        )


def _plural(kind: str) -> str:
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _clash(what: str, name: str, plugins: list[Plugin]) -> LmkitError:
    """Return the error for a name that several plugins bring, with the ways to say which."""
    names = {plugin.name for plugin in plugins}
    ways = [plugin.name if len(names) == len(plugins) else plugin.package for plugin in plugins]
    return LmkitError(
        f"There is more than one {what} '{name}': {_owners(plugins)}.",
        remedy=f"Say which: {' or '.join(f'{way}/{name}' for way in ways)}.",
        code=ExitCode.PLUGIN,
    )


def _owners(plugins: list[Plugin]) -> str:
    return " and ".join(f"one of plugin {each.name} (package {each.package})" for each in plugins)


@cache
def installed() -> Registry:
    """Return the registry of the plugins installed here; discovered once a process."""
    return Registry(discover())
