"""Settings that were called otherwise before, so that runs of that time still open."""

import copy
from collections.abc import Mapping
from typing import Any

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
