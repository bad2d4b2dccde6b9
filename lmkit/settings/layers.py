"""Settings as they come from many places: recipe, file, flags, assignments; read and merged."""

import mimetypes
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from lmkit.errors import ExitCode, LmkitError, did_you_mean
from lmkit.registry.lookup import Registry
from lmkit.registry.options import Text, convert
from lmkit.settings.optimizer import IN_STEPS, OptimizerSettings
from lmkit.settings.sections import LoadingSettings, RunSettings
from lmkit.storage import open_text

_LOOKED_AT = 10_000
_LONGEST = 18  # digits of the largest counts, of 64 bits

COMPONENT_SECTIONS = {
    "data": "dataset",
    "detector": "detector",
    "generator": "generator",
    "deformation": "deformation",
    "pairing": "pairing",
}
"""The sections that choose one component, and its kind."""


SEVERAL = ("loss", "writer")
"""The sections that choose any number of components of their kind, each under a label."""


CORE_SECTIONS: dict[str, type] = {
    "run": RunSettings,
    "optimizer": OptimizerSettings,
    "loading": LoadingSettings,
}


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings from one place.

    Args:
        origin: The place, for messages: ``recipe quickstart``, ``--config my.toml``.
        values: Nested dictionaries ``{section: {key: value}}``.
        losses: If given, the only losses there are from this layer on.
        writers: The same of writers; each is a name, or ``NAME:VALUE``.
        source: What they are: ``asked`` for by a user, a ``recipe``'s, or those that a ``run`` has
            started with. It decides what becomes of the
            [course of the learning rate][lmkit.settings.layers.merge] with another number of steps.
    """

    origin: str
    values: Mapping[str, Any] = field(default_factory=dict)
    losses: Sequence[str] | None = None
    writers: Sequence[str] | None = None
    source: Literal["asked", "recipe", "run"] = "asked"


def read_toml(text: str, origin: str, registry: Registry) -> list[Layer]:
    """Parse a TOML text into layers: those of the recipe it is ``based_on``, then its own.

    Args:
        text: Sections, and above them perhaps ``based_on = "recipe"`` and
            ``losses = ["the", "only", "ones"]``, or ``writers``.
        origin: Where it is from, for messages.
        registry: Where recipes are looked up.

    Raises:
        LmkitError: If it is not TOML, or based on no recipe.
    """
    try:
        values = tomllib.loads(text)
    # Also an integer of thousands of digits, and arrays within arrays without end.
    except (ValueError, RecursionError) as error:
        raise LmkitError(f"{origin} is not TOML: {error}.", remedy="Correct that line.") from None
    base = values.pop("based_on", None)
    only = {
        key: convert(values.pop(key), list[str], where=f"{origin}: {key}")
        for key in ("losses", "writers")
        if key in values
    }
    layers = [] if base is None else read_recipe(str(base), registry)
    return [*layers, Layer(origin, values, **only)]


def read_recipe(name: str, registry: Registry) -> list[Layer]:
    """Read a recipe, after those it is based on.

    Raises:
        LmkitError: If there is no such recipe, or it is not TOML.
    """
    recipe = registry.recipe(name)
    layers = read_toml(recipe.read(), f"recipe {name}", registry)
    return [replace(layer, source="recipe") for layer in layers]


def read_config_file(path: Path, registry: Registry) -> list[Layer]:
    """Read a ``--config`` file: the same form as a recipe.

    Raises:
        LmkitError: If it cannot be read or is not TOML.
    """
    try:
        with open_text(path, newline=None) as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise LmkitError(
            f"--config {path} cannot be read: {error}.", remedy="Give the path of a TOML file."
        ) from None
    return read_toml(text, f"--config {path}", registry)


def read_assignments(assignments: Iterable[str]) -> Layer:
    """Parse ``section.key=value`` words as typed after ``--set``.

    Raises:
        LmkitError: If one does not have that form.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        *sections, key = name.strip().split(".")
        if not equals or not sections or not all((*sections, key)):
            raise LmkitError(
                f"--set {assignment} is not section.key=value.",
                remedy="Write, for example, --set detector.depth=3.",
            )
        table = values
        for section in sections:
            inner = table.setdefault(section, {})
            if not isinstance(inner, dict):
                # detector.first=NAME and then detector.first.KEY=VALUE: a component inside.
                inner = table[section] = {"name": inner}
            table = inner
        if isinstance(table.get(key), dict):
            table[key]["name"] = Text(value)
        else:
            table[key] = Text(value)
    return Layer("--set", values)


