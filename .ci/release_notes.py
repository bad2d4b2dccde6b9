"""Print what CHANGELOG.md says of a release, if the tag of the release is right.

    python .ci/release_notes.py v0.1.0

It refuses a tag that is not the version of lmkit and of CITATION.cff, and a release without a dated
section in the changelog. The release workflow starts with it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def release_notes(tag: str, root: Path = ROOT) -> str:
    """Return the changelog's section of a release.

    Args:
        tag: The tag in git: ``v`` and the version.
        root: The checkout.

    Raises:
        ValueError: If the tag, the versions and the changelog do not agree.
    """
    version = tag.removeprefix("v")
    stated = {
        "lmkit/__init__.py": r'^__version__ = "(.+)"$',
        "CITATION.cff": r"^version: (.+)$",
    }
    for name, pattern in stated.items():
        found = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.M)
        if tag != f"v{found[1] if found else None}":
            raise ValueError(f"{name} has version {found[1] if found else None}, the tag is {tag}.")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n"
    section = re.search(heading + r"(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    if not section:
        raise ValueError(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD'.")
    if not section[1].strip():
        raise ValueError(f"CHANGELOG.md says nothing of {version}.")
    return section[1].strip() + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        print(release_notes(sys.argv[1]), end="")
    except ValueError as error:
        sys.exit(f"Error: {error}")
