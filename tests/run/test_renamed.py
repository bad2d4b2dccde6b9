"""Settings of older runs are read under the names they have now."""

from lmkit.run.provenance import with_new_names


def test_former_names_become_those_of_now_in_their_place():
    stored = {
        "run": {"steps": 4, "picture_every": 7, "seed": 1},
        "data": {"name": "faces", "pictures_per_subject": 3},
    }
    found = with_new_names(stored)
    assert found == {
        "run": {"steps": 4, "sheet_every": 7, "seed": 1},
        "data": {"name": "faces", "images_per_subject": 3},
    }
    assert list(found["run"]) == ["steps", "sheet_every", "seed"]


def test_what_was_stored_is_left_as_it_is():
    stored = {"run": {"picture_every": 7}, "loss": {"mse": {"weight": 1.0}}}
    found = with_new_names(stored)
    found["loss"]["mse"]["weight"] = 2.0
    assert stored == {"run": {"picture_every": 7}, "loss": {"mse": {"weight": 1.0}}}


def test_settings_of_now_stay_as_they_are(tiny):
    stored = tiny().to_dict()
    assert with_new_names(stored) == stored


def test_a_damaged_record_is_left_to_whoever_checks_it():
    assert with_new_names({"run": None, "data": "faces"}) == {"run": None, "data": "faces"}


def test_a_name_means_nothing_in_another_section():
    stored = {"detector": {"picture_every": 7}, "run": {"pictures_per_subject": 2}}
    assert with_new_names(stored) == stored