def merge(layers: Iterable[Layer]) -> dict[str, Any]:
    """Merge layers, later ones winning; choosing another component drops the former's options.

    Where another number of steps is asked for than a recipe has, the settings that are
    [counted in steps][lmkit.settings.optimizer.IN_STEPS] are scaled in proportion, unless they are
    asked for too: a shorter run sees the whole course of the learning rate. Those of a run that has
    started stay.

    Raises:
        LmkitError: If a section is unknown or is not a table.
    """
    merged: dict[str, Any] = {}
    known = (*CORE_SECTIONS, *COMPONENT_SECTIONS, *SEVERAL)
    meant_for: dict[str, Any] = {}
    for layer in layers:
        for section, table in layer.values.items():
            if section not in known:
                raise LmkitError(
                    f"{layer.origin}: there is no section '{section}'.",
                    remedy=did_you_mean(section, known, all_of_them="The sections are"),
                )
            tables = table.items() if section in SEVERAL and isinstance(table, dict) else ()
            for where, inner in ((section, table), *((f"{section}.{k}", v) for k, v in tables)):
                if not isinstance(inner, Mapping):
                    raise LmkitError(
                        f"{layer.origin}: {where} is a single value.",
                        remedy=f"Write --set {where}.KEY=VALUE, or [{where}] in a file.",
                    )
            if section in SEVERAL:
                chosen = merged.setdefault(section, {})
                for label, options in table.items():
                    chosen[label] = _merge_component(chosen.get(label, {}), options)
            elif section in COMPONENT_SECTIONS:
                merged[section] = _merge_component(merged.get(section, {}), table)
            else:
                merged[section] = _merge_table(merged.get(section, {}), table)
        # A recipe's and a run's settings belong together, whichever of them stand in this layer.
        given = layer.values if layer.source == "asked" else merged
        for name in IN_STEPS.keys() & given.get("optimizer", {}).keys():
            # None: whatever the number of steps.
            meant_for[name] = None if layer.source == "run" else merged.get("run", {}).get("steps")
        if layer.losses is not None:
            losses = merged.get("loss", {})
            merged["loss"] = {label: losses.get(label, {}) for label in layer.losses}
        if layer.writers is not None:
            merged["writer"] = _only_writers(layer.writers, merged.get("writer", {}))
    _scale_schedule(merged, meant_for)
    return merged


def names_dataset(spec: str, registry: Registry) -> bool:
    """Return whether a ``--data`` word names a kind of data, and not a folder.

    Args:
        spec: ``NAME``, ``NAME:VALUE``, or ``plugin/NAME`` where two plugins bring one.
        registry: Where datasets are looked up.
    """
    owner, _, name = spec.partition(":")[0].rpartition("/")
    return any(
        entry.component.name == name and owner in ("", entry.plugin.name, entry.plugin.package)
        for entry in registry.components("dataset")
    )


