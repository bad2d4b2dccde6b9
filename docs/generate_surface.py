"""Writes tests/api_surface.txt: the public surface of ``lmkit.api``, frozen.

Every name with its kind; signatures with annotations and defaults; of classes their bases, public
methods and attributes; the hooks and the kinds of component. A plugin may rely on every line. Read
from the source and never imported, like docs/api.md.

    python docs/generate_surface.py            write it, after a change that is meant
    python docs/generate_surface.py --check    fail if the surface is another, and show how;
                                               a path after it is compared instead of that file
"""

import ast
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

from generate_api import find, signature
from generated import ROOT, document_this_tree

document_this_tree()

from lmkit import api  # noqa: E402
from lmkit.registry import hookspecs  # noqa: E402
from lmkit.registry.component import KINDS  # noqa: E402

FROZEN = ROOT / "tests" / "api_surface.txt"

CALLED = ("__call__", "__getitem__", "__len__")
"""The methods with underscores that are there to be used."""

ADVICE = """
The public surface of lmkit.api is not what tests/api_surface.txt says. If that is meant:
  1. raise API_VERSION in lmkit/registry/discovery.py: the minor number where something is added,
     the major one where something is taken away or a plugin has to change (docs/plugins.md); until
     lmkit 0.1.0 is released, 1.0 stays;
  2. note it in CHANGELOG.md;
  3. python docs/generate_surface.py
"""


def surface() -> str:
    """Return the whole file."""
    lines = [f"kinds: {', '.join(KINDS)}", ""]
    hooks = [name for name in vars(hookspecs) if name.startswith("lmkit_")]
    lines += [defined(hook, "registry.hookspecs")[0] for hook in sorted(hooks)]
    for name in sorted(api.__all__):
        first, *rest = defined(name, api._HOMES[name])
        lines += ["", first, *(f"    {line}" for line in rest)]
    return "\n".join(lines) + "\n"


def defined(name: str, home: str) -> list[str]:
    """Return a name's lines: one, and for a class one for each of its public parts."""
    node, _ = find(name, home)
    if isinstance(node, ast.Assign):
        return [ast.unparse(node)]
    if isinstance(node, ast.FunctionDef):
        return [one_line(node)]
    bases = ", ".join(ast.unparse(each) for each in [*node.bases, *node.keywords])
    above = [f"@{ast.unparse(each)} " for each in node.decorator_list]
    # Not sorted: the order of a record's fields is that of its arguments.
    return [f"{''.join(above)}class {name}({bases})", *members(node)]


def members(node: ast.ClassDef) -> Iterator[str]:
    """Yield the public parts of a class in their order: fields, attributes and methods."""
    for member in node.body:
        if isinstance(member, ast.FunctionDef):
            if member.name == "__init__":
                yield one_line(member)
                yield from own_attributes(member)
            elif not member.name.startswith("_") or member.name in CALLED:
                yield one_line(member)
        elif isinstance(member, (ast.Assign, ast.AnnAssign)):
            target = member.targets[0] if isinstance(member, ast.Assign) else member.target
            if not ast.unparse(target).startswith("_"):
                yield ast.unparse(member)


def own_attributes(constructor: ast.FunctionDef) -> Iterator[str]:
    """Yield the public attributes that a constructor gives to its object."""
    names: dict[str, None] = {}
    for node in ast.walk(constructor):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= dict.fromkeys(map(ast.unparse, targets))
    for name in names:
        if name.startswith("self.") and name.count(".") == 1 and not name.startswith("self._"):
            yield name


def one_line(node: ast.FunctionDef) -> str:
    """Return a signature in one line, its decorators first."""
    *decorators, line = signature(node).splitlines()
    return " ".join([*decorators, line if "@property" in decorators else f"def {line}"])


def main() -> int:
    """Write the file, or compare it and explain what to do."""
    text = surface()
    check, *other = sys.argv[1:] or [""]
    if check != "--check":
        FROZEN.write_text(text, encoding="utf-8")
        return 0
    frozen = Path(*other or [FROZEN]).read_text(encoding="utf-8")
    if text == frozen:
        return 0
    pairs = difflib.unified_diff(frozen.splitlines(), text.splitlines(), "frozen", "now", n=0)
    print("\n".join(pairs), ADVICE, sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
