"""Continuous integration checks what pyproject.toml promises, in the words of .ci/run."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCRIPT = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
SYSTEMS = {
    "ubuntu-latest": "POSIX :: Linux",
    "macos-latest": "MacOS",
    "windows-latest": "Microsoft :: Windows",
}
"""What the classifiers call the systems of the runners."""


def workflow(name: str) -> dict:
    path = ROOT / ".github" / "workflows" / name
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def classified(prefix: str) -> set[str]:
    """Return what comes after this in the classifiers."""
    return {each.removeprefix(prefix) for each in PROJECT["classifiers"] if each.startswith(prefix)}


def steps(job: dict) -> list[dict]:
    return job.get("steps", [])


def commands(job: dict) -> list[str]:
    return [line for step in steps(job) for line in step.get("run", "").splitlines()]


def pythons(job: dict) -> list[str]:
    """Return which Python a job sets up."""
    return [
        step["with"]["python-version"]
        for step in steps(job)
        if step.get("uses", "").startswith("actions/setup-python@")
    ]


def checked() -> set[str]:
    """Return what .ci/run checks in the checkout itself, as one would type it there."""
    lines = re.findall(r"^ +check (.+)$|^check (.+)$", SCRIPT, re.M)
    typed = {first or second for first, second in lines}
    typed = {re.sub(r"^env \w+=1 | --site-dir \S+$", "", each) for each in typed}
    return {each for each in typed if not each.startswith("pip ")}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_no_more_than_it_must(path):
    found = workflow(path.name)
    assert found["permissions"] in ({}, {"contents": "read"})
    assert found["concurrency"]["group"].startswith(path.stem)
    for name, job in found["jobs"].items():
        assert "uses" in job or job["timeout-minutes"] <= 60, name
        for step in steps(job):
            # What comes from outside is handed to a command as a variable, never as its text.
            assert "${{" not in step.get("run", ""), name
            if uses := step.get("uses"):
                assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", uses), uses
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name


def test_every_python_and_system_that_is_promised_is_tested():
    matrix = workflow("checks.yml")["jobs"]["tests"]["strategy"]["matrix"]
    assert set(matrix) == {"os", "python"}
    promised = {each for each in classified("Programming Language :: Python :: ") if "." in each}
    assert set(matrix["python"]) == promised
    assert {SYSTEMS[each] for each in matrix["os"]} == classified("Operating System :: ")
    oldest = min(matrix["python"], key=lambda each: tuple(map(int, each.split("."))))
    assert PROJECT["requires-python"] == f">={oldest}"


def test_the_lowest_versions_are_tried_on_the_oldest_python():
    job = workflow("checks.yml")["jobs"]["lower-bounds"]
    assert pythons(job) == [PROJECT["requires-python"].removeprefix(">=")]
    assert any("--resolution lowest-direct" in line for line in commands(job))
    named = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    assert not [each for each in named if ">=" not in each and not each.startswith("lmkit[")]


def test_it_runs_what_is_run_before_a_change_is_merged():
    jobs = workflow("checks.yml")["jobs"]
    parts = [
        line.removeprefix(".ci/run").split()
        for job in jobs.values()
        for line in commands(job)
        if line.startswith(".ci/run")
    ]
    (known,) = re.findall(r'^parts="(.+)"$', SCRIPT, re.M)
    assert sorted(part for each in parts for part in each) == sorted(known.split())
    # Where there is no bash to count on, and where coverage is measured, in the same words.
    elsewhere = [
        step["run"] for step in steps(jobs["tests"]) if "== 'Windows'" in step.get("if", "")
    ]
    assert elsewhere == ["pip install '.[test]'", "pytest"]
    assert "check pytest\n" in SCRIPT
    assert "pytest --cov" in commands(jobs["coverage"])


def test_nothing_is_released_unless_all_is_well_and_one_job_alone_may_publish():
    jobs = workflow("release.yml")["jobs"]
    assert jobs["checks"]["uses"] == "./.github/workflows/checks.yml"
    assert set(jobs["publish"]["needs"]) == {"checks", "build"}
    may_write = {
        (name, scope)
        for name, job in jobs.items()
        for scope, access in job["permissions"].items()
        if access == "write"
    }
    assert may_write == {("publish", "id-token"), ("notes", "contents")}
    assert jobs["notes"]["needs"] == "publish"
    assert commands(jobs["build"])[0].startswith("mkdir notes && python .ci/release_notes.py")


def test_the_hooks_of_pre_commit_are_the_checks():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (repository,) = yaml.safe_load(text)["repos"]
    assert repository["repo"] == "local"
    assert {hook["entry"] for hook in repository["hooks"]} == checked()
    for hook in repository["hooks"]:
        # The tools of the environment, on the whole tree, as CI has them.
        assert (hook["language"], hook["pass_filenames"]) == ("system", False)
        assert shlex.split(hook["entry"])[0] in ("ruff", "mypy", "python", "pytest", "mkdocs")


@pytest.mark.skipif(os.name == "nt", reason="it is written for bash")
@pytest.mark.parametrize("part", ["everything", "lin"])
def test_a_part_that_there_is_not_is_refused(part):
    done = subprocess.run([ROOT / ".ci" / "run", part], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"There is no part '{part}'. The parts are: lint tests pages.\n"
