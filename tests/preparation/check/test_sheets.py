"""The sheets show the images, their points, and the pairs that are alike."""

import csv

import numpy as np
import pytest
from PIL import Image

import lmkit.drawing as drawing
from lmkit.drawing.sheets import GAP
from lmkit.errors import ExitCode, LmkitError
from lmkit.preparation.check.check import check
from lmkit.preparation.check.sheets import CELL, write
from lmkit.registry.lookup import installed
from lmkit.settings.layers import Layer, parse_data, read_assignments, read_recipe
from lmkit.settings.settings import settle


def report_on(root, *assignments, copies=True):
    """Check six grey images of 40x40, one of them in both parts."""
    with (root / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "split", "x0", "y0", "x1", "y1"])
        for number in range(6):
            shade = 100 if number in (0, 5) and copies else 40 + 10 * number
            ramp = np.linspace(0, number % 3 * 20, 40)[:, None, None]
            array = (np.full((40, 40, 3), shade) + (0 if shade == 100 else ramp)).astype(np.uint8)
            Image.fromarray(array).save(root / f"{number}.png")
            split = "test" if number > 3 else "train"
            writer.writerow([f"{number}.png", split, 9.5, 19.5, "", ""])
    registry = installed()
    layers = [
        *read_recipe("paper", registry),
        Layer("spec", {"data": parse_data(f"csv:{root / 't.csv'}", registry)}),
        Layer("small", {"run": {"batch_size": 2}}),
        read_assignments(assignments),
    ]
    return check(settle(layers, registry), "six images")


def test_the_sample_marks_the_points(tmp_path):
    written = write(report_on(tmp_path), tmp_path / "out")
    assert [path.name for path in written] == ["report.json", "sample.png", "alike.png"]
    sheet = np.asarray(Image.open(written[1]).convert("RGB"))
    assert sheet.shape[1] == 6 * CELL + 5 * GAP
    top = drawing.heading("x", 10).height + GAP
    # A quarter across and half down, in the first colour; the second point is not known.
    assert tuple(sheet[top + CELL // 2, CELL // 4]) == drawing.colours(2)[0]
    cell = sheet[top : top + CELL, :CELL].reshape(-1, 3).tolist()
    assert list(drawing.colours(2)[1]) not in cell
    below = sheet[top + CELL + GAP :].reshape(-1, 3).tolist()
    assert all(list(colour) in below for colour in drawing.colours(2))


def test_the_sample_shows_what_the_crop_shows(tmp_path):
    crop = ("loading.crop=centre", "loading.crop_share=0.5")
    written = write(report_on(tmp_path, *crop), tmp_path / "out")
    sheet = np.asarray(Image.open(written[1]).convert("RGB"))
    top = drawing.heading("x", 10).height + GAP
    # The window begins ten pixels from the left, where the point lies.
    assert tuple(sheet[top + CELL // 2, 0]) == drawing.colours(2)[0]


def test_pairs_lie_side_by_side_and_a_sheet_of_an_earlier_check_goes(tmp_path):
    out = tmp_path / "out"
    report = report_on(tmp_path)
    assert report.alike[0] == (0, 5, -1)
    write(report, out)
    sheet = np.asarray(Image.open(out / "alike.png").convert("RGB"))
    top = drawing.heading("x", 10).height + GAP
    assert tuple(sheet[top + 5, 5]) == tuple(sheet[top + 5, CELL + 5]) == (100, 100, 100)
    sound = report_on(tmp_path, copies=False)
    sound.alike.clear()
    assert [path.name for path in write(sound, out)] == ["report.json", "sample.png"]
    assert not (out / "alike.png").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(LmkitError, match="out") as error:
        write(report_on(tmp_path), tmp_path / "out")
    assert error.value.code == ExitCode.STORAGE
