"""``lmkit new-plugin``: a package that installs, passes its tests and trains as it is."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lmkit.registry.component import KINDS
from lmkit.registry.discovery import API_VERSION
from lmkit.templates import hooks, names_of, package_files

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "lmkit" / "templates"


def written(folder):
    """Return every file below a folder, text by path."""
    paths = (
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in str(path)
    )
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_the_example_in_the_clone_is_what_it_writes(lmkit, tmp_path):
    kinds = ("--kind", "detector", "--kind", "loss")
    code, _, err = lmkit("new-plugin", "lmkit-example", *kinds)
    assert (code, err) == (0, "")
    found = written(tmp_path / "lmkit-example")
    example = written(ROOT / "plugins" / "example")
    kept = {name: text for name, text in example.items() if not name.startswith(("build", "."))}
    kept |= {name: example[name] for name in (".gitignore", ".github/workflows/test.yml")}
    kept = {name: text for name, text in kept.items() if ".egg-info" not in name}
    assert found == kept


def test_it_says_what_to_do_next(lmkit, tmp_path):
    code, out, _ = lmkit("new-plugin", "mine", "--kind", "loss", "--out", tmp_path / "a" / "b")
    assert code == 0
    assert "loss 'mine'" in out
    for line in ("lmkit check-plugin mine", "lmkit train --recipe mine", f"{tmp_path}/a/b[test]"):
        assert line in out
    assert (tmp_path / "a" / "b" / "mine" / "loss.py").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_alone_is_whole(kind):
    texts = package_files(names_of("my.Own_part"), [kind], "Apache-2.0")
    package = {name for name in texts if name.startswith("my_own_part/")}
    assert package == {
        f"my_own_part/{name}"
        for name in ("__init__.py", "py.typed", "my-own-part.toml", f"{kind}.py")
    }
    assert {name for name in texts if name.startswith("tests/")} == {
        "tests/test_conformance.py",
        "tests/test_training.py",
        f"tests/test_{kind}.py",
    }
    assert texts["my_own_part/__init__.py"].count("Component(\n") == 1
    assert f'"my_own_part.{kind}:' in texts["my_own_part/__init__.py"]
    recipe = tomllib.loads(texts["my_own_part/my-own-part.toml"])
    section = "data" if kind == "dataset" else kind
    assert set(recipe) == {"based_on", section}
    rows = [line for line in texts["README.md"].splitlines() if line.startswith("| ")]
    assert [row.split()[1] for row in rows] == ["kind", kind, "recipe"]
    project = tomllib.loads(texts["pyproject.toml"])
    assert project["project"]["name"] == "my-own-part"
    assert project["project"]["entry-points"]["lmkit"] == {"my_own_part": "my_own_part"}


def test_a_command_may_be_brought_with_components_or_alone():
    for kinds in (["command"], ["loss", "command"]):
        texts = package_files(names_of("my.Own_part"), kinds, "MIT")
        hooks_text = texts["my_own_part/__init__.py"]
        assert 'Command("my-own-part", "my_own_part.command:command"' in hooks_text
        assert "import Command, Component, Recipe" in hooks_text
        assert {"my_own_part/command.py", "tests/test_command.py"} <= texts.keys()
        assert '"click"' in texts["pyproject.toml"]
        assert "| command | `lmkit my-own-part` |" in texts["README.md"]
    without = package_files(names_of("mine"), KINDS, "MIT")
    assert "command" not in without["mine/__init__.py"].lower()
    assert not any("click" in text for name, text in without.items() if name != "LICENSE")


def test_what_its_command_prints_is_tested(lmkit, tmp_path):
    assert lmkit("new-plugin", "zebra-lines", "--kind", "command")[0] == 0
    package = tmp_path / "zebra-lines"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_command.py"],
        cwd=package,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_left_to_be_filled_in():
    for text in package_files(names_of("zebra"), [*KINDS, "command"], "MIT").values():
        for word in ("my_plugin", "my-plugin", "my-part", "my-kinds", "my-licence", "my-year"):
            assert word not in text


def test_every_python_file_compiles():
    for name, text in package_files(names_of("zebra"), [*KINDS, "command"], "MIT").items():
        if name.endswith(".py"):
            compile(text, name, "exec")


def test_the_templates_are_whole():
    assert [component.kind for component in hooks.lmkit_components()] == list(KINDS)
    assert hooks.LMKIT_API == API_VERSION
    licence = (TEMPLATES / "Apache-2.0.txt").read_text(encoding="utf-8")
    assert licence == (ROOT / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize(("licence", "first"), [("Apache-2.0", "Apache License"), ("MIT", "MIT")])
def test_a_licence_can_be_chosen(licence, first):
    texts = package_files(names_of("mine"), ["loss"], licence)
    assert texts["LICENSE"].split("\n")[0 if licence == "MIT" else 1].strip().startswith(first)
    assert tomllib.loads(texts["pyproject.toml"])["project"]["license"] == licence


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["class", "--kind", "loss"], "'class' is not a valid name for a package"),
        (["7up", "--kind", "loss"], "'7up' is not a valid name for a package"),
        (["my plugin", "--kind", "loss"], "'my plugin' is not a valid name for a package"),
        (["json", "--kind", "loss"], "Take another name, such as lmkit-json."),
        (["LMKit", "--kind", "loss"], "stand in the way of another's module, lmkit"),
        (["mine", "--kind", "detektor"], "Did you mean 'detector'?"),
        (["mine"], "Missing option '--kind'"),
        (["mine", "--kind", "loss", "--licence", "GPL"], "'GPL' is not one of"),
    ],
)
def test_what_cannot_be_is_refused(lmkit, tmp_path, arguments, problem):
    code, out, err = lmkit("new-plugin", *arguments)
    assert (code, out) == (2, "")
    assert problem in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(lmkit, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.py").write_text("years of it")
    code, _, err = lmkit("new-plugin", "mine", "--kind", "loss")
    assert code == 2
    assert "mine is there already" in err
    assert written(tmp_path) == {"mine/work.py": "years of it"}


def test_a_folder_that_cannot_be_written_leaves_nothing(lmkit, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = lmkit("new-plugin", "mine", "--kind", "loss", "--out", "file/mine")
    assert code == 7
    assert "cannot be written" in err
    assert written(tmp_path) == {"file": ""}


def test_a_taken_name_is_warned_of(lmkit):
    code, _, err = lmkit("new-plugin", "mse", "--kind", "loss", "--kind", "pairing")
    assert code == 0
    assert "plugin lmkit_interintra (package lmkit) brings a loss 'mse', too." in err
    assert err.count("Note:") == 1


@pytest.fixture(scope="module")
def python():
    """Run Python away from the clone, with what pip has put into a folder."""

    def run(site, *arguments):
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        # Behind it come the packages of this environment, but not the clone's.
        behind = [path for path in sys.path if path.endswith("site-packages")]
        environment |= {"PYTHONPATH": os.pathsep.join([str(site), *behind])}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=site.parent,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def test_a_stranger_goes_from_nothing_to_a_trained_plugin(python, tmp_path):
    """The whole way, with one component of every kind; lmkit itself installed as well."""
    site, clone = tmp_path / "site", tmp_path / "clone"
    for part in ("lmkit", "plugins"):
        shutil.copytree(ROOT / part, clone / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, clone / part)
    quietly = ("--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    pip = ("-m", "pip", "install", *quietly, "--target", site)
    python(site, *pip, clone)

    python(site, "-m", "lmkit", "new-plugin", "mine", "--kind", "all")
    python(site, *pip, tmp_path / "mine")

    listed = python(site, "-m", "lmkit", "list")
    assert listed.count("mine") >= len(KINDS) + 1
    checked = python(site, "-m", "lmkit", "check-plugin", "mine")
    assert "failed" not in checked
    assert "passed   detector mine: points" in checked
    tested = python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path / "mine")
    assert " passed" in tested
    chosen = ("--detector", "mine", "--loss", "mse", "--loss", "mine", "--writer", "mine")
    small = ("--steps", "3", "--batch-size", "4", "--image-size", "32", "--device", "cpu")
    options = ("--data", "mine", "--pairing", "mine", "--set", "generator.width=4")
    out = tmp_path / "run"
    python(site, "-m", "lmkit", "train", *chosen, *small, *options, "--out", out)
    assert (out / "metrics.csv").read_text().startswith("step,name,value\n")
