"""Writes docs/api.md: every name of ``lmkit.api`` with its signature and docstring.

Read from the source and never imported, so that the page is the same with every version of Python
and torch.

    python docs/generate_api.py            write the page
    python docs/generate_api.py --check    fail if it is not up to date
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator

from generated import DOCS, ROOT, document_this_tree, finish

document_this_tree()

from lmkit import api  # noqa: E402

INTRODUCTION = """\
# Python for plugins

This page is generated from `lmkit.api`, the one module a plugin imports from lmkit. Points are
(x, y) in [-1, 1], where -1 and 1 are the outer edges of the image and pixel centres lie half a
pixel inside (`align_corners=False`). [Write a plugin](plugins.md) shows how the parts go together.
"""

GROUPS = {
    "To be announced": (
        "hookimpl",
        "Component",
        "Recipe",
        "Listing",
        "Command",
        "API_VERSION",
    ),
    "Detector": ("Detector", "HeatmapDetector", "Landmarks"),
    "Generator": ("Generator", "HeatmapGenerator", "Redrawn"),
    "Deformation": ("Deformation", "GeometricDeformation", "Views"),
    "Warps": ("Warp", "AffineWarp", "ThinPlateWarp"),
    "Pairing": ("Pairing", "Route", "View", "derangement"),
    "Loss": ("Loss", "Step", "LiveNetwork", "follow"),
    "Dataset": ("Dataset", "Annotation", "Part"),
    "Writer": ("Writer",),
    "Tensor functions": (
        "soft_argmax",
        "DEFAULT_BETA",
        "spatial_softmax",
        "mean_position",
        "gaussian_heatmaps",
        "to_pixels",
        "from_pixels",
    ),
    "Weights of others": ("load_weights", "freeze"),
    "Commands that train several runs": (
        "run_campaign",
        "CampaignReport",
        "CampaignResult",
        "Layer",
        "recipe_layers",
        "data_section",
        "read_assignments",
        "complete_settings",
        "default_recipe",
        "is_of_the_method",
        "as_typed",
    ),
    "Errors": ("LmkitError", "ExitCode", "did_you_mean"),
}
"""The headings of the page, and the names below each."""

SECTIONS = {"Args:": "Arguments", "Returns:": "Returns", "Yields:": "Yields", "Raises:": "Raises"}

Definition = ast.ClassDef | ast.FunctionDef


def page() -> str:
    """Return the whole page."""
    listed = [name for names in GROUPS.values() for name in names]
    if sorted(listed) != sorted(api.__all__):
        odd = sorted({*listed} ^ {*api.__all__})
        raise SystemExit(f"GROUPS and lmkit.api.__all__ differ: {', '.join(odd)}")
    text = INTRODUCTION
    for group, names in GROUPS.items():
        text += f"\n## {group}\n" + "".join(entry(name) for name in names)
    return text


def entry(name: str) -> str:
    """Return one name's part of the page."""
    node, docstring = find(name, api._HOMES[name])
    if isinstance(node, ast.Assign):
        return f"\n### {name}\n\n{code(ast.unparse(node))}{prose(docstring)}"
    if isinstance(node, ast.FunctionDef):
        return f"\n### {name}\n\n{code(signature(node))}{prose(docstring)}"
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    text = f"\n### {name}\n\n{code(f'class {name}({bases})' if bases else f'class {name}')}"
    return text + prose(docstring) + "".join(members(node))


def find(name: str, home: str) -> tuple[Definition | ast.Assign, str | None]:
    """Return the definition or assignment of a name, and its docstring."""
    module = ast.parse((ROOT / "lmkit" / f"{home.replace('.', '/')}.py").read_text("utf-8"))
    for number, node in enumerate(module.body):
        if isinstance(node, Definition) and node.name == name:
            return node, ast.get_docstring(node)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node, attribute_docstring(module, number)
    raise SystemExit(f"lmkit.{home} does not define {name}")


def members(node: ast.ClassDef) -> Iterator[str]:
    """Yield the parts of a class: its constructor, its attributes and its public methods."""
    if fields := bare_fields(node):
        yield code(f"{node.name}({', '.join(fields)})")
    for number, member in enumerate(node.body):
        if isinstance(member, ast.FunctionDef):
            if member.name == "__init__":
                yield code(signature(member, of=node.name))
            elif not member.name.startswith("_") or member.name == "__call__":
                yield code(signature(member)) + prose(ast.get_docstring(member))
        elif text := attribute_docstring(node, number):
            yield code(ast.unparse(member)) + prose(text)


def bare_fields(node: ast.ClassDef) -> list[str]:
    """Return a record's fields that the class's docstring explains, as arguments."""
    fields = [(number, m) for number, m in enumerate(node.body) if isinstance(m, ast.AnnAssign)]
    return [ast.unparse(m) for number, m in fields if not attribute_docstring(node, number)]


def attribute_docstring(node: ast.ClassDef | ast.Module, number: int) -> str | None:
    """Return the string that stands below an attribute of a class or module."""
    below = node.body[number + 1] if number + 1 < len(node.body) else None
    assigns = isinstance(node.body[number], (ast.AnnAssign, ast.Assign))
    if assigns and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
        return inspect.cleandoc(str(below.value.value))
    return None


def signature(node: ast.FunctionDef, *, of: str = "") -> str:
    """Return the line a function is called by, with its types, after its decorators."""
    lines = [f"@{ast.unparse(each)}" for each in node.decorator_list]
    if {"@property", "@cached_property"} & {*lines} and node.returns is not None:
        return "\n".join([*lines, f"{node.name}: {ast.unparse(node.returns)}"])
    arguments = re.sub(r"^(self|cls)(, )?", "", ast.unparse(node.args))
    returns = "" if of or node.returns is None else f" -> {ast.unparse(node.returns)}"
    return "\n".join([*lines, f"{of or node.name}({arguments}){returns}"])


def code(text: str) -> str:
    """Return a block of Python, with the quotes that the formatter prefers."""
    text = re.sub(r"'([^'\"]*)'", r'"\1"', text)
    return f"```python\n{text}\n```\n\n"


def prose(docstring: str | None) -> str:
    """Return a Google-style docstring as Markdown."""
    out: list[str] = []
    section = ""
    for line in (docstring or "").splitlines():
        if line in SECTIONS:
            section = SECTIONS[line]
            out += [f"*{section}*", ""]
        elif section and line.startswith("    ") and not line.startswith("     "):
            term, colon, rest = line.strip().partition(":")
            is_term = colon and section in ("Arguments", "Raises") and " " not in term
            out.append(f"- `{term}`:{rest}" if is_term else f"- {line.strip()}")
        elif section and line.startswith("     "):
            out.append(f"  {line.strip()}")
        else:
            section = "" if line and not line.startswith(" ") else section
            out.append(line)
    text = "\n".join(join_items(out))
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    text = re.sub(r"\[([^\]]+)\]\[[^\]]*\]", r"`\1`", text)
    return f"{text}\n\n" if text else ""


def join_items(lines: list[str]) -> list[str]:
    """Make the lines of a paragraph that is no list of terms one item."""
    joined: list[str] = []
    for line in lines:
        goes_on = line.startswith("- ") and not line.startswith("- `")
        if goes_on and joined and joined[-1].startswith("- ") and not joined[-1].startswith("- `"):
            joined[-1] += f" {line.removeprefix('- ')}"
        else:
            joined.append(line)
    return joined


if __name__ == "__main__":
    # One empty line between blocks and one line end at the end of the page.
    text = re.sub(r"\n{3,}", "\n\n", page()).rstrip() + "\n"
    sys.exit(finish(DOCS / "api.md", text))
