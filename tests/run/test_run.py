"""Runs from Python: opening them, and predicting on anything."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import lmkit
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset
from lmkit.interfaces.weights import load_weights
from lmkit.preparation.of_run import other_data, own_data
from lmkit.run.run import open_run
from lmkit.settings.layers import Layer, read_assignments
from lmkit.training.session import start


@pytest.fixture(scope="module")
def run(trained):
    return open_run(trained, device="cpu")


@pytest.fixture(scope="module")
def faces(run):
    dataset = own_data(run).dataset
    return [dataset.image(index) for index in range(5)]


def enlarge(image, width, height):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST))


def test_an_image_may_come_in_any_form(run, faces, tmp_path):
    image = faces[0]
    expected = run.predict(image)
    assert expected.shape == (3, 2)
    assert expected.dtype == np.float32
    Image.fromarray(image).save(tmp_path / "face.png")
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)
    forms = {
        "path": tmp_path / "face.png",
        "text": str(tmp_path / "face.png"),
        "PIL": Image.fromarray(image),
        "opaque RGBA": Image.fromarray(image).convert("RGBA"),
        "uint8 tensor": tensor,
        "float tensor": tensor.float() / 255,
        "float64 tensor that trains": (tensor.double() / 255).requires_grad_(),
    }
    for name, form in forms.items():
        assert np.array_equal(run.predict(form), expected), name


def test_grey_images_are_the_same_in_any_form(run, faces):
    grey = Image.fromarray(faces[0]).convert("L")
    expected = run.predict(np.asarray(grey.convert("RGB")))
    array = np.asarray(grey)
    for form in (grey, array, torch.from_numpy(array.copy()), grey.convert("P")):
        assert np.array_equal(run.predict(form), expected)


def test_grey_of_sixteen_bits_is_the_same_as_from_a_file(run, faces, tmp_path):
    deep = Image.fromarray(faces[0][:, :, 0].astype(np.uint16) * 257)
    deep.save(tmp_path / "deep.png")
    expected = run.predict(np.ascontiguousarray(faces[0][:, :, 0]))
    assert np.array_equal(run.predict(tmp_path / "deep.png"), expected)
    assert np.array_equal(run.predict(deep), expected)


def test_transparent_parts_are_white_as_in_a_file(run, faces, tmp_path):
    alpha = np.zeros(faces[0].shape[:2], np.uint8)
    alpha[:, 8:] = 255
    image = Image.fromarray(np.dstack([faces[0], alpha]))
    image.save(tmp_path / "face.png")
    assert np.array_equal(run.predict(image), run.predict(tmp_path / "face.png"))
    assert not np.array_equal(run.predict(image), run.predict(faces[0]))


def test_points_are_in_pixels_of_the_image_that_was_given(run, faces):
    image = faces[0]
    expected = run.predict(image)
    doubled = run.predict(enlarge(image, 64, 64))
    # Reducing it again smooths a little.
    assert np.allclose(doubled, (expected + 0.5) * 2 - 0.5, atol=0.5)
    # The central square is what an image is cropped to.
    wide = np.zeros((64, 104, 3), np.uint8)
    wide[:, 20:84] = enlarge(image, 64, 64)
    assert np.allclose(run.predict(wide), doubled + np.array([20, 0]), atol=1e-4)
    tall = np.zeros((91, 64, 3), np.uint8)
    tall[13:77] = enlarge(image, 64, 64)
    assert np.allclose(run.predict(tall), doubled + np.array([0, 13]), atol=1e-4)


def test_one_by_one_or_together_is_the_same(run, faces):
    mixed = [
        faces[0],
        enlarge(faces[1], 50, 70),
        Image.fromarray(faces[2]),
        enlarge(faces[3], 9, 5),
    ]
    together = run.predict(mixed)
    assert together.shape == (4, 3, 2)
    for one, points in zip(mixed, together, strict=True):
        assert np.allclose(run.predict(one), points, atol=1e-4)
    stacked = np.stack(faces)
    assert np.allclose(run.predict(stacked), run.predict(faces), atol=1e-4)
    tensor = torch.from_numpy(stacked).permute(0, 3, 1, 2)
    assert np.allclose(run.predict(tensor), run.predict(faces), atol=1e-4)
    assert run.predict(tuple(faces[:1])).shape == (1, 3, 2)
    assert run.predict([]).shape == (0, 3, 2)


def test_all_that_a_detector_returns_is_there(run, faces):
    squares = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2)
    found = run.detect(squares)
    assert found.points.shape == (5, 3, 2)
    assert found.score_maps.shape[:2] == (5, 3)
    assert found.probability_maps.shape == found.score_maps.shape
    for number, each in enumerate(run.predict_each([enlarge(face, 64, 48) for face in faces])):
        assert (each.name, each.size) == (str(number), (64, 48))
        assert each.landmarks.points.shape == (1, 3, 2)
        assert torch.equal(each.landmarks.score_maps, each.found.score_maps)
        assert each.found.probability_maps.shape[:2] == (1, 3)
    assert each.landmarks.confidence is None


def test_datasets_and_sources_are_predicted_as_arrays_are(run, faces):
    dataset = own_data(run).dataset
    found = list(run.predict_each(dataset, batch_size=7))
    assert [each.name for each in found] == [dataset.key(i) for i in range(len(dataset))]
    assert [each.item for each in found] == list(range(len(dataset)))
    points = torch.cat([each.landmarks.points for each in found[:5]]).numpy()
    assert np.allclose(points, run.predict(faces), atol=1e-4)


class Broken(Dataset):
    def __len__(self):
        return 3

    def key(self, index):
        return f"key-{index}"

    def image(self, index):
        if index == 1:
            raise OSError("it is damaged")
        return np.full((40, 30, 3), index, np.uint8)


def test_an_image_that_cannot_be_read_is_an_error_unless_someone_hears_of_it(run):
    heard = []
    found = run.predict_each(Broken(), unreadable=lambda *both: heard.append(both))
    assert [each.name for each in found] == ["key-0", "key-2"]
    assert heard == [("key-1", "it is damaged")]
    with pytest.raises(LmkitError, match=r"Image key-1 cannot be read, .*: it is damaged"):
        list(run.predict_each(Broken()))


def test_no_more_than_a_batch_is_read_ahead(run, faces):
    read = []

    def images():
        for number in range(10):
            read.append(number)
            yield faces[number % 5]

    ahead = []
    for done, _ in enumerate(run.predict_each(images(), batch_size=3)):
        ahead.append(len(read) - done)
    assert len(ahead) == 10
    assert max(ahead) == 3


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\) and type uint8"),
        (np.zeros((4, 4, 3), np.float32), r"shape \(4, 4, 3\) and type float32"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        (torch.zeros(4, 5, 3, dtype=torch.uint8), r"shape \(4, 5, 3\) and type torch.uint8"),
        (torch.full((3, 4, 4), 200.0), r"tensor of floats from 200 to 200"),
        (torch.full((3, 4, 4), torch.nan), r"tensor of floats from nan to nan"),
        (b"bytes", "A bytes object"),
        (iter([]), "A list_iterator object"),
        ([3], "A int object"),
    ],
)
def test_what_is_no_image_is_refused(run, image, named):
    with pytest.raises(LmkitError, match=named) as caught:
        run.predict(image)
    assert caught.value.code == ExitCode.DATA
    assert "(H, W, 3)" in caught.value.remedy


def test_a_file_that_cannot_be_read_is_named(run, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    for name, reason in (("text.jpg", "not an image"), ("absent.png", "no such file")):
        with pytest.raises(LmkitError, match=rf"{name} cannot be read: .*{reason}") as caught:
            run.predict(tmp_path / name)
        assert caught.value.code == ExitCode.DATA


def test_the_detector_is_the_trained_one(run, trained):
    saved = load_file(trained / "checkpoints" / "step-4" / "detector.safetensors")
    own = run.detector.state_dict()
    assert own.keys() == saved.keys()
    assert all(torch.equal(own[key], saved[key]) for key in own)
    assert not run.detector.training
    assert run.step == 4


def test_the_detector_is_laid_out_as_in_training_whoever_asks_first(trained):
    with torch.inference_mode():
        detector = open_run(trained, device="cpu").detector
    weights = [weight for weight in detector.parameters() if weight.dim() == 4]
    assert weights
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    # Tensors of inference mode could not serve whoever goes on without it.
    assert not any(weight.is_inference() for weight in detector.parameters())


def test_a_projection_run_carries_its_core(tiny, trained, faces, tmp_path):
    core = tmp_path / "core.safetensors"
    save_file(load_file(trained / "checkpoints" / "step-4" / "detector.safetensors"), core)
    settings = tiny("run.steps=2", "detector.init=projection", f"detector.core={core}")
    finished, _ = start(settings, tmp_path / "run")
    expected = finished.predict(faces)
    core.unlink()
    assert np.array_equal(open_run(tmp_path / "run", device="cpu").predict(faces), expected)
    resumed = lmkit.train(resume_from=tmp_path / "run", settings={"run": {"steps": 3}})
    assert resumed.step == 3


def change(out, edit):
    record = json.loads((out / "run.json").read_text())
    edit(record)
    record.pop("checksum", None)
    (out / "run.json").write_text(json.dumps(record))


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


def test_a_run_whose_plugin_is_missing_names_the_package(copied, faces):
    def edit(record):
        entry = next(e for e in record["components"] if e["kind"] == "detector")
        entry |= {"name": "vanished", "package": "lmkit-vanished", "version": "3.1"}
        record["settings"]["detector"] = {"name": "vanished", "depth": 2}

    change(copied, edit)
    opened = open_run(copied, device="cpu")
    attempts = (
        lambda: opened.predict(faces[0]),
        lambda: lmkit.train(resume_from=copied, settings={"run": {"steps": 9}}),
        lambda: other_data(opened, [Layer("x", {"data": {"seed": 3}})]),
    )
    for attempt in attempts:
        with pytest.raises(LmkitError, match="needs the detector 'vanished'") as caught:
            attempt()
        assert "Install lmkit-vanished 3.1" in caught.value.remedy
        assert caught.value.code == ExitCode.PLUGIN


@pytest.fixture
def slim(trained, tmp_path):
    """A copy of a run with no more in it than predicting takes."""
    slim, step = tmp_path / "slim", Path("checkpoints", "step-4")
    (slim / step).mkdir(parents=True)
    for file in ("run.json", step / "state.json", step / "detector.safetensors"):
        shutil.copy(trained / file, slim / file)
    return slim


def lose(out, *kinds):
    """Have a run's components of some kinds come from packages that are not here."""

    def edit(record):
        for entry in record["components"]:
            if entry["kind"] in kinds:
                section, _, label = entry["section"].partition(".")
                settings = record["settings"][section]
                (settings[label] if label else settings)["name"] = "gone"
                entry |= {"name": "gone", "package": f"lmkit-{entry['kind']}", "version": "2.0"}

    change(out, edit)


