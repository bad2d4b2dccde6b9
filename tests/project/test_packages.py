"""What is shipped: every file of the packages, and a plugin that is declared in one line."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = "[project.entry-points.lmkit]\n"
FOUND = """
import json, os
from setuptools import Distribution

distribution = Distribution({"script_name": "setup.py"})
distribution.parse_config_files(["pyproject.toml"])
build = distribution.get_command_obj("build_py")
build.ensure_finalized()
files = [path for _, _, path in build.find_all_modules()]
files += [os.path.join(folder, name) for _, folder, _, names in build.data_files for name in names]
print(json.dumps([distribution.packages, files]))
"""


def run(*command: str, cwd: Path, path: list[Path]) -> str:
    """Run Python in a checkout that nobody installed, and return what it prints."""
    separated = os.pathsep.join([*map(str, path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": separated},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shipped(checkout: Path) -> tuple[set[str], set[str]]:
    """Return the packages and the files that setuptools puts into a wheel, as it finds them."""
    packages, files = json.loads(run("-c", FOUND, cwd=checkout, path=[]))
    return set(packages), {Path(os.path.normpath(file)).as_posix() for file in files}


def there(checkout: Path) -> set[str]:
    """Return the files in the folders of lmkit and its plugins, but for what Python left there."""
    folders = [checkout / "lmkit", *(checkout / "plugins").glob("lmkit_*")]
    return {
        file.relative_to(checkout).as_posix()
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and file.parent.name != "__pycache__" and not file.name.startswith(".")
    }


@pytest.fixture
def copy(tmp_path):
    """A copy of the checkout, as far as it is shipped."""
    for name in ("lmkit", "plugins"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_every_file_of_every_package_is_shipped():
    packages, files = shipped(ROOT)
    assert files == there(ROOT)
    roots = {package for package in packages if "." not in package}
    folders = {init.parent.name for init in (ROOT / "plugins").glob("lmkit_*/__init__.py")}
    assert roots == {"lmkit"} | folders
    typed = {package for package in roots if (ROOT / home(package) / "py.typed").exists()}
    assert typed == roots


def home(package: str) -> str:
    return package if package == "lmkit" else f"plugins/{package}"


def test_every_plugin_package_is_declared():
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folders = {init.parent.name for init in (ROOT / "plugins").glob("lmkit_*/__init__.py")}
    assert table["entry-points"]["lmkit"] == {name: name for name in folders}


def test_a_plugin_is_a_package_and_one_line(copy):
    fresh = copy / "plugins" / "lmkit_fresh"
    (fresh / "parts").mkdir(parents=True)
    (fresh / "__init__.py").write_text(
        "from lmkit.api import Component, hookimpl\n\n\n@hookimpl\ndef lmkit_components():\n"
        '    return [Component("loss", "fresh", "lmkit_fresh.parts:Fresh", "what is new")]\n'
    )
    (fresh / "parts" / "__init__.py").write_text("class Fresh: ...\n")
    (fresh / "fresh.toml").write_text("[run]\nsteps = 3\n")
    (fresh / "py.typed").touch()
    project = copy / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    assert text.count(TABLE) == 1
    project.write_text(text.replace(TABLE, TABLE + 'lmkit_fresh = "lmkit_fresh"\n'))

    path = [copy, copy / "plugins"]
    plugins = json.loads(run("-m", "lmkit", "plugins", "--json", cwd=copy, path=path))
    (row,) = (row for row in plugins if row["name"] == "lmkit_fresh")
    assert row["built_in"]
    assert Path(row["file"]) == fresh / "__init__.py"
    assert "fresh" in run("-m", "lmkit", "list", "loss", cwd=copy, path=path)
    packages, files = shipped(copy)
    assert {"lmkit_fresh", "lmkit_fresh.parts"} <= packages
    assert files == there(copy)
    mypy = tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["mypy"]
    checked = {file for pattern in mypy["files"] for file in copy.glob(pattern)}
    assert {fresh / "__init__.py", fresh / "parts" / "__init__.py"} <= checked


def test_a_checkout_runs_as_it_lies_there(copy):
    path = [copy, copy / "plugins"]
    plugins = json.loads(run("-m", "lmkit", "plugins", "--json", cwd=copy, path=path))
    own = [row for row in plugins if row["built_in"]]
    assert all(Path(row["file"]).is_relative_to(copy) for row in own)
    declared = tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {row["name"] for row in own} >= declared["entry-points"]["lmkit"].keys()
    assert not [row["name"] for row in own if row["problem"]]