def parse_data(spec: str | Path, registry: Registry) -> dict[str, Any]:
    """Turn a ``--data`` word into the ``data`` section: a dataset's name, or a folder's path.

    A folder of images that is called like a kind of data is taken for the folder, as ``lmkit
    predict`` does, and the data then says so. Whoever means the kind calls it from another folder.
    One without images, such as that of a plugin's code, is not meant.

    Args:
        spec: ``NAME``, ``NAME:VALUE``, or the path of a folder; a ``Path`` is always a path.
        registry: Where datasets are looked up.

    Raises:
        LmkitError: If it is neither.
    """
    names = {entry.component.name for entry in registry.components("dataset")}
    path, given = Path(spec), spec
    spec = str(spec)
    word = spec.partition(":")[0]
    is_folder = _is(path, Path.is_dir)
    is_meant = spec == word and is_folder and _holds_images(path)
    if word in names and not is_meant and not isinstance(given, Path):
        return {"name": Text(spec)}
    if is_folder:
        return {"name": "folder", "path": Text(spec)}
    if names_dataset(spec, registry) and not isinstance(given, Path):
        # plugin/name, where two plugins bring datasets of one name.
        return {"name": Text(spec)}
    if _is(path, Path.is_file):
        raise LmkitError(
            f"--data {spec} is a file, not a folder.",
            remedy=f"For a table of images write --data csv:{spec}.",
            code=ExitCode.DATA,
        )
    raise LmkitError(
        f"--data {spec} is neither a folder nor a kind of data.",
        remedy=did_you_mean(spec.partition(":")[0], names, all_of_them="Kinds of data are")
        + " Or give the path of a folder of images that exists.",
        code=ExitCode.DATA,
    )


def _holds_images(folder: Path) -> bool:
    """Return whether one of the first files below a folder is called like an image."""
    files = (name for _, _, names in os.walk(folder) for name in names)
    kinds = (mimetypes.guess_type(name)[0] for name in islice(files, _LOOKED_AT))
    return any(kind is not None and kind.startswith("image/") for kind in kinds)


def _is(path: Path, what: Callable[[Path], bool]) -> bool:
    try:
        return what(path)
    except (OSError, ValueError):
        return False  # A word that is longer than a name can be, or holds what none can.


def _scale_schedule(merged: dict[str, Any], meant_for: Mapping[str, Any]) -> None:
    """Scale what is counted in steps to the run's number of them.

    Args:
        merged: The merged sections.
        meant_for: By the name of each setting that was given, the number of steps at that place.
    """
    for name, steps in meant_for.items():
        value = _count(merged["optimizer"][name])
        wanted = _count(merged.get("run", {}).get("steps"))
        before = _count(steps)
        # What is no count is refused later, where its type is checked.
        if value is not None and wanted is not None and before and wanted != before:
            merged["optimizer"][name] = max(IN_STEPS[name], round(value * wanted / before))


def _count(value: Any) -> int | None:
    """Return a count, typed or not; None for anything else, and for what no count can be."""
    if isinstance(value, str) and len(value) <= _LONGEST and value.isdecimal():
        return int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 0 <= value < 10**_LONGEST else None


def _merge_component(former: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    if "name" in later and str(later["name"]) != str(former.get("name", later["name"])):
        return dict(later)
    return _merge_table(former, later)


def _merge_table(former: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two tables; of a table inside them, such as a component's, one key may be changed."""
    merged = {**former, **later}
    for key in former.keys() & later.keys():
        before, after = former[key], later[key]
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            merged[key] = _merge_component(before, after)
        elif key != "weight" and isinstance(before, Mapping) != isinstance(after, Mapping):
            # A component may be said by its name alone.
            before, after = _as_table(before), _as_table(after)
            if isinstance(before, Mapping) and isinstance(after, Mapping):
                merged[key] = _merge_component(before, after)
    return merged


def _as_table(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) and value.lower() != "none" else value


def _only_writers(words: Sequence[str], former: Mapping[str, Any]) -> dict[str, Any]:
    """Return the writers that words name, with the options they have had; ``none`` for no writer.

    Raises:
        LmkitError: If ``none`` is given beside others.
    """
    if list(words) == ["none"]:
        return {}
    if "none" in words:
        raise LmkitError(
            "The writer 'none' stands for no writer, and others are given beside it.",
            remedy="Leave it out, or the others.",
        )
    chosen = {}
    for word in words:
        name, colon, _ = word.partition(":")
        options = former.get(name, {})
        chosen[name] = _merge_component(options, {"name": Text(word)}) if colon else options
    return chosen
