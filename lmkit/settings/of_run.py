"""The settings of a run's detector, for another run that has it inside."""

from pathlib import Path
from typing import Any

from lmkit.errors import ExitCode, LmkitError
from lmkit.records import LARGEST_RECORD, load_record
from lmkit.registry.lookup import Registry, use_as_before


def detector_of_run(place: str, where: str, registry: Registry) -> dict[str, Any]:
    """Return the detector's section of a run, and under ``from_run`` what it was trained for.

    What is returned is complete: the run is looked at again when its weights are read, at the start
    of the run that has it inside, and never afterwards.

    Args:
        place: The run's folder.
        where: The option that names it, for messages (``detector.teacher``).
        registry: What takes in a file that the run's detector is of, if it is as it was.

    Raises:
        LmkitError: If there is no run, or its settings are damaged.
    """
    path = Path(place).expanduser().absolute()
    try:
        record = load_record(path / "run.json", largest=LARGEST_RECORD)
        settings = record["settings"]
        own, run = dict(settings["detector"]), settings["run"]
        wanted = {"landmarks": int(run["landmarks"]), "image_size": int(run["image_size"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LmkitError(
            f"{where}=run:{place} names no run: {path / 'run.json'} cannot be read "
            f"({type(error).__name__}).",
            remedy="Give the folder that lmkit train has written, run:FOLDER.",
            code=ExitCode.RUN,
        ) from None
    use_as_before(record.get("components", ()), registry)
    return {**own, "from_run": {"path": str(path), **wanted}}
