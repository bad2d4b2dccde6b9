"""Combinations become runs that differ in nothing else, or are refused by name."""

import pytest

from lmkit.campaigns.sweep import Sweep, component_axis, loss_axis, option_axis, recipe_axis
from lmkit.errors import LmkitError
from lmkit.settings.layers import read_assignments, read_recipe


@pytest.fixture
def sweep(registry):
    def make(*axes, above=(), seeds=1, steps=None, recipe="reconstruction-quick"):
        base = read_recipe(recipe, registry) if recipe else []
        return Sweep(base, axes, [read_assignments(above)], registry).entries(
            seeds=seeds, steps=steps
        )

    return make


def differing(runs):
    flat = [run.settings.flat() for run in runs]
    keys = set().union(*flat)
    return {key for key in keys if len({repr(each.get(key)) for each in flat}) > 1}


def test_every_combination_is_a_run(sweep):
    runs = sweep(component_axis("pairing", "intra,inter-intra"), option_axis("detector.beta=3,10"))
    assert [run.name for run in runs] == [
        "intra+beta=3",
        "intra+beta=10",
        "inter-intra+beta=3",
        "inter-intra+beta=10",
    ]
    assert [run.settings.detector["beta"] for run in runs] == [3, 10, 3, 10]
    assert differing(runs) == {"pairing.name", "pairing.cycle", "detector.beta"}


def test_a_component_may_come_with_its_argument(sweep):
    hourglass, backbone = sweep(component_axis("detector", "hourglass, timm:resnet10t"))
    assert (hourglass.name, backbone.name) == ("hourglass", "timm-resnet10t")
    # The recipe's own detector keeps the recipe's options.
    assert hourglass.settings.detector["features"] == 48
    assert backbone.settings.detector["backbone"] == "resnet10t"


def test_losses_come_in_sets(sweep):
    one, two = sweep(loss_axis("mse,mse+perceptual"))
    assert (one.name, two.name) == ("mse", "mse+perceptual")
    assert list(one.settings.loss) == ["mse"]
    assert list(two.settings.loss) == ["mse", "perceptual"]


def test_values_that_hold_commas_are_separated_by_semicolons(sweep):
    runs = sweep(option_axis("deformation.rotation=15,25;0,0"))
    assert [run.settings.deformation["rotation"] for run in runs] == [(15, 25), (0, 0)]
    assert [run.name for run in runs] == ["rotation=15-25", "rotation=0-0"]


def test_seeds_go_on_from_the_settings_own_and_come_one_after_the_other(sweep):
    runs = sweep(component_axis("pairing", "intra,inter-intra"), above=["run.seed=5"], seeds=2)
    assert [run.name for run in runs] == [
        "intra",
        "inter-intra",
        "intra-seed-6",
        "inter-intra-seed-6",
    ]
    assert [run.settings.run.seed for run in runs] == [5, 5, 6, 6]


def test_seeds_alone_are_a_sweep(sweep):
    assert [run.settings.run.seed for run in sweep(seeds=3)] == [0, 1, 2]


def test_recipes_are_whole_methods_side_by_side(sweep, registry):
    config = [read_assignments(["run.landmarks=7", "pairing.name=intra"])]
    axis = recipe_axis("imm-quick,quickstart", config, registry)
    runs = sweep(axis, above=["run.image_size=48"], recipe=None)
    assert [run.name for run in runs] == ["imm-quick", "quickstart"]
    assert [run.settings.detector["name"] for run in runs] == ["imm", "hourglass"]
    for run in runs:
        assert (run.settings.run.landmarks, run.settings.run.image_size) == (7, 48)
        assert run.settings.pairing["name"] == "intra"


def test_each_combination_may_have_steps_of_its_own_and_its_schedule_follows(sweep, registry):
    axis = recipe_axis("quickstart,reconstruction-quick", [], registry)
    steps = {"quickstart": 700, "reconstruction-quick": 50}
    runs = sweep(axis, recipe=None, steps=steps, seeds=2)
    assert [run.settings.run.steps for run in runs] == [700, 50, 700, 50]
    assert [run.settings.run.seed for run in runs] == [0, 0, 1, 1]
    assert runs[0].settings.optimizer.decay_every == 700


def test_what_is_set_holds_for_all(sweep):
    runs = sweep(component_axis("pairing", "intra,inter-intra"), above=["detector.features=16"])
    assert [run.settings.detector["features"] for run in runs] == [16, 16]


@pytest.mark.parametrize(
    ("axis", "says"),
    [
        (lambda: component_axis("detector", "hourglass,"), "--detector hourglass, has an empty"),
        (lambda: component_axis("pairing", "intra,intra"), "has intra twice"),
        (lambda: option_axis("beta=3,10"), "is not section.key=value,value"),
        (lambda: option_axis("detector.beta"), "is not section.key=value,value"),
        (lambda: option_axis("detector.beta=3,,10"), "has an empty value"),
        (lambda: loss_axis(""), "has an empty value"),
    ],
)
def test_what_is_no_list_of_values_is_refused(axis, says):
    with pytest.raises(LmkitError, match=r".") as caught:
        axis()
    assert says in caught.value.problem
    assert caught.value.remedy


def test_a_sweep_of_one_is_refused(sweep):
    with pytest.raises(LmkitError, match="compares nothing"):
        sweep(component_axis("detector", "hourglass"))


def test_of_many_combinations_the_wrong_one_is_named(sweep):
    with pytest.raises(LmkitError, match=r"The combination hourglas: There is no detector"):
        sweep(component_axis("detector", "hourglass,hourglas"))
    with pytest.raises(LmkitError, match=r"The combination timm: .* has no option 'features'"):
        sweep(component_axis("detector", "hourglass,timm"), above=["detector.features=16"])


def test_combinations_that_come_to_the_same_are_refused(sweep):
    with pytest.raises(LmkitError, match=r"beta=3 and beta=3\.0 have the same settings"):
        sweep(option_axis("detector.beta=3,3.0"))
    with pytest.raises(LmkitError, match="beta=3 and beta=10 have the same settings"):
        sweep(option_axis("detector.beta=3,10"), above=["detector.beta=5"])
