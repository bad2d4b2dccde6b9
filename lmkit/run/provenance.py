"""Where a run's components come from: written to ``run.json``, and checked when it is opened.

A run may do otherwise with other versions of the plugins it was trained with. Opening it needs its
detector's alone, measuring it on data the data's as well, and going on with it all of them.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry import local
from lmkit.registry.discovery import Plugin
from lmkit.registry.lookup import Registered, Registry
from lmkit.registry.options import parts_of
from lmkit.settings.layers import COMPONENT_SECTIONS, SEVERAL
from lmkit.settings.settings import Settings

RENAMED = {
    "run.picture_every": "run.sheet_every",
    "data.pictures_per_subject": "data.images_per_subject",
}
"""Former names, ``section.key``, and what they are called now."""


def with_new_names(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored settings under the names that settings have now.

    Args:
        stored: Nested dictionaries, as ``run.json`` of any version holds them; left as it is.
    """
    settings = copy.deepcopy(dict(stored))
    for former, new in RENAMED.items():
        section, _, key = former.partition(".")
        table = settings.get(section)
        if isinstance(table, dict) and key in table:
            settings[section] = {
                (new.partition(".")[2] if name == key else name): value
                for name, value in table.items()
            }
    return settings


Origin = dict[str, str]
"""One component's ``section``, ``kind``, ``name``, ``target``, ``plugin``, ``package``, ``version``
of the package, and ``api``, the version of lmkit's plugin API it was written against, or empty.

Of one that was not installed also ``given``, what stood after ``--plugin``, its ``file``, and the
``sha256`` of that; its ``package`` is then the file's name."""


def origins(settings: Settings, registry: Registry) -> list[Origin]:
    """Return where every component of a run comes from, those inside others included."""
    chosen = [
        (section, kind, getattr(settings, section)) for section, kind in COMPONENT_SECTIONS.items()
    ]
    for kind in SEVERAL:
        chosen += [
            (f"{kind}.{label}", kind, options) for label, options in getattr(settings, kind).items()
        ]
    found = []
    # Those inside others are put in line while it is walked along.
    for section, kind, options in chosen:
        if options["name"] == "none":
            continue
        entry = registry.find(kind, options["name"])
        chosen += [
            (f"{section}.{name}", part, options[name])
            for name, part in parts_of(entry.load()).items()
            if isinstance(options.get(name), Mapping)
        ]
        found.append(
            {
                "section": section,
                "kind": kind,
                "name": options["name"],
                "target": entry.component.target,
                "plugin": entry.plugin.name,
                "package": entry.plugin.package,
                "version": entry.plugin.version,
                "api": entry.plugin.api,
                **_not_installed(entry.plugin),
            }
        )
    return found


def _not_installed(plugin: Plugin) -> Origin:
    if not plugin.given:
        return {}
    return {"given": plugin.given, "file": plugin.file, "sha256": plugin.sha256}


def missing(former: Sequence[Origin], registry: Registry) -> list[Origin]:
    """Return the components of a run that are not here.

    Args:
        former: Where its components came from.
        registry: Where they are looked up.
    """
    return [origin for origin in former if not _candidates(origin, registry)]


def check_present(former: Sequence[Origin], registry: Registry, path: Path) -> None:
    """Refuse a run that was trained with a component that is not here.

    Args:
        former: Where the components that are needed came from.
        registry: Where they are looked up.
        path: The run's folder, for the message.

    Raises:
        LmkitError: If one is missing, with the package to install.
    """
    for origin in missing(former, registry):
        raise LmkitError(
            f"{path} needs the {origin['kind']} '{origin['name']}', which is not here.",
            remedy=_bring(origin)
            + (" Or go on without it: --writer none." if origin["kind"] == "writer" else "")
            + registry.absent(),
            code=ExitCode.PLUGIN,
        )


def _bring(origin: Origin) -> str:
    """Return how to get the component of a run that is not here."""
    given, sha256 = origin.get("given"), origin.get("sha256", "")
    if not given:
        return f"Install {origin['package']} {origin['version']}, which brings it."
    here = local.digest(Path(origin.get("file", "")))
    state = "which is there as it was" if here == sha256 else "which has changed since"
    if not here:
        state = "which is not there any more"
    return (
        f"It is of {origin['package']} (SHA-256 {sha256}), {state}: give it, or a copy of it, with "
        f"--plugin {given}, or with plugins=[...] from Python."
    )


def as_before(
    settings: Mapping[str, Any], former: Sequence[Origin], registry: Registry
) -> dict[str, Any]:
    """Return stored settings that name a component's plugin where another took the same name.

    A package that is installed later may bring a component of the same name; the run's is meant.
    """
    told = copy.deepcopy(dict(settings))
    for origin in former:
        found = _candidates(origin, registry)
        own = [entry.plugin for entry in found if entry.plugin.package == origin["package"]]
        if len(found) > 1 and len(own) == 1 and not own[0].built_in and "/" not in origin["name"]:
            options = table_of(told, origin["section"])
            assert options is not None
            options["name"] = f"{own[0].name}/{origin['name']}"
    return told


def differences(former: Sequence[Origin], registry: Registry) -> Iterator[str]:
    """Yield a sentence for every package that is here in another version than a run had."""
    told = set()
    for origin in former:
        found = _candidates(origin, registry)
        if not found:
            continue
        here = next((e for e in found if e.plugin.package == origin["package"]), found[0])
        was = f"{origin['package']} {origin['version']}"
        now = f"{here.plugin.package} {here.plugin.version}"
        if was != now and (was, now) not in told:
            told.add((was, now))
            yield f"The run was trained with {was}, and here is {now}: results may differ."


def table_of(settings: Mapping[str, Any], section: str) -> dict[str, Any] | None:
    """Return the table of a component: of a section, of a loss or writer, or inside another.

    Args:
        settings: Nested tables.
        section: ``detector``, ``loss.mse``, ``detector.first`` ...

    Returns:
        None if there is none.
    """
    table: Any = settings
    for word in section.split("."):
        table = table.get(word) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else None


def _candidates(origin: Origin, registry: Registry) -> list[Registered]:
    """Return the components that a name in a run may mean."""
    owner, _, bare = origin["name"].rpartition("/")
    return [
        entry
        for entry in registry.components(origin["kind"])
        if entry.component.name == bare and owner in ("", entry.plugin.name, entry.plugin.package)
    ]
