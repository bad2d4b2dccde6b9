"""The images of a run as it goes."""

import numpy as np
import pytest
import torch

from lmkit.data.image_files import load_image
from lmkit.drawing.sheets import GAP
from lmkit.preparation.prepared import prepare
from lmkit.run.folder import RunFolder
from lmkit.runtime.assemble import assemble
from lmkit.training.sheets import SheetWriter, mark_all, to_arrays


def write(settings, registry, out, split=None):
    ready = prepare(settings, registry)
    folder = RunFolder.create(out)
    assembly = assemble(settings, registry)
    writer = SheetWriter(folder, settings, ready.dataset, split or ready.split)
    writer.sheets(12, assembly)
    return ready, assembly, {path.name: path for path in folder.sheets.iterdir()}


def test_both_sheets_have_a_cell_for_each_image_and_stage(tiny, registry, tmp_path):
    ready, _, sheets = write(tiny("data.count=50"), registry, tmp_path / "run")
    assert sheets.keys() == {"landmarks-000012.png", "routes-000012.png"}
    held_out = len(ready.split.test)
    assert held_out < 8
    side = 128 + GAP
    assert load_image(sheets["landmarks-000012.png"]).shape[1::-1] == (8 * side - GAP, side - GAP)
    # Each of the two routes: its source, the auxiliary, two stages, its target.
    side = 96 + GAP
    assert load_image(sheets["routes-000012.png"]).shape[1::-1] == (10 * side - GAP, 4 * side - GAP)


def test_the_sheet_of_routes_begins_and_ends_with_views(tiny, registry, tmp_path):
    _, _, sheets = write(
        tiny("pairing.name=intra", "pairing.cycle=true"), registry, tmp_path / "run"
    )
    sheet = load_image(sheets["routes-000012.png"])
    cell = [sheet[:96, i * (96 + GAP) : i * (96 + GAP) + 96] for i in range(6)]
    # original, stage, deformed; deformed, stage, original
    assert np.array_equal(cell[0], cell[5])
    assert np.array_equal(cell[2], cell[3])
    assert not np.array_equal(cell[0], cell[2])
    assert not np.array_equal(cell[1], cell[2])


def test_routes_are_drawn_on_pairs_as_training_has_them(tiny, registry, tmp_path):
    still = ("deformation.rotation=0,0", "deformation.scale=0", "deformation.shift=0")
    plain = ("pairing.name=intra", "data.count=64", *still)
    for name, images in (("none", "2"), ("subject", "2"), ("subject", "1")):
        settings = tiny(*plain, f"loading.partner={name}", f"data.images_per_subject={images}")
        out = tmp_path / f"{name}-{images}"
        ready, _, sheets = write(settings, registry, out)
        sheet = load_image(sheets["routes-000012.png"])
        # original, stage, deformed
        first, _, last = (sheet[:96, i * (96 + GAP) : i * (96 + GAP) + 96] for i in range(3))
        paired = name == "subject" and images == "2"
        assert np.array_equal(first, last) != paired
        if paired:
            index = ready.split.test[0]
            assert ready.dataset.subject(index) == ready.dataset.subject(index + 1)
            shown = np.kron(ready.dataset.image(index + 1), np.ones((3, 3, 1), np.uint8))
            assert np.abs(last.astype(int) - shown).max() <= 1


def test_the_same_images_are_shown_each_time(tiny, registry, tmp_path):
    _, _, first = write(tiny(), registry, tmp_path / "a")
    _, _, second = write(tiny(), registry, tmp_path / "b")
    for name in first:
        assert first[name].read_bytes() == second[name].read_bytes()


def test_images_are_taken_evenly_from_the_held_out_part(tiny, registry, tmp_path):
    from lmkit.data.split import Split

    class Watched:
        def __init__(self, dataset):
            self.dataset, self.read = dataset, []

        def __getattr__(self, name):
            return getattr(self.dataset, name)

        def image(self, index):
            self.read.append(index)
            return self.dataset.image(index)

    settings = tiny("data.count=70")
    dataset = Watched(prepare(settings, registry).dataset)
    folder = RunFolder.create(tmp_path / "run")
    writer = SheetWriter(folder, settings, dataset, Split([0], [0], list(range(7, 70))))
    assembly = assemble(settings, registry)
    writer.sheets(1, assembly)
    writer.sheets(2, assembly)
    assert len(dataset.read) == len(set(dataset.read)) == 32
    assert dataset.read[0] == 7
    assert dataset.read[-1] >= 67
    assert set(np.diff(dataset.read)) <= {1, 2}


def test_where_nothing_is_held_out_images_that_train_are_shown(tiny, registry, tmp_path):
    from lmkit.data.split import Split

    _, _, sheets = write(tiny(), registry, tmp_path / "run", Split([3, 4], [], []))
    assert len(sheets) == 2


def test_no_readable_image_is_no_reason_to_stop(tiny, registry, tmp_path, monkeypatch):
    from lmkit.data.sets.faces import Faces

    def broken(self, index):
        raise OSError("it is damaged")

    monkeypatch.setattr(Faces, "image", broken)
    _, _, sheets = write(tiny(), registry, tmp_path / "run")
    assert sheets == {}


def test_networks_keep_their_state(tiny, registry, tmp_path):
    settings = tiny()
    before = assemble(settings, registry).detector.state_dict()
    _, assembly, _ = write(settings, registry, tmp_path / "run")
    after = assembly.detector.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("side", [16, 64])
def test_points_are_marked_on_enlarged_images(side):
    images = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    points = np.full((2, 1, 2), side / 2 - 0.5)
    cells = mark_all(to_arrays(images), points)
    assert [cell.shape for cell in cells] == [(128, 128, 3)] * 2
    ys, xs = np.nonzero(cells[0].any(axis=2))
    assert np.allclose([xs.mean(), ys.mean()], 63.5, atol=0.5)
