"""What a row is made of, whatever recipe it is put on, and what contradicts it."""

import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.settings.layers import read_assignments, read_recipe
from lmkit.settings.settings import settle
from lmkit_interintra.tables.published import TABLES
from lmkit_interintra.tables.rows import Request, choose_rows, runs_of, seeds_of

FACES = {"name": "faces"}


def made(registry, table="table1", names=None, **request):
    wanted = Request(**{"recipe": "reconstruction-quick", "data": FACES, **request})
    runs = runs_of(choose_rows(TABLES[table], names), wanted)
    return {name: settle(layers, registry) for name, layers in runs.items()}


def test_rows_differ_in_what_makes_them_and_in_nothing_else(registry):
    rows = {name: settings.flat() for name, settings in made(registry).items()}
    pairing = {name: (flat["pairing.name"], flat["pairing.cycle"]) for name, flat in rows.items()}
    assert pairing == {
        "baseline": ("intra", False),
        "inter-subject": ("inter-intra", False),
        "cycle": ("intra", True),
        "all": ("inter-intra", True),
        "all-30": ("inter-intra", True),
        "all-50": ("inter-intra", True),
    }
    landmarks = [flat["run.landmarks"] for flat in rows.values()]
    assert landmarks == [10, 10, 10, 10, 30, 50]
    made_of = {"pairing.name", "pairing.cycle", "run.landmarks"}
    rest = [{key: flat[key] for key in flat.keys() - made_of} for flat in rows.values()]
    assert all(each == rest[0] for each in rest)


@pytest.mark.parametrize("name", ["baseline", "inter-subject", "cycle", "vgg19", "mse-only"])
def test_on_the_paper_a_row_is_its_recipe(registry, name):
    table = "table1" if name in ("baseline", "inter-subject", "cycle") else "table3"
    found = made(registry, table, [name], recipe="paper")[name]
    recipe = settle(read_recipe(name, registry), registry)
    assert found.to_dict() == recipe.to_dict()


def test_the_losses_of_the_third_table(registry):
    losses = {
        name: {key: loss.get("network") for key, loss in settings.loss.items()}
        for name, settings in made(registry, "table3", recipe="paper").items()
    }
    assert losses == {
        "vgg19": {"mse": None, "perceptual": "vgg19"},
        "mse-only": {"mse": None},
        "perceptual-only": {"perceptual": "vgg16"},
        "all": {"mse": None, "perceptual": "vgg16"},
    }


def test_what_is_counted_in_steps_is_scaled_with_them(registry):
    sets = read_assignments(["optimizer.warmup=90"])
    found = made(registry, names=["all"], steps=105)["all"]
    # reconstruction-quick has 1050 steps, decays over 1050 and saves every 200.
    assert (found.run.steps, found.run.checkpoint_every) == (105, 10)
    assert (found.optimizer.decay_every, found.optimizer.warmup) == (105, 0)
    paper = made(registry, names=["all"], recipe="paper", steps=8250)["all"]
    assert paper.optimizer.decay_every == 7500
    assert paper.run.checkpoint_every == 825
    longer = made(registry, names=["all"], recipe="paper", steps=165_000)["all"]
    assert longer.optimizer.decay_every == 150_000
    assert longer.run.checkpoint_every == 2500
    own = made(registry, names=["all"], steps=90, assignments=sets)["all"]
    assert own.optimizer.warmup == 90
    untouched = made(registry, names=["all"])["all"]
    assert (untouched.run.steps, untouched.optimizer.decay_every) == (1050, 1050)


def test_every_seed_has_a_folder_of_its_own_and_the_first_the_rows(registry):
    rows = made(registry, names=["baseline", "all"], seeds=2)
    assert {name: settings.run.seed for name, settings in rows.items()} == {
        "baseline": 0,
        "all": 0,
        "baseline-seed-1": 1,
        "all-seed-1": 1,
    }
    sets = read_assignments(["run.seed=7"])
    assert seeds_of(Request("reconstruction-quick", FACES, seeds=2, assignments=sets)) == [7, 8]
    rows = made(registry, names=["all"], seeds=2, assignments=sets)
    assert {name: settings.run.seed for name, settings in rows.items()} == {
        "all": 7,
        "all-seed-8": 8,
    }


def test_a_core_starts_every_row_by_projection(registry, tmp_path):
    core = tmp_path / "core.safetensors"
    core.touch()
    found = made(registry, names=["all"], core=core)["all"].detector
    assert (found["init"], found["core"]) == ("projection", core)
    with pytest.raises(LmkitError, match=r"--core .*absent does not exist") as caught:
        made(registry, core=tmp_path / "absent")
    assert caught.value.code == ExitCode.DATA


def test_an_unknown_row_is_refused_with_the_closest(registry):
    with pytest.raises(LmkitError, match="Table I has no row 'bseline'") as caught:
        choose_rows(TABLES["table1"], ["all", "bseline"])
    assert "Did you mean 'baseline'?" in caught.value.remedy
    with pytest.raises(LmkitError, match="Table III has no row 'cycle'"):
        choose_rows(TABLES["table3"], ["cycle"])


def test_rows_come_in_the_tables_order(registry):
    assert [row.name for row in choose_rows(TABLES["table1"], ["all", "cycle"])] == ["cycle", "all"]


@pytest.mark.parametrize(
    ("assignment", "named"),
    [
        ("run.landmarks=12", "run.landmarks=12 contradicts the row 'all', .* run.landmarks=10"),
        ("pairing.name=intra", "pairing.name=intra contradicts"),
        ("pairing.cycle=false", "pairing.cycle=false contradicts"),
    ],
)
def test_settings_that_contradict_a_row_are_refused(registry, assignment, named):
    with pytest.raises(LmkitError, match=named):
        made(registry, names=["all"], assignments=read_assignments([assignment]))


def test_settings_that_say_what_the_row_says_are_fine(registry):
    sets = read_assignments(["pairing.cycle=true", "run.landmarks=10", "run.batch_size=8"])
    assert made(registry, names=["all"], assignments=sets)["all"].run.batch_size == 8


@pytest.mark.parametrize("row", ["vgg19", "mse-only", "perceptual-only"])
def test_rows_about_a_loss_need_a_recipe_that_has_it(registry, row):
    with pytest.raises(LmkitError, match="'reconstruction-quick' has no perceptual") as caught:
        made(registry, "table3", [row])
    assert "--set loss.perceptual.weight=1" in caught.value.remedy
    sets = read_assignments(["loss.perceptual.weight=1"])
    assert made(registry, "table3", [row], assignments=sets)
