"""What ``lmkit new-plugin`` writes: the files of a plugin's package, and how they are filled in.

The files beside this one are a whole plugin with a command and one component of every kind, called
``my-plugin`` (as a distribution), ``my_plugin`` (as a module) and ``my-part`` (as components,
command and recipe). They are real code, held to the same rules as lmkit's own. A package is made of
those of the chosen kinds, with these words exchanged.
"""

import keyword
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from importlib.resources import files

from lmkit.errors import LmkitError
from lmkit.registry.component import KINDS

_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_RESERVED = ("lmkit", "torch", "torchvision", "timm", "numpy", "PIL", "pytest", "tests")
_COMPONENT = re.compile(r" {8}Component\(\n {12}\"(\w+)\",\n(?: {12}.*\n)*? {8}\),\n")
_COMMAND_HOOK = re.compile(r"@hookimpl\ndef lmkit_commands\(\).*\n(?: {4}.*\n)+\n\n")
COMMAND = "command"
"""What a package may bring beside components."""
_ROW = re.compile(r"\| (\w+) \| `.*\n")
_SECTION = re.compile(r"\n\[(\w+).*\]\n(?:.+\n)*")


@dataclass(frozen=True, slots=True)
class Names:
    """What a package and its parts are called.

    Args:
        distribution: What ``pip install`` takes: ``my-plugin``.
        module: What Python imports, and the plugin's name: ``my_plugin``.
        part: What users type for its components and its recipe: ``my-plugin``, or without
            ``lmkit-`` where it begins with it.
    """

    distribution: str
    module: str
    part: str


def names_of(name: str) -> Names:
    """Return what a package of this name is called, and its parts.

    Raises:
        LmkitError: If no package can be called so, or if the name is taken by Python or lmkit.
    """
    distribution = re.sub(r"[-_.]+", "-", name).lower()
    module = distribution.replace("-", "_")
    if not _NAME.fullmatch(name) or keyword.iskeyword(module):
        raise LmkitError(
            f"'{name}' is not a valid name for a package.",
            remedy="Give letters, digits and - between them, starting with a letter: my-plugin.",
        )
    if module in sys.stdlib_module_names or module in _RESERVED:
        raise LmkitError(
            f"A package '{name}' would stand in the way of another's module, {module}.",
            remedy=f"Take another name, such as lmkit-{distribution}.",
        )
    part = distribution.removeprefix("lmkit-")
    return Names(distribution, module, part)


def package_files(names: Names, kinds: Collection[str], licence: str) -> dict[str, str]:
    """Return the files of a package, text by path.

    Args:
        names: What it is called.
        kinds: The kinds of component it brings, one of each; and perhaps a command.
        licence: ``Apache-2.0`` or ``MIT``.
    """
    chosen = [kind for kind in (*KINDS, COMMAND) if kind in kinds]
    words = {
        "my_plugin": names.module,
        "my-plugin": names.distribution,
        "my-part": names.part,
        "my-kinds": ", ".join(chosen),
        "my-licence": licence,
        "my-year": str(date.today().year),
    }
    sources = {
        "pyproject.toml": "project.toml",
        "README.md": "README.md",
        "LICENSE": f"{licence}.txt",
        ".gitignore": "gitignore",
        ".github/workflows/test.yml": "workflow.yml",
        f"{names.module}/__init__.py": "hooks.py",
        f"{names.module}/{names.part}.toml": "recipe.toml",
        **{f"{names.module}/{kind}.py": f"{kind}.py" for kind in chosen},
        "tests/test_conformance.py": "tests_conformance.py",
        "tests/test_training.py": "tests_training.py",
        **{f"tests/test_{kind}.py": f"tests_{kind}.py" for kind in chosen},
    }
    texts = {path: _fill(_read(source), chosen, words) for path, source in sources.items()}
    return {**texts, f"{names.module}/py.typed": ""}


def _read(source: str) -> str:
    return files("lmkit.templates").joinpath(source).read_text(encoding="utf-8")


def _fill(text: str, kinds: Collection[str], words: dict[str, str]) -> str:
    """Leave out what belongs to other kinds, and exchange the words."""
    wanted = {*kinds, "kind", "recipe"}
    if COMMAND not in kinds:
        text = _COMMAND_HOOK.sub("", text).replace("import Command, Component", "import Component")
        text = text.replace('["lmkit", "click", "numpy"]', '["lmkit"]')
    text = _COMPONENT.sub(lambda found: found[0] if found[1] in wanted else "", text)
    text = _ROW.sub(lambda found: found[0] if found[1] in wanted else "", text)
    if text.startswith("# The quickstart"):
        sections = {"data" if kind == "dataset" else kind for kind in kinds}
        text = _SECTION.sub(lambda found: found[0] if found[1] in sections else "", text)
    return re.sub("|".join(words), lambda found: words[found[0]], text)