ALL_BUT_THE_DETECTOR = ("generator", "deformation", "pairing", "loss", "dataset")


def test_a_slim_copy_predicts_with_the_detectors_plugin_alone(run, slim, faces):
    lose(slim, *ALL_BUT_THE_DETECTOR)
    opened = open_run(slim, device="cpu")
    assert np.array_equal(opened.predict(faces), run.predict(faces))
    assert opened.step == 4
    assert opened.settings.detector == run.settings.detector
    found = load_weights(slim, option="detector.core")
    assert found.keys() == run.detector.state_dict().keys()


def test_a_slim_copy_takes_other_data_and_says_what_else_needs_the_whole(slim, faces, tmp_path):
    opened = open_run(slim, device="cpu")
    (tmp_path / "photos").mkdir()
    for number, face in enumerate(faces):
        Image.fromarray(face).save(tmp_path / "photos" / f"{number}.png")
    folder = {"name": "folder", "path": str(tmp_path / "photos")}
    assert len(other_data(opened, [Layer("x", {"data": folder})]).dataset) == 5
    for attempt in (
        lambda: own_data(opened),
        lambda: lmkit.train(resume_from=slim, settings={"run": {"steps": 9}}),
    ):
        with pytest.raises(LmkitError, match=r"has no split.json, .* only predicts") as caught:
            attempt()
        assert "that it was copied from" in caught.value.remedy
        assert caught.value.code == ExitCode.RUN


