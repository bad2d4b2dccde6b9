"""Runs side by side: the settings that differ, common images, differences, groups of seeds."""

import json
import shutil

import numpy as np
import pytest

from lmkit.comparison.page import write_comparison
from lmkit.comparison.runs import compare, summarise
from lmkit.comparison.tables import markdown, tables
from lmkit.data.image_files import load_image
from lmkit.errors import ExitCode, LmkitError
from lmkit.run.run import open_run
from lmkit.settings.layers import Layer
from lmkit.training.session import start


@pytest.fixture(scope="module")
def runs(tiny, trained, tmp_path_factory):
    """Runs beside ``trained``: another seed, and others in several settings."""
    home = tmp_path_factory.mktemp("compared")
    start(tiny("run.checkpoint_every=2", "run.seed=1", "run.log_every=1"), home / "seed")
    small = ("run.image_size=16", "run.landmarks=5", "run.steps=2", "loading.fit=pad")
    start(tiny("run.checkpoint_every=2", *small), home / "small")
    return {"trained": trained, "seed": home / "seed", "small": home / "small"}


@pytest.fixture(scope="module")
def compared(runs):
    return compare(list(runs.values()), device="cpu")


def table(comparison, title):
    return next(each for each in tables(comparison) if each.title.startswith(title))


def test_the_settings_that_differ_are_found_and_no_others(compared):
    assert compared.differing() == {
        "run.steps": [4, 4, 2],
        "run.landmarks": [3, 3, 5],
        "run.image_size": [32, 32, 16],
        "run.seed": [0, 1, 0],
        "run.log_every": [50, 1, 50],
        "loading.fit": ["crop", "crop", "pad"],
    }


def test_all_are_measured_on_the_same_images_whatever_their_size(compared):
    keys = [entry.report.keys for entry in compared.entries]
    assert keys[0] == keys[1] == keys[2]
    assert [entry.report.fit_images for entry in compared.entries] == [20] * 3
    assert [entry.name for entry in compared.entries] == ["trained", "seed", "small"]
    assert compared.best.report.forward == min(e.report.forward for e in compared.entries)


def test_every_pair_is_compared_and_the_best_stands_for_nothing_itself(compared):
    pairs = [(each.first, each.second) for each in compared.differences]
    assert pairs == [("trained", "seed"), ("trained", "small"), ("seed", "small")]
    forward = {entry.name: entry.report.forward for entry in compared.entries}
    for each in compared.differences:
        assert each.points == pytest.approx(forward[each.first] - forward[each.second])
    best = compared.best.name
    against = compared.against(best)
    assert sorted([best, *(each.first for each in against)]) == sorted(forward)
    assert {each.second for each in against} == {best}
    assert all(each.points >= 0 for each in against)
    for row in table(compared, "Errors").rows:
        assert (row[-1] == "-") == (row[0] == best)


def test_runs_that_differ_in_their_seed_alone_are_summarised(compared):
    (seeds,) = compared.seeds
    assert (seeds.runs, seeds.seeds) == (["trained", "seed"], [0, 1])
    errors = [entry.report.forward for entry in compared.entries[:2]]
    assert seeds.mean == pytest.approx(np.mean(errors))
    assert seeds.sd == pytest.approx(abs(errors[0] - errors[1]) / np.sqrt(2))
    assert any("one run per setting" in note for note in compared.notes)
    both = summarise(compared.entries[:2])
    assert not any("one run per setting" in note for note in both.notes)


