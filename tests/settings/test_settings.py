import json
from dataclasses import replace
from pathlib import Path

import pytest

from lmkit.errors import LmkitError
from lmkit.registry.options import Text
from lmkit.settings.layers import (
    Layer,
    merge,
    parse_data,
    read_assignments,
    read_config_file,
    read_recipe,
    read_toml,
)
from lmkit.settings.settings import resolve


def test_later_layers_win():
    layers = [Layer("a", {"run": {"steps": 1, "seed": 5}}), Layer("b", {"run": {"steps": 2}})]
    assert merge(layers) == {"run": {"steps": 2, "seed": 5}}


RECIPE = Layer(
    "a recipe",
    {"run": {"steps": 1000}, "optimizer": {"decay_every": 900, "warmup": 10}},
    source="recipe",
)


@pytest.mark.parametrize("steps", [100, Text("100")])
def test_the_schedule_is_scaled_with_the_steps(steps):
    merged = merge([RECIPE, Layer("the command line", {"run": {"steps": steps}})])
    assert merged["optimizer"] == {"decay_every": 90, "warmup": 1}


def test_the_schedule_is_scaled_by_the_last_number_of_steps_alone():
    layers = [RECIPE, *(Layer(str(n), {"run": {"steps": n}}) for n in (3, 1, 2000))]
    assert merge(layers)["optimizer"]["decay_every"] == 1800


def test_a_schedule_that_is_given_with_the_steps_stays():
    own = Layer("b", {"run": {"steps": 100}, "optimizer": {"decay_every": 7}})
    assert merge([RECIPE, own])["optimizer"] == {"decay_every": 7, "warmup": 1}
    after = read_assignments(["optimizer.decay_every=7"])
    merged = merge([RECIPE, Layer("b", {"run": {"steps": 100}}), after])
    assert merged["optimizer"]["decay_every"] == "7"


def test_a_recipe_says_its_schedule_itself():
    another = Layer("recipe b", {"run": {"steps": 100}}, source="recipe")
    assert merge([RECIPE, another])["optimizer"] == RECIPE.values["optimizer"]
    asked = Layer("the command line", {"run": {"steps": 10}})
    assert merge([RECIPE, another, asked])["optimizer"] == {"decay_every": 90, "warmup": 1}


def test_the_schedule_of_a_run_stays_when_it_is_to_take_more_steps():
    run = replace(RECIPE, source="run")
    merged = merge([run, Layer("the command line", {"run": {"steps": 5000}})])
    assert merged["optimizer"] == RECIPE.values["optimizer"]


def test_the_shortest_run_has_a_schedule_too():
    shortest = merge([RECIPE, Layer("the command line", {"run": {"steps": 1}})])
    assert shortest["optimizer"] == {"decay_every": 1, "warmup": 0}


@pytest.mark.parametrize("steps", ["many", "0", "-5", "1.5"])
def test_steps_that_are_refused_are_refused_as_steps(tiny, steps):
    with pytest.raises(LmkitError, match=r"run\.steps"):
        tiny(f"run.steps={steps}")


def test_another_component_drops_the_former_options():
    first = Layer("a", {"detector": {"name": "hourglass", "depth": 3}})
    assert merge([first, Layer("b", {"detector": {"name": "other"}})])["detector"] == {
        "name": "other"
    }
    same = merge([first, Layer("b", {"detector": {"name": "hourglass", "features": 8}})])
    assert same["detector"] == {"name": "hourglass", "depth": 3, "features": 8}


def test_losses_named_by_flags_are_the_only_ones_and_keep_their_options():
    recipe = Layer("a", {"loss": {"mse": {}, "perceptual": {"network": "vgg19"}}})
    assert merge([recipe, Layer("b", {}, ["perceptual"])])["loss"] == {
        "perceptual": {"network": "vgg19"}
    }


def test_assignments_reach_nested_sections():
    values = read_assignments(["loss.perceptual.layers=relu1_2,relu2_2", "run.steps=3"]).values
    assert values == {
        "loss": {"perceptual": {"layers": "relu1_2,relu2_2"}},
        "run": {"steps": "3"},
    }


@pytest.mark.parametrize("word", ["steps=3", "run.steps", ".steps=3", "run.=3"])
def test_malformed_assignments_are_refused(word):
    with pytest.raises(LmkitError, match="not section"):
        read_assignments([word])


@pytest.mark.parametrize(
    ("assignment", "problem", "remedy"),
    [
        ("rnu.steps=3", "no section 'rnu'", "'run'"),
        ("run.stpes=3", "no option 'stpes'", "'steps'"),
        ("run.steps=many", "run.steps=many is not a whole number", "whole number"),
        ("loading.workers=100000", "more processes than 1,024", "as there are cores"),
        ("run.landmarks=0", "run.landmarks=0 is too small", "at least 1"),
        ("detector.name=houglass", "no detector 'houglass'", "'hourglass'"),
        ("detector.dpeth=3", "no option 'dpeth'", "'depth'"),
        ("detector.init=magic", "detector.init=magic", "scratch"),
        ("loss.mse.weight=heavy", "loss.mse.weight=heavy is not a number", "number"),
        ("loading.held_out=1.5", "loading.held_out=1.5 is not a share", "below 1"),
        ("optimizer.learning_rate=0", "not above 0", "positive"),
        ("optimizer.schedule=stpe", "optimizer.schedule=stpe is not one of", "'step'"),
        ("data.name=faces:12", "takes nothing after a colon", "'faces'"),
    ],
)
def test_wrong_settings_say_what_and_what_to_do(tiny, assignment, problem, remedy):
    with pytest.raises(LmkitError) as caught:
        tiny(assignment)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_settings_survive_json(tiny, registry):
    settings = tiny("detector.depth=2", "loss.mse.weight=0.5")
    again = resolve(json.loads(json.dumps(settings.to_dict())), registry)
    assert again == settings
    assert again.detector["depth"] == 2
    assert again.loss["mse"]["weight"] == 0.5


