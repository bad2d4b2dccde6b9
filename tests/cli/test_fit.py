"""From unlabelled images to named points, from the command line and from Python."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from lmkit.errors import ExitCode, LmkitError
from lmkit.points.map import PointsMap
from lmkit.run.run import open_run


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def photos(tmp_path, trained):
    """Generated faces as files, of 64 pixels across."""
    dataset = open_run(trained, device="cpu")._dataset("faces")
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(12):
        Image.fromarray(dataset.image(index)).resize((64, 64)).save(folder / f"{index:02}.png")
    return folder


def label(table):
    """Fill in a sheet with places that are as good as any."""
    found = rows(table)
    for number, row in enumerate(found):
        for place, column in enumerate(list(row)[1:]):
            row[column] = 20 + 5 * place + number % 3
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)


def suggested(lmkit, trained, photos):
    names = ("--names", "left_eye,nose", "--out", "sheet.csv", "--device=cpu")
    return lmkit("suggest", trained, photos, "-n", 6, *names)


def test_from_a_folder_to_named_points(lmkit, trained, photos, tmp_path, monkeypatch):
    from lmkit.evaluation import suggestions

    # A detector of four steps has landmarks that sit at the border.
    monkeypatch.setattr(
        suggestions.find_faults(np.zeros((1, 3, 2))).__class__,
        "images",
        property(lambda self: np.zeros(len(self.any), bool)),
    )
    code, stdout, _ = suggested(lmkit, trained, photos)
    assert code == 0
    sheet = tmp_path / "sheet.csv"
    named = [row["file"] for row in rows(sheet)]
    assert [name.removeprefix("photos/") for name in named] == stdout.splitlines()[:-1]
    assert len(set(named)) == 6
    assert list(rows(sheet)[0])[1:] == ["left_eye_x", "left_eye_y", "nose_x", "nose_y"]
    code, _, stderr = lmkit("fit", trained, "--data", "csv:sheet.csv", "--out", "points")
    assert code == ExitCode.DATA
    assert "None of the 6 images has a labelled point" in stderr
    assert not (tmp_path / "points").exists()

    label(sheet)
    code, stdout, _ = lmkit("fit", trained, "--data", "csv:sheet.csv", "--out", "points")
    assert code == 0
    assert "Fitted to 6 images" in stdout
    assert {each.name for each in (tmp_path / "points").iterdir()} == {
        "map.json",
        "fit.json",
        "images.csv",
    }
    report = json.loads((tmp_path / "points" / "fit.json").read_text())
    assert (report["images"], report["points"]) == (6, ["left_eye", "nose"])

    options = ("--points", "points", "--device=cpu")
    assert lmkit("predict", trained, "photos", *options, "--out", "found")[0] == 0
    assert lmkit("predict", trained, "photos", *options, "--out", "j", "--format=json")[0] == 0
    table = rows(tmp_path / "found" / "points.csv")
    entries = json.loads((tmp_path / "j" / "points.json").read_text())
    run = open_run(trained, device="cpu")
    files = sorted(photos.iterdir())
    result = run.predict(files, points=tmp_path / "points")
    assert result.points.shape == result.standard_error.shape == (12, 2, 2)
    for number, (row, entry) in enumerate(zip(table, entries, strict=True)):
        assert row["file"] == entry["file"] == files[number].name
        place = result["nose"][number]
        assert np.allclose([float(row["nose_x"]), float(row["nose_y"])], place, atol=1e-3)
        assert np.allclose(entry["points"]["nose"], place, atol=1e-3)
        spread = result.standard_error[number, 1]
        assert np.allclose(entry["standard_error"]["nose"], spread, atol=1e-3)
        assert np.allclose(float(row["nose_y_se"]), spread[1], atol=1e-3)
    # It is read back as labels are.
    (tmp_path / "found" / "points.csv").rename(photos / "points.csv")
    again = run.fit(f"csv:{photos / 'points.csv'}")
    assert again.map.names == ("left_eye", "nose")
    with pytest.raises(KeyError):
        result["mouth"]


def test_the_standard_error_grows_with_the_image(trained, photos, tmp_path):
    run = open_run(trained, device="cpu")
    fit = run.fit("faces", tmp_path / "points")
    small = Image.open(photos / "00.png")
    once, twice = run.predict([small, small.resize((128, 128))], points=fit.map).standard_error
    assert np.allclose(twice, 2 * once)
    # The square shows all of an image: half its side is one unit.
    assert np.allclose(once, fit.map.standard_error * 32)
    alone = run.predict(small, points=str(tmp_path / "points"))
    assert alone.points.shape == (len(fit.map.names), 2)
    assert run.predict([], points=fit.map).points.shape == (0, len(fit.map.names), 2)


def test_overlays_show_the_named_points(lmkit, trained, photos, tmp_path):
    open_run(trained, device="cpu").fit("faces", tmp_path / "points")
    for out, extra in (("plain", ()), ("named", ("--points", "points"))):
        assert lmkit("predict", trained, photos / "00.png", *extra, "--out", out)[0] == 0
    plain, named = (
        np.asarray(Image.open(tmp_path / out / "overlays" / "00.png.png"))
        for out in ("plain", "named")
    )
    assert (plain != named).any()
    assert not (tmp_path / "plain" / "points.csv").exists()


def test_a_map_of_another_detector_or_damaged_ends_in_one_message(
    lmkit, trained, photos, tmp_path, tiny
):
    from lmkit.training.session import start

    start(tiny("run.steps=1", "run.seed=9"), tmp_path / "other")
    open_run(trained, device="cpu").fit("faces", tmp_path / "points")
    words = (photos, "--points", "points", "--out", "found", "--device=cpu")
    code, _, stderr = lmkit("predict", "other", *words)
    assert code == ExitCode.RUN
    assert "which is not that of" in stderr
    assert "Traceback" not in stderr
    (tmp_path / "points" / "map.json").write_bytes(b"\xff\x00")
    code, _, stderr = lmkit("predict", trained, *words)
    assert code == ExitCode.RUN
    assert "map.json cannot be used as named points" in stderr
    assert not (tmp_path / "found").exists()


def test_images_held_out_for_testing_are_not_fitted_to(trained, photos, tmp_path):
    lines = ["file,split,nose_x,nose_y"]
    lines += [f"{n:02}.png,{'test' if n < 4 else 'train'},{20 + n},30" for n in range(12)]
    (photos / "table.csv").write_text("\n".join(lines) + "\n")
    fit = open_run(trained, device="cpu").fit(f"csv:{photos / 'table.csv'}")
    assert fit.map.images == 8
    assert not {"00.png", "03.png"} & {each.name for each in fit.images}


@pytest.mark.parametrize("names", ["a,a", "bbox", ",", "nose,0"])
def test_names_that_would_not_be_read_are_refused(lmkit, trained, photos, names):
    code, _, stderr = lmkit("suggest", trained, photos, "--names", names, "--out", "sheet.csv")
    assert code == ExitCode.USAGE
    assert "cannot head a table of points" in stderr


def test_a_sheet_that_exists_is_kept(lmkit, trained, photos, tmp_path):
    (tmp_path / "sheet.csv").write_text("labels")
    code, _, stderr = suggested(lmkit, trained, photos)
    assert code == ExitCode.STORAGE
    assert "may hold labels" in stderr
    assert (tmp_path / "sheet.csv").read_text() == "labels"


def test_what_is_not_given_is_asked_for(lmkit, trained, photos):
    assert "--data" in lmkit("fit", trained)[2]
    assert "go together" in lmkit("suggest", trained, photos, "--names", "a")[2]
    with pytest.raises(LmkitError, match="no such file"):
        PointsMap.read(photos)