def test_a_copy_differs_in_nothing(trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    found = compare([trained, copy], device="cpu")
    assert found.differing() == {}
    (difference,) = found.differences
    assert (difference.points, difference.interval) == (0, (0, 0))
    assert found.seeds == []
    assert tables(found)[0].title.startswith("Errors")


def test_the_json_form_and_the_page_say_the_same(compared):
    plain = json.loads(json.dumps(compared.to_dict()))
    assert plain["settings"]["run.landmarks"] == {"trained": 3, "seed": 3, "small": 5}
    assert plain["images"] == {"fit": 20, "test": 4}
    assert [run["landmarks"] for run in plain["runs"]] == [3, 3, 5]
    assert [run["steps"] for run in plain["runs"]] == [4, 4, 2]
    page = markdown(compared)
    for run in plain["runs"]:
        assert f"| {run['name']} | {run['evaluation']['forward']['nme']:.2f} |" in page
        assert f"| {run['cost']['detector']['total']:,} |" in page
    assert "| run.landmarks | 3 | 3 | 5 |" in page
    for each in compared.against(compared.best.name):
        assert each.words in page
    for note in plain["notes"]:
        assert f"- {note}" in page


def test_everything_is_written_and_the_sheet_has_a_row_each_run(compared, tmp_path):
    page, figures, faces = write_comparison(compared, tmp_path / "new")
    assert page.read_text(encoding="utf-8") == markdown(compared)
    assert json.loads(figures.read_text()) == json.loads(json.dumps(compared.to_dict()))
    height, width = load_image(faces).shape[:2]
    assert width == 4 * 162 - 2
    assert height > 3 * 160


def test_names_are_the_shortest_ends_that_differ(trained, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(trained, tmp_path / name / "run")
    found = compare([tmp_path / "a/run", open_run(tmp_path / "b/run", device="cpu")])
    assert [entry.name for entry in found.entries] == ["a/run", "b/run"]


def test_on_other_data_all_have_the_same_test_images(runs):
    layer = Layer("--data", {"data": {"name": "faces", "count": 40}})
    found = compare([runs["trained"], runs["small"]], layers=[layer], device="cpu")
    keys = [entry.report.keys for entry in found.entries]
    assert keys[0] == keys[1]
    assert found.to_dict()["images"]["test"] == len(keys[0]) > 0


def test_what_differs_besides_the_settings_is_noted(runs, tmp_path):
    copy = shutil.copytree(runs["small"], tmp_path / "copy")
    lines = [json.loads(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    changed = "".join(json.dumps({**line, "device": "ZX81"}) + "\n" for line in lines)
    (copy / "metrics.jsonl").write_text(changed)
    record = json.loads((copy / "run.json").read_text())
    record["settings"]["run"]["steps"] = 50
    del record["checksum"]
    (copy / "run.json").write_text(json.dumps(record))
    notes = compare([runs["trained"], copy], device="cpu").notes
    assert any("the devices differ" in note and "copy on ZX81" in note for note in notes)
    assert "copy is not finished: step 2 of 50." in notes


def test_too_few_runs_are_refused(trained, tmp_path):
    for given in ([], [trained]):
        with pytest.raises(LmkitError, match="takes two runs or more"):
            compare(given)
    with pytest.raises(LmkitError, match="trained is given twice"):
        compare([trained, trained.parent / "." / "trained"])
    with pytest.raises(LmkitError, match="is not a folder") as caught:
        compare([trained, tmp_path / "absent"])
    assert caught.value.code == ExitCode.RUN


def test_runs_of_different_data_need_data_to_compare_on(tiny, trained, tmp_path):
    start(tiny("data.count=30", "run.steps=1"), tmp_path / "other")
    with pytest.raises(LmkitError) as caught:
        compare([trained, tmp_path / "other"])
    assert "trained and other were trained on different data: data.count is 24 in one" in str(
        caught.value
    )
    assert "--data" in caught.value.remedy


def test_reports_of_other_images_are_not_summarised(compared, runs):
    other = compare(
        [runs["trained"], runs["small"]],
        layers=[Layer("--data", {"data": {"name": "faces", "count": 40}})],
        device="cpu",
    )
    with pytest.raises(LmkitError, match="not measured on the same images"):
        summarise([compared.entries[0], other.entries[1]])


def test_runs_are_compared_without_the_plugins_that_only_trained_them(runs, compared, tmp_path):
    other = shutil.copytree(runs["seed"], tmp_path / "seed")
    record = json.loads((other / "run.json").read_text())
    for entry in record["components"]:
        if entry["kind"] in ("generator", "loss", "pairing"):
            section, _, label = entry["section"].partition(".")
            settings = record["settings"][section]
            (settings[label] if label else settings)["name"] = "gone"
            entry |= {"name": "gone", "package": "lmkit-gone"}
    del record["checksum"]
    (other / "run.json").write_text(json.dumps(record))
    found = compare([runs["trained"], other], device="cpu")
    assert found.entries[1].report.forward == compared.entries[1].report.forward
    assert found.entries[1].cost.generator is None
    assert found.entries[0].cost.generator == compared.entries[0].cost.generator
    assert found.differing()["generator.name"] == ["residual", "gone"]