def test_every_option_is_filled_in(tiny):
    assert tiny().flat().keys() >= {
        "detector.beta",
        "generator.sigma",
        "pairing.cycle",
        "optimizer.betas",
        "run.seed",
        "loading.fit",
    }


def test_a_file_may_build_on_a_recipe(registry, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('based_on = "paper"\nlosses = ["mse"]\n[run]\nsteps = 7\n')
    merged = merge(read_config_file(file, registry))
    assert merged["run"]["steps"] == 7
    assert merged["generator"]["width"] == 64
    assert list(merged["loss"]) == ["mse"]


def test_a_bad_file_is_named(registry, tmp_path):
    with pytest.raises(LmkitError, match=r"missing.toml cannot be read"):
        read_config_file(tmp_path / "missing.toml", registry)
    with pytest.raises(LmkitError, match="mine is not TOML"):
        read_toml("steps =", "mine", registry)
    with pytest.raises(LmkitError, match="single value"):
        merge(read_toml("run = 3", "mine", registry))


def test_a_folder_called_like_a_kind_of_data_is_the_folder(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces" / "deep").mkdir(parents=True)
    (tmp_path / "faces" / "plugin.py").touch()
    assert parse_data("faces", registry) == {"name": "faces"}
    (tmp_path / "faces" / "deep" / "a.JPG").touch()
    for spec in ("faces", Path("faces")):
        assert parse_data(spec, registry) == {"name": "folder", "path": "faces"}
    # With a colon, or where there is no such folder, it is the kind.
    assert parse_data("celeba:faces", registry) == {"name": "celeba:faces"}
    assert parse_data("csv", registry) == {"name": "csv"}


def test_data_words(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "table.csv").touch()
    assert parse_data("faces", registry) == {"name": "faces"}
    assert parse_data(Path("photos"), registry) == {"name": "folder", "path": "photos"}
    with pytest.raises(LmkitError, match="neither a folder nor"):
        parse_data(Path("faces"), registry)
    with pytest.raises(LmkitError, match="neither a folder nor"):
        parse_data("n" * 300, registry)
    assert parse_data("celeba:some/where", registry) == {"name": "celeba:some/where"}
    assert parse_data("photos", registry) == {"name": "folder", "path": "photos"}
    with pytest.raises(LmkitError) as caught:
        parse_data("table.csv", registry)
    assert "csv:table.csv" in caught.value.remedy
    with pytest.raises(LmkitError) as caught:
        parse_data("fases", registry)
    assert "'faces'" in caught.value.remedy


ROWS = {
    "baseline": ("intra", ["original -> deformed"]),
    "inter-subject": ("inter-intra", ["original -> auxiliary -> deformed"]),
    "cycle": ("intra", ["original -> deformed", "deformed -> original"]),
    "paper": (
        "inter-intra",
        ["original -> auxiliary -> deformed", "deformed -> auxiliary -> original"],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_rows_of_table_one_differ_in_their_routes_alone(registry, name):
    settings = resolve(merge(read_recipe(name, registry)), registry)
    pairing, routes = ROWS[name]
    assert settings.pairing["name"] == pairing
    cls = registry.find("pairing", pairing).load()
    assert [str(route) for route in cls(cycle=settings.pairing["cycle"]).routes()] == routes
    full = resolve(merge(read_recipe("paper", registry)), registry).flat()
    differing = {key for key, value in settings.flat().items() if full.get(key) != value}
    assert differing <= {"pairing.name", "pairing.cycle"}


def test_the_rows_of_table_three_differ_in_their_losses_alone(registry):
    full = resolve(merge(read_recipe("paper", registry)), registry)
    rows = {
        name: resolve(merge(read_recipe(name, registry)), registry)
        for name in ("vgg19", "mse-only", "perceptual-only")
    }
    assert rows["vgg19"].loss["perceptual"]["network"] == "vgg19"
    assert list(rows["mse-only"].loss) == ["mse"]
    assert list(rows["perceptual-only"].loss) == ["perceptual"]
    for settings in rows.values():
        assert settings.detector == full.detector
        assert settings.generator == full.generator
        assert settings.optimizer == full.optimizer


def test_sanchez_is_the_baseline_started_by_projection(registry):
    baseline, settings = (
        resolve(merge(read_recipe(name, registry)), registry) for name in ("baseline", "sanchez")
    )
    assert settings.detector["init"] == "projection"
    assert settings.detector["core"] is None  # The user's to name; without one, the run is refused.
    before, after = baseline.flat(), settings.flat()
    assert {key for key in after if after[key] != before.get(key)} == {
        "run.steps",
        "run.batch_size",
        "detector.init",
        "generator.width",
    }


def test_the_paper_recipe_holds_the_papers_numbers(registry):
    settings = resolve(merge(read_recipe("paper", registry)), registry)
    assert settings.run.image_size == 128
    assert settings.run.batch_size == 32
    assert settings.run.landmarks == 10
    assert settings.detector["beta"] == 10
    assert settings.generator["sigma"] == 0.5
    assert settings.generator["width"] == 64
    assert settings.optimizer.learning_rate == 1e-3
    assert settings.optimizer.betas == (0.0, 0.9)
    assert settings.loss["perceptual"]["layers"] == ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    assert {options["weight"] for options in settings.loss.values()} == {1.0}
