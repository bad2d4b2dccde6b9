"""Every fault that data can have is found, and sound data has none."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from lmkit.errors import LmkitError
from lmkit.preparation.check import check as module
from lmkit.preparation.check.check import check
from lmkit.preparation.check.report import Finding
from lmkit.preparation.check.sheets import write
from lmkit.settings.layers import Layer, parse_data, read_assignments, read_recipe
from lmkit.settings.settings import settle


def scene(seed, width=60, height=50):
    """Return something smooth, as photographs are."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def settings_for(spec, *assignments):
    from lmkit.registry.lookup import installed

    registry = installed()
    layers = [
        *read_recipe("paper", registry),
        Layer("spec", {"data": parse_data(str(spec), registry)}),
        Layer("small", {"run": {"batch_size": 4, "image_size": 40}}),
        read_assignments(assignments),
    ]
    return settle(layers, registry)


class Table:
    """A CSV of 16 sound images, two a subject, the last four to test with; faults are added."""

    def __init__(self, root):
        self.root = root
        rng = np.random.default_rng(0)
        self.rows = []
        for number in range(16):
            points = rng.uniform((10, 10), (50, 40), (3, 2)).round(1)
            self.rows.append(
                {
                    "file": f"{number}.png",
                    "subject": f"s{number // 2}",
                    "split": "test" if number >= 12 else "train",
                    "points": points,
                }
            )
            scene(number).save(root / f"{number}.png")

    def check(self, *assignments, **options):
        with (self.root / "t.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            names = [f"{name}_{axis}" for name in ("left", "right", "nose") for axis in "xy"]
            writer.writerow(["file", "subject", "split", *names])
            for row in self.rows:
                cells = ["" if np.isnan(value) else value for value in row["points"].ravel()]
                writer.writerow([row["file"], row["subject"], row["split"], *cells])
        settings = settings_for(f"csv:{self.root / 't.csv'}", *assignments)
        return check(settings, "table", **options)


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path)


def kinds(report):
    return [finding.kind for finding in report.findings]


def only(report):
    (finding,) = report.findings
    return finding


def test_sound_data_has_no_findings(table):
    told = []
    report = table.check(progress=lambda *done: told.append(done))
    assert report.findings == []
    assert report.usable
    assert told == [(16, 16)]
    assert report.counts() == {
        "images": 16, "annotated": 16, "partly_annotated": 0, "points": 3, "subjects": 8,
        "train": 12, "fit": 12, "test": 4, "left_out": 0, "copies_within_a_part": 0,
    }  # fmt: skip
    assert report.sizes.width == (60, 60, 60)
    assert report.sizes.height == (50, 50, 50)
    assert (report.sizes.smaller, report.sizes.image_size) == (0, 40)


def test_images_that_are_too_small_and_what_a_crop_leaves_of_them(table):
    scene(3, 30, 80).save(table.root / "3.png")
    scene(4, 90, 70).save(table.root / "4.png")
    sizes = table.check().sizes
    assert (sizes.width, sizes.height) == ((30, 60, 90), (50, 50, 80))
    assert sizes.smaller == 1
    assert table.check("loading.crop=centre", "loading.crop_share=0.7").sizes.smaller == 15


def test_an_image_in_training_and_in_testing(table):
    # Stored in another way: every pixel is the same.
    Image.open(table.root / "2.png").save(table.root / "13.bmp")
    table.rows[13]["file"] = "13.bmp"
    report = table.check()
    assert only(report).kind == "duplicate"
    assert list(only(report).images) == ["2.png = 13.bmp"]
    assert report.alike == [(2, 13, -1)]
    assert report.usable


def test_an_image_saved_anew_in_testing(table):
    Image.open(table.root / "2.png").resize((66, 55)).save(table.root / "13.jpg", quality=70)
    table.rows[13]["file"] = "13.jpg"
    report = table.check()
    assert only(report).kind == "near-duplicate"
    assert str(only(report)).count("2.png ~ 13.jpg (") == 1
    assert report.alike[0][:2] == (2, 13)
    assert 0 <= report.alike[0].distance <= 24


def test_copies_within_a_part_are_counted_alone(table):
    for number in (5, 6):
        Image.open(table.root / "4.png").save(table.root / f"{number}.png")
    report = table.check()
    assert report.copies == 2
    assert not report.findings


def test_a_subject_in_training_and_in_testing(table):
    table.rows[12]["subject"] = table.rows[13]["subject"] = "s1"
    table.rows[14]["subject"] = ""
    report = table.check()
    assert only(report).kind == "subject"
    assert list(only(report).images) == ["s1 (2 test images)"]


def test_points_outside_and_points_that_coincide(table):
    table.rows[3]["points"][1] = (59.6, 10)
    table.rows[4]["points"][0] = (59.5, 49.5)
    table.rows[5]["points"][1] = table.rows[5]["points"][0]
    table.rows[5]["points"][2] = (-1, -1)
    found = {finding.kind: list(finding.images) for finding in table.check().findings}
    assert found == {
        "outside": ["3.png (1 point)", "5.png (1 point)"],
        "degenerate": ["5.png"],
    }