def test_training_does_not_go_on_from_a_checkpoint_that_lacks_files(copied, faces):
    checkpoint = copied / "checkpoints" / "step-4"
    (checkpoint / "generator.safetensors").unlink()
    (checkpoint / "optimizer.safetensors").unlink()
    assert open_run(copied, device="cpu").predict(faces[0]).shape == (3, 2)
    with pytest.raises(LmkitError) as caught:
        lmkit.train(resume_from=copied, settings={"run": {"steps": 9}})
    assert "step-4 lacks generator.safetensors, optimizer.safetensors" in caught.value.problem
    assert caught.value.remedy.startswith("Go on with the run that it was copied from.")
    assert caught.value.remedy.endswith("step-2 is then taken.")


@pytest.mark.parametrize("kind", ALL_BUT_THE_DETECTOR)
def test_going_on_needs_every_plugin(copied, kind):
    lose(copied, kind)
    with pytest.raises(LmkitError, match=f"needs the {kind} 'gone'") as caught:
        lmkit.train(resume_from=copied, settings={"run": {"steps": 9}})
    assert caught.value.remedy.startswith(f"Install lmkit-{kind} 2.0, which brings it.")
    assert caught.value.code == ExitCode.PLUGIN


def test_measuring_needs_the_datas_plugin_beside_the_detectors(copied):
    lose(copied, "generator", "deformation", "pairing", "loss")
    opened = open_run(copied, device="cpu")
    assert own_data(opened).split.test
    lose(copied, "dataset")
    opened = open_run(copied, device="cpu")
    with pytest.raises(LmkitError, match="needs the dataset 'gone'"):
        own_data(opened)
    with pytest.raises(LmkitError, match="needs the dataset 'gone'"):
        other_data(opened, [read_assignments(["data.seed=5"])])
    other = other_data(opened, [read_assignments(["data.name=faces", "data.count=24"])])
    assert len(other.dataset) == 24


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "cannot be read: it holds no table of values, but a list"),
        ("{}", "does not hold a run's settings"),
        ('{"settings": 3}', "does not hold a run's settings"),
    ],
)
def test_a_damaged_record_is_refused(copied, content, problem):
    (copied / "run.json").write_text(content)
    with pytest.raises(LmkitError, match=rf"run\.json {problem}") as caught:
        open_run(copied)
    assert caught.value.code == ExitCode.RUN


