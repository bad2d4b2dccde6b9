"""``run.json`` and ``split.json``, which carry a checksum: checked before they are believed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmkit.errors import ExitCode, LmkitError
from lmkit.records import CHECKSUM, LARGEST_RECORD, ChangedError, is_count, load_record
from lmkit.registry.component import KINDS
from lmkit.run.folder import RunFolder
from lmkit.run.provenance import table_of
from lmkit.settings.layers import COMPONENT_SECTIONS, SEVERAL
from lmkit.storage import LARGEST_JSON, is_refused, read_error

_ORIGIN = ("section", "kind", "name", "package", "version")
"""What is said of every component; ``target``, ``plugin`` and ``api`` may be said too."""


def read_run(folder: RunFolder) -> dict[str, Any]:
    """Read ``run.json``, and check what is believed of it.

    Raises:
        LmkitError: If it is damaged or was changed.
    """
    record = _read(folder.settings, LARGEST_RECORD)
    if not isinstance(record.get("settings"), dict):
        raise LmkitError(
            f"{folder.settings} does not hold a run's settings.",
            remedy=_restore(folder.path),
            code=ExitCode.RUN,
        )
    if problem := _problem(record):
        raise _damaged(folder.settings, problem)
    return record


def read_split(folder: RunFolder) -> dict[str, Any]:
    """Read ``split.json``, whose lists are checked where they are compared with the data.

    Raises:
        LmkitError: If it is not there, is damaged or was changed.
    """
    if not folder.split.exists():
        raise LmkitError(
            f"{folder.path} has no split.json, which says what trained: it is a copy that only "
            "predicts.",
            remedy="Take the run that it was copied from, or measure it on other data with --data.",
            code=ExitCode.RUN,
        )
    return _read(folder.split, LARGEST_JSON)


def _read(path: Path, largest: int) -> dict[str, Any]:
    try:
        return load_record(path, largest=largest)
    except ChangedError as error:
        raise LmkitError(
            f"{path} cannot be believed: {error}.",
            remedy="Restore it from a copy. If it was changed on purpose, remove its line "
            f'"{CHECKSUM}", and it is taken as it is.',
            code=ExitCode.RUN,
        ) from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_refused(error):
            raise read_error(path, error) from None
        raise _damaged(path, f"{getattr(error, 'strerror', None) or error}") from None


def _damaged(path: Path, what: str) -> LmkitError:
    return LmkitError(
        f"{path} cannot be read: {what}.", remedy=_restore(path.parent), code=ExitCode.RUN
    )


def _restore(folder: Path) -> str:
    return (
        "The run folder is damaged there; restore the file, or train again. What of it can still "
        f"be used: lmkit check-run {folder}"
    )


def _problem(record: Mapping[str, Any]) -> str | None:
    """Return what in ``run.json`` is not of its kind; None if all is."""
    settings = record["settings"]
    for section, table in settings.items():
        if not isinstance(table, dict):
            return f"settings.{section} is not a table"
        tables = table if section in SEVERAL else {}
        for label, options in tables.items():
            if not isinstance(options, dict):
                return f"settings.{section}.{label} is not a table"
    for section in COMPONENT_SECTIONS:
        if not isinstance(settings.get(section, {}).get("name"), str):
            return f"settings.{section} does not name its component"
    processes = record.get("processes", 1)
    if not is_count(processes):
        return f"{str(processes)[:80]!r} is not a number of processes"
    components = record.get("components", [])
    if not isinstance(components, list):
        return "components is not a list"
    for number, origin in enumerate(components):
        if problem := _problem_of(origin, settings):
            return f"components[{number}] {problem}"
    return None


def _problem_of(origin: Any, settings: Mapping[str, Any]) -> str | None:
    """Return what is wrong with what is said of a component; None if nothing is."""
    if not isinstance(origin, dict):
        return "is not a table"
    for key in _ORIGIN:
        if not isinstance(origin.get(key), str):
            return f"has no {key}"
    if any(not isinstance(value, str) for value in origin.values()):
        return "holds more than words"
    section, *rest = origin["section"].split(".")
    known = COMPONENT_SECTIONS.get(section, section if section in SEVERAL else None)
    # One inside another may be of any kind.
    inside = len(rest) > (1 if section in SEVERAL else 0)
    if origin["kind"] not in KINDS or known is None or not (inside or origin["kind"] == known):
        return f"is no component: {origin['kind'][:80]!r} in {section[:80]!r}"
    if rest and table_of(settings, origin["section"]) is None:
        return f"is of {origin['section'][:80]}, for which there are no settings"
    return None
