"""Training in one line from Python, and what a run that cannot start or go on says."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import lmkit
from lmkit.errors import LmkitError
from lmkit.preparation.of_run import own_data
from lmkit.registry.lookup import installed
from lmkit.run.run import open_run
from lmkit.settings.layers import Layer, merge, read_assignments, read_recipe
from lmkit.settings.settings import resolve
from lmkit.training.session import resume, start, usual_recipe

TINY = {
    "run": {"steps": 1, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
    "data": {"count": 12},
    "detector": {"features": 8, "depth": 1},
    "generator": {"width": 4, "blocks": 1},
}


@pytest.mark.parametrize(
    ("values", "recipe"),
    [
        ({}, "quickstart"),
        ({"data": {"name": "faces"}}, "quickstart"),
        ({"data": {"count": 24}}, "quickstart"),
        ({"data": {"name": "folder", "path": "photos"}}, "photos"),
        ({"data": {"name": "celeba:photos"}}, "photos"),
    ],
)
def test_generated_faces_and_photographs_have_recipes_of_their_own(values, recipe):
    assert usual_recipe([Layer("test", values)]) == recipe


@pytest.fixture(scope="module")
def faces(trained):
    dataset = own_data(open_run(trained, device="cpu")).dataset
    return [dataset.image(index) for index in range(5)]


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copied")


def test_the_short_form_trains_and_goes_on(tmp_path, faces):
    run = lmkit.train(
        data="faces", out=tmp_path / "run", recipe="reconstruction-quick", settings=TINY
    )
    assert run.step == 1
    assert run.settings.detector["features"] == 8
    assert run.settings.data["count"] == 12
    assert run.predict(faces[0]).shape == (3, 2)
    resumed = lmkit.train(resume_from=tmp_path / "run", settings={"run": {"steps": 2}})
    assert resumed.step == 2
    assert open_run(tmp_path / "run").settings.run.steps == 2


def test_what_a_resumed_run_would_not_heed_is_refused(copied):
    for name in ("data", "out", "recipe"):
        with pytest.raises(LmkitError, match=f"{name}=x does not go with resume_from"):
            lmkit.train(resume_from=copied, **{name: "x"})


def test_a_folder_of_images_is_data(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (9, 40, 50, 3), np.uint8)
    for number, image in enumerate(noise):
        Image.fromarray(image).save(folder / f"{number}.png")
    settings = {key: value for key, value in TINY.items() if key != "data"}
    run = lmkit.train(
        data=str(folder), out=tmp_path / "run", recipe="reconstruction-quick", settings=settings
    )
    ready = own_data(run)
    assert len(ready.split.train) + len(ready.split.test) == 9
    assert run.predict(folder / "0.png").shape == (3, 2)


def test_a_run_that_is_interrupted_again_knows_how_far_it_was_to_go(copied):
    from lmkit.runtime.callback import Callback

    class Crash(Callback):
        def progressed(self, step):
            raise RuntimeError("the machine is gone")

    with pytest.raises(RuntimeError):
        resume(copied, [read_assignments(["run.steps=6"])], [Crash()])
    _, outcome = resume(copied)
    assert outcome.step == 6


def test_nothing_is_left_where_a_run_cannot_start(tiny, tmp_path):
    for assignment, named in (
        ("run.batch_size=100", "fewer than the 100 of a batch"),
        ("data.name=folder:/absent", "does not exist"),
        ("run.image_size=18", "Give run.image_size a multiple of 4"),
    ):
        with pytest.raises(LmkitError, match=named):
            start(tiny(assignment), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_another_seed_of_the_run_tests_on_the_same_images(tmp_path):
    from lmkit.preparation.prepared import prepare
    from lmkit.settings.settings import settle

    images = tmp_path / "images"
    images.mkdir()
    for number in range(40):
        Image.fromarray(np.full((16, 16, 3), number, np.uint8)).save(images / f"{number}.png")

    def held_out(**sections):
        values = {"data": {"name": "folder", "path": str(images)}, **sections}
        layers = read_recipe("reconstruction-quick", installed())
        return prepare(settle([*layers, Layer("test", values)])).split.test

    first = held_out()
    assert held_out(run={"seed": 7}) == first
    assert held_out(loading={"split_seed": 7}) != first


def test_frames_of_a_folder_each_are_paired_and_those_alone_are_told_of(tmp_path):
    from lmkit.runtime.callback import Callback

    class Notes(Callback):
        def __init__(self):
            self.heard = []

        def note(self, text):
            self.heard.append(text)

    for number, video in enumerate(("a/1", "a/2", "a/3", "b/1", "b/2", "c/1", "plain")):
        path = tmp_path / "videos" / f"{video}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), number, np.uint8)).save(path)
    data = {"name": "folder", "path": str(tmp_path / "videos"), "subjects": "folder"}
    paired = {"held_out": 0.0, "partner": "subject"}

    def settings(**data):
        values = {**TINY, "data": data, "loading": paired}
        layers = [*read_recipe("reconstruction-quick", installed()), Layer("test", values)]
        return resolve(merge(layers), installed())

    notes = Notes()
    start(settings(**data), tmp_path / "run", [notes])
    alone = "Paired with themselves, as the only ones of their subjects: 2 of 7 images."
    assert alone in notes.heard
    with pytest.raises(LmkitError, match="does not say who is on its images"):
        start(settings(**{**data, "subjects": "none"}), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("status", ['{"state": "running", "step": 4}', "", None])
def test_a_run_killed_after_its_last_checkpoint_is_finished_by_resuming(tiny, tmp_path, status):
    _, whole = start(tiny(), tmp_path / "run")
    file = tmp_path / "run" / "status.json"
    file.unlink()
    if status is not None:
        file.write_text(status)
    run, outcome = resume(tmp_path / "run")
    assert (outcome.step, bool(outcome.stop)) == (whole.step, False)
    assert json.loads(file.read_text())["state"] == "finished"
    with pytest.raises(LmkitError, match="is at step 4 already, of 4"):
        resume(run.path)
