"""One run's settings: recipe, then ``--config`` file, then flags, then ``--set section.key=value``.

Each of these is a [Layer][lmkit.settings.layers.Layer] of the same nested form; a later one wins.
Merging needs no component and no torch. [resolve][lmkit.settings.settings.resolve] then asks every
component for its options, checks them, and fills in every default, so that what is written to
``run.json`` says everything.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lmkit.errors import LmkitError
from lmkit.registry.lookup import Registered, Registry, installed
from lmkit.registry.options import Text, check_options
from lmkit.settings.layers import COMPONENT_SECTIONS, CORE_SECTIONS, SEVERAL, Layer, merge
from lmkit.settings.of_run import detector_of_run
from lmkit.settings.optimizer import PARTS, OptimizerSettings, PartSettings
from lmkit.settings.sections import LoadingSettings, RunSettings
from lmkit.settings.weight import check_weight


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides a run, with nothing left open.

    Component sections are plain dictionaries: ``name`` and every option. ``loss`` is one such
    dictionary a loss, by label, with its ``weight``; ``writer`` one a writer. Of a run that was
    opened for some of its components, the sections of the others are as ``run.json`` holds them.
    """

    run: RunSettings
    optimizer: OptimizerSettings
    loading: LoadingSettings
    data: dict[str, Any]
    detector: dict[str, Any]
    generator: dict[str, Any]
    deformation: dict[str, Any]
    pairing: dict[str, Any]
    loss: dict[str, dict[str, Any]]
    writer: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def data_source(self) -> tuple[str, Path | None]:
        """Where the data comes from: its kind, and its place if it has one."""
        path = self.data.get("path")
        name = str(self.data["name"]).rpartition("/")[2]
        return name, None if path is None else Path(str(path)).resolve()

    @property
    def data_label(self) -> str:
        """What to call the data in a report: its kind, and where it is."""
        return ":".join(str(self.data[key]) for key in ("name", "path") if self.data.get(key))

    def to_dict(self) -> dict[str, Any]:
        """Return nested dictionaries of JSON values."""
        plain: dict[str, Any] = _jsonable(asdict(self))
        return plain

    def flat(self) -> dict[str, Any]:
        """Return ``{"section.key": value}`` of JSON values."""
        return dict(_flatten(self.to_dict()))


_ALL = (*COMPONENT_SECTIONS, *SEVERAL)
"""The sections that choose components."""


def resolve(
    merged: Mapping[str, Any], registry: Registry, sections: Collection[str] = _ALL
) -> Settings:
    """Check merged settings against the components and fill in every default.

    Args:
        merged: From [merge][lmkit.settings.layers.merge], or what
            [Settings.to_dict][lmkit.settings.settings.Settings.to_dict] returned.
        registry: Where components are looked up; their modules are imported.
        sections: The sections of components to check. Others stay as they are, so that nothing
            needs to be here that they name.

    Raises:
        LmkitError: If a component or an option is unknown, missing, or of the wrong type.
    """
    core = {
        section: _resolve_core(section, cls, merged.get(section, {}))
        for section, cls in CORE_SECTIONS.items()
    }
    chosen = {
        section: _resolve_component(section, kind, dict(merged.get(section, {})), registry)
        if section in sections
        else dict(merged.get(section, {}))
        for section, kind in COMPONENT_SECTIONS.items()
    }
    losses, writers = dict(merged.get("loss", {})), dict(merged.get("writer", {}))
    if "loss" in sections:
        losses = _resolve_losses(losses, registry)
    if "writer" in sections:
        writers = {
            label: _resolve_component(
                f"writer.{label}", "writer", {"name": label, **options}, registry
            )
            for label, options in writers.items()
        }
    return Settings(**core, **chosen, loss=losses, writer=writers)  # type: ignore[arg-type]


