"""What the generators of documentation pages share: writing a page, or checking it."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent


def document_this_tree() -> None:
    """Make the lmkit beside these pages the one that is documented, whatever is installed."""
    sys.path.insert(0, str(ROOT))
    sys.path.insert(0, str(ROOT / "plugins"))


def finish(page: Path, text: str) -> int:
    """Write a page, or with ``--check`` on the command line compare it with what is there.

    Args:
        page: The file.
        text: What it should hold.

    Returns:
        The exit status: 0, or 1 if the check failed.
    """
    if "--check" not in sys.argv[1:]:
        page.write_text(text, encoding="utf-8")
        return 0
    if page.is_file() and page.read_text(encoding="utf-8") == text:
        return 0
    name = page.relative_to(ROOT)
    print(f"{name} is not up to date. Write it again: python {sys.argv[0]}", file=sys.stderr)
    return 1