def test_other_data_takes_the_settings_of_data_alone(run):
    same = other_data(run, [Layer("x", {"data": {"count": 24}})])
    assert same.split == own_data(run).split
    other = other_data(run, [read_assignments(["data.seed=5", "loading.held_out=0.2"])])
    assert len(other.dataset) == 24
    with pytest.raises(
        LmkitError, match=r"loading.fit=pad would change the run, which was trained"
    ):
        other_data(run, [read_assignments(["loading.fit=pad"])])


def test_what_trained_is_never_tested(run):
    """Of 12 subjects with two faces, 10 trained; the ninth has another face if each has three."""
    trained = set(own_data(run).split.to_json(own_data(run).dataset)["train"])
    more = other_data(run, [read_assignments(["data.count=27", "data.images_per_subject=3"])])
    test = [more.dataset.key(index) for index in more.split.test]
    assert test == ["face-0-000008-2"]
    assert trained.isdisjoint(test)
    assert more.trained == 2
    assert any(
        note.startswith("Left out of testing, because the run trained on them")
        for note in more.notes()
    )
    others = other_data(run, [read_assignments(["data.seed=5"])])
    assert others.trained == 0
    with pytest.raises(LmkitError, match="All 2 images that would test trained the run") as caught:
        other_data(run, [read_assignments(["data.count=16"])])
    assert caught.value.code == ExitCode.DATA


def test_a_folder_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(LmkitError, match=r"holds no run \(run.json is missing\)"):
        open_run(tmp_path)
    with pytest.raises(LmkitError, match="is not a folder"):
        open_run(tmp_path / "absent")