def _resolve_core(section: str, cls: type, table: Mapping[str, Any]) -> Any:
    own = dict(table)
    parts = {}
    if cls is OptimizerSettings:
        for name in PARTS:
            given = own.pop(name, {})
            where = f"{section}.{name}"
            if not isinstance(given, Mapping):
                raise LmkitError(
                    f"{where} is a single value.",
                    remedy=f"Write --set {where}.learning_rate=0.0001, or [{where}] in a file.",
                )
            checked = check_options(PartSettings, given, section=where, given_by_run=())
            parts[name] = PartSettings(**checked)
    known = check_options(cls, own, section=section, given_by_run=tuple(parts))
    return cls(**known, **parts)


def _resolve_losses(
    chosen: Mapping[str, Mapping[str, Any]], registry: Registry
) -> dict[str, dict[str, Any]]:
    if not chosen:
        raise LmkitError("No loss is chosen.", remedy="Add one, for example --loss mse.")
    losses = {}
    for label, own in chosen.items():
        options = dict(own)
        weight = check_weight(options.pop("weight", 1.0), f"loss.{label}")
        options.setdefault("name", label)
        losses[label] = {
            **_resolve_component(f"loss.{label}", "loss", options, registry),
            "weight": weight,
        }
    return losses


def _resolve_component(
    section: str, kind: str, options: dict[str, Any], registry: Registry
) -> dict[str, Any]:
    if "name" not in options:
        raise LmkitError(
            f"No {kind} is chosen.", remedy=f"Choose one: lmkit list {kind} shows them."
        )
    name, colon, argument = str(options.pop("name")).partition(":")
    if kind == "generator" and name == "none":
        # Methods without a generator learn from landmarks and warps alone.
        return {"name": "none"}
    entry = registry.find(kind, name)
    cls = entry.load()
    if colon:
        options[_argument(entry, cls)] = Text(argument)
    inside = partial(resolve_inside, registry)
    checked = check_options(cls, options, section=section, part=inside)
    return {"name": name, **{key: _absolute(value) for key, value in checked.items()}}


def resolve_inside(registry: Registry, kind: str, given: Any, where: str) -> dict[str, Any]:
    """Return the settings of a component inside another one, complete, like those of a section.

    Args:
        registry: Where it is looked up.
        kind: What it has to be.
        given: Its name, ``NAME:VALUE``, ``run:FOLDER`` for the detector of a run, or a table.
        where: The option that takes it, for messages (``detector.first``).

    Raises:
        LmkitError: If it is none of these, or something in it is wrong.
    """
    table = {"name": given} if isinstance(given, str) else given
    if not isinstance(table, Mapping):
        raise LmkitError(
            f"{where}={given!r} is no {kind}.",
            remedy=f"Give its name, --set {where}=NAME, or a table [{where}] with a name. "
            f"lmkit list {kind} shows them.",
        )
    options = dict(table)
    word, _, place = str(options.get("name", "")).partition(":")
    if kind == "detector" and word == "run":
        options = {**detector_of_run(place, where, registry), **_without(options, "name")}
    origin = options.pop("from_run", None)
    resolved = _resolve_component(where, kind, options, registry)
    return resolved if origin is None else {**resolved, "from_run": origin}


def _without(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != key}


def _argument(entry: Registered, cls: type) -> str:
    argument = getattr(cls, "argument", None)
    if argument is None:
        name = entry.component.name
        raise LmkitError(
            f"The {entry.component.kind} '{name}' takes nothing after a colon.",
            remedy=f"Write '{name}' alone.",
        )
    return str(argument)


def _absolute(value: Any) -> Any:
    """Make paths hold from any working directory, since a run is opened from anywhere."""
    return value.expanduser().absolute() if isinstance(value, Path) else value


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def settle(layers: Sequence[Layer], registry: Registry | None = None) -> Settings:
    """Merge and check settings.

    Raises:
        LmkitError: If they are wrong.
    """
    return resolve(merge(layers), registry or installed())