def test_points_that_are_not_known(table):
    table.rows[3]["points"][1] = np.nan
    table.rows[4]["points"][:] = np.nan
    report = table.check()
    assert (report.annotated, report.partly_annotated) == (14, 1)
    assert not report.findings


def test_files_that_cannot_be_read(table):
    (table.root / "3.png").write_bytes(b"")
    whole = (table.root / "4.png").read_bytes()
    (table.root / "4.png").write_bytes(whole[: len(whole) // 2])
    report = table.check("loading.max_unreadable=0.2")
    assert only(report).kind == "unreadable"
    assert (
        list(only(report).images)
        == [
            "3.png (it is empty)",
            "4.png (image file is truncated)",
        ]
        or "truncated" in only(report).images[1]
    )
    assert report.left_out == 2
    assert report.usable


def test_too_many_that_cannot_be_read_are_refused_as_in_training(table):
    whole = (table.root / "4.png").read_bytes()
    (table.root / "4.png").write_bytes(whole[: len(whole) // 2])
    report = table.check()
    assert kinds(report) == ["refused", "unreadable"]
    assert not report.usable
    assert "loading.max_unreadable=0.07" in str(report.findings[0])
    for row in table.rows:
        (table.root / row["file"]).write_bytes(b"")
    report = table.check()
    assert kinds(report) == ["refused", "unreadable"]
    assert report.split is None
    assert report.sizes is None
    assert [path.name for path in write(report, table.root / "out")] == ["report.json"]


def test_entries_that_cannot_be_used_count_as_images_that_cannot_be_read(table):
    table.rows[4]["points"][1] = (1e39, 5)
    (table.root / "3.png").write_bytes(b"")
    report = table.check()
    assert kinds(report) == ["refused", "unreadable"]
    assert "loading.max_unreadable=0.13" in str(report.findings[0])
    assert any("beyond 1,000,000 pixels" in text for text in report.findings[1].images)
    assert report.left_out == 2
    assert table.check("loading.max_unreadable=0.2").usable


def test_points_are_named(table):
    found = table.check(quick=True).to_dict()
    assert len(found["point_names"]) == found["counts"]["points"]
    assert len(found["normalised_by"]) == 2


def test_data_with_nothing_to_train_on_is_refused(table):
    for row in table.rows:
        row["split"] = "test"
    report = table.check()
    assert kinds(report) == ["refused"]
    assert "No image is left to train on" in str(only(report))
    assert "train" not in report.counts()


def test_data_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(LmkitError, match="holds no image"):
        check(settings_for(tmp_path), "empty")


def test_crops_are_judged_as_training_would(table):
    table.rows[3]["points"][:] = np.nan
    table.rows[4]["points"] += 5000
    report = table.check("loading.crop=annotated-box", "loading.max_unreadable=0.2")
    found = {finding.kind: finding for finding in report.findings}
    assert found.keys() == {"leak", "no-crop", "unreadable"}
    assert "annotated-box (margin 0.5): it is made from annotated points" in str(found["leak"])
    assert list(found["unreadable"].images) == [
        "4.png (its annotated points lie far outside of it)"
    ]
    assert report.left_out == 2
    report = table.check("loading.crop=dve2019")
    assert not report.usable
    assert "60x50 pixels" in str(report.findings[0])


def test_fewer_images_than_a_batch(table):
    assert only(table.check("run.batch_size=13")).kind == "few"


def test_images_that_are_not_there_are_told(table):
    (table.root / "3.png").unlink()
    report = table.check()
    assert only(report).kind == "note"
    assert "3.png" in str(only(report))
    assert report.counts()["images"] == 15


def test_quick_reads_nothing(table, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("was read")

    monkeypatch.setattr(module, "scan", refuse)
    (table.root / "3.png").write_bytes(b"")
    report = table.check("loading.max_unreadable=0.2", quick=True)
    assert only(report).kind == "unreadable"
    assert report.sizes is None
    assert report.to_dict()["quick"] is True


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(table, workers):
    Image.open(table.root / "2.png").save(table.root / "13.png")
    report = table.check(f"loading.workers={workers}")
    assert report.to_dict()["counts"] == table.check("loading.workers=0").to_dict()["counts"]
    assert kinds(report) == ["duplicate"]


def test_a_line_names_the_first_few():
    assert str(Finding("x", "Five are wrong.", list("abcde"))) == (
        "Five are wrong: a; b; c; and 2 more"
    )
    assert str(Finding("x", "It is so.")) == "It is so."


def test_the_json_form(table):
    Image.open(table.root / "2.png").save(table.root / "13.png")
    plain = json.loads(json.dumps(table.check().to_dict()))
    assert plain["usable"] is True
    assert plain["sizes"]["width"] == {"least": 60, "median": 60.0, "greatest": 60}
    (finding,) = plain["findings"]
    assert finding == {
        "kind": "duplicate",
        "problem": False,
        "text": "1 test image in training too, equal in every pixel.",
        "count": 1,
        "images": ["2.png = 13.png"],
    }


def test_generated_faces_are_sound():
    report = check(settings_for("faces", "data.count=40"), "faces")
    assert not report.findings
    assert report.counts()["points"] == 5
