"""run.json and split.json are checked before they are believed."""

import json
import shutil

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.records import write_record
from lmkit.run.folder import RunFolder
from lmkit.run.record import read_run, read_split


@pytest.fixture
def folder(trained, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run.json", "split.json"):
        shutil.copy(trained / name, copy)
    return RunFolder(copy)


def refusal(read, folder):
    with pytest.raises(LmkitError) as caught:
        read(folder)
    assert caught.value.code == ExitCode.RUN
    return caught.value


@pytest.mark.parametrize("name", ["settings", "split"])
def test_what_a_run_believes_carries_a_checksum(folder, name):
    text = getattr(folder, name).read_text()
    assert text.startswith('{\n  "checksum": "sha256:')


def test_a_setting_that_was_changed_is_noticed_and_the_way_on_is_told(folder):
    text = folder.settings.read_text()
    changed = text.replace('"landmarks": 3', '"landmarks": 4')
    assert changed != text
    folder.settings.write_text(changed)
    error = refusal(read_run, folder)
    assert "run.json cannot be believed: it was changed after it was written" in error.problem
    assert 'on purpose, remove its line "checksum", and it is taken as it is' in error.remedy
    lines = [line for line in changed.splitlines() if '"checksum"' not in line]
    folder.settings.write_text("\n".join(lines))
    assert read_run(folder)["settings"]["run"]["landmarks"] == 4


def test_a_split_that_was_changed_is_noticed(folder):
    record = json.loads(folder.split.read_text())
    record["train"].append(record["test"].pop())
    folder.split.write_text(json.dumps(record))
    assert "split.json cannot be believed" in refusal(read_split, folder).problem


def test_a_file_that_is_cut_short_is_named_and_so_is_the_command_that_looks_further(folder):
    folder.settings.write_bytes(folder.settings.read_bytes()[:200])
    error = refusal(read_run, folder)
    assert f"{folder.settings} cannot be read" in error.problem
    assert f"lmkit check-run {folder.path}" in error.remedy


def put(path, value):
    def change(record):
        *above, key = path
        for step in above:
            record = record[step]
        record[key] = value

    return change


def take(path):
    def change(record):
        *above, key = path
        for step in above:
            record = record[step]
        del record[key]

    return change


CHANGES = {
    "a section that is a number": (put(["settings", "run"], 3), "settings.run is not a table"),
    "a section that is a list": (put(["settings", "data"], []), "settings.data is not a table"),
    "a loss that is a word": (put(["settings", "loss", "mse"], "x"), "settings.loss.mse is not"),
    "no detector": (take(["settings", "detector"]), "settings.detector does not name"),
    "a detector without name": (take(["settings", "detector", "name"]), "detector does not name"),
    "a number for a name": (put(["settings", "data", "name"], 3), "settings.data does not name"),
    "processes in words": (put(["processes"], "two"), "is not a number of processes"),
    "components in words": (put(["components"], "none"), "components is not a list"),
    "a component in words": (put(["components", 0], "none"), "components[0] is not a table"),
    "no section": (take(["components", 1, "section"]), "components[1] has no section"),
    "a version in numbers": (
        put(["components", 1, "version"], 1.0),
        "components[1] has no version",
    ),
    "an api in numbers": (
        put(["components", 1, "api"], 1.0),
        "components[1] holds more than words",
    ),
    "an unknown kind": (put(["components", 1, "kind"], "x"), "components[1] is no component"),
    "another kind": (put(["components", 1, "kind"], "loss"), "components[1] is no component"),
    "an unknown loss": (
        put(["components", -1], {"section": "loss.x", "kind": "loss", "name": "x", "package": "y"}),
        "has no version",
    ),
}


@pytest.mark.parametrize(("change", "problem"), CHANGES.values(), ids=CHANGES)
def test_a_record_of_another_form_is_refused_whoever_vouches_for_it(folder, change, problem):
    record = json.loads(folder.settings.read_text())
    change(record)
    write_record(folder.settings, record)
    error = refusal(read_run, folder)
    assert f"{folder.settings} cannot be read: " in error.problem
    assert problem in error.problem


def test_a_component_without_settings_is_refused(folder):
    record = json.loads(folder.settings.read_text())
    loss = next(each for each in record["components"] if each["kind"] == "loss")
    loss["section"] = "loss.absent"
    write_record(folder.settings, record)
    assert "for which there are no settings" in refusal(read_run, folder).problem


def test_a_copy_that_only_predicts_has_no_split(folder):
    folder.split.unlink()
    assert "it is a copy that only predicts" in refusal(read_split, folder).problem
