"""The hooks a plugin may implement. This screen is all of them.

A plugin is a module, named by an entry point of the group ``lmkit``, with functions marked
``@hookimpl`` and called like the ones below. A function whose name is not here is refused.
"""

from collections.abc import Iterable

import pluggy

from lmkit.registry.component import Command, Component, Listing, Recipe

hookspec = pluggy.HookspecMarker("lmkit")
hookimpl = pluggy.HookimplMarker("lmkit")
"""Marks a function of a plugin's module as a hook."""


@hookspec
def lmkit_components() -> Iterable[Component]:  # type: ignore[empty-body]
    """Return the components this plugin brings."""


@hookspec
def lmkit_recipes() -> Iterable[Recipe]:  # type: ignore[empty-body]
    """Return the recipes this plugin brings."""


@hookspec
def lmkit_listings() -> Iterable[Listing]:  # type: ignore[empty-body]
    """Return the catalogues this plugin adds to ``lmkit list``."""


@hookspec
def lmkit_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Return the commands this plugin adds to ``lmkit``."""
