"""The data of a run that is there already: divided as it was, or other data to measure it on."""

from collections.abc import Sequence
from dataclasses import replace

from lmkit.data.framing import build_framer
from lmkit.data.split import Split, trained_keys
from lmkit.data.unreadable import Unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset
from lmkit.preparation.keeping import use_cache
from lmkit.preparation.prepared import Prepared, prepare
from lmkit.registry.lookup import Registry
from lmkit.run.folder import RunFolder
from lmkit.run.record import read_split
from lmkit.run.run import Run
from lmkit.runtime.assemble import build_dataset
from lmkit.settings.changes import is_of_the_data, settings_of_the_data
from lmkit.settings.layers import Layer, merge
from lmkit.settings.settings import Settings, resolve


def without_trained(ready: Prepared, folder: RunFolder) -> Prepared:
    """Leave out the test images that a run trained on, going by their names.

    Args:
        ready: Data from where the run's own came from.
        folder: The run's.

    Raises:
        LmkitError: If none is left.
    """
    trained = trained_keys(read_split(folder))
    test = [index for index in ready.split.test if ready.dataset.key(index) not in trained]
    left_out = len(ready.split.test) - len(test)
    if left_out and not test:
        raise LmkitError(
            f"All {left_out} images that would test trained the run.",
            remedy="Evaluate without --data and --set, on what the run held out, or on other data.",
            code=ExitCode.DATA,
        )
    return replace(ready, split=replace(ready.split, test=test), trained=left_out)


def divide_as_before(folder: RunFolder, settings: Settings, registry: Registry) -> Prepared:
    """Open a run's own data, divided as when it started.

    Args:
        folder: The run's.
        settings: What to open the data with.
        registry: Where the data's kind is looked up.

    Raises:
        LmkitError: If the data cannot be used, or has lost images that the run had.
    """
    stored = read_split(folder)
    dataset = build_dataset(settings, registry)
    split = Split.from_json(stored, dataset)
    unreadable = Unreadable(settings.loading.max_unreadable)
    return Prepared(settings, dataset, split, build_framer(settings), unreadable)


def own_data(run: Run) -> Prepared:
    """Open the data that a run was trained on, divided as it was then.

    Args:
        run: The run.

    Raises:
        LmkitError: If the data cannot be used, or has lost images that the run had.
    """
    ready = divide_as_before(run.folder, run.resolve("detector", "data"), run.registry)
    return use_cache(ready, run.registry)


def other_data(run: Run, layers: Sequence[Layer]) -> Prepared:
    """Open data that a run is to be measured on, and divide it.

    Nothing that trained is tested: where it is the run's own data after all, the run's own split
    holds, and where it comes from the same place with other options, what trained is left out.

    Args:
        run: The run.
        layers: Settings [of the data][lmkit.settings.changes.is_of_the_data].

    Raises:
        LmkitError: If the data cannot be used, or other settings would differ.
    """
    settings = with_data(run, layers, divided=True)
    if is_own_data(run, settings):
        return use_cache(divide_as_before(run.folder, settings, run.registry), run.registry)
    ready = use_cache(prepare(settings, run.registry), run.registry)
    if settings.data_source == run.settings.data_source:
        return without_trained(ready, run.folder)
    return ready


def is_own_data(run: Run, settings: Settings) -> bool:
    """Return whether the data of some settings, which are checked, is the run's own."""
    if settings.data["name"] != run.settings.data["name"]:
        return False
    return settings.data == run.resolve("data").data


def with_data(run: Run, layers: Sequence[Layer], *, divided: bool = False) -> Settings:
    """Return a run's settings with other data, of which the plugin has to be here.

    Args:
        run: The run.
        layers: Settings of the data.
        divided: Whether the data is divided for a measurement, by settings that may differ too.

    Raises:
        LmkitError: If the data's settings are wrong, or others would differ.
    """
    before = run.settings.flat()
    merged = merge([Layer("run.json", run.stored, source="run"), *layers])
    if str(merged["data"]["name"]) == str(run.stored["data"]["name"]):
        run.resolve("data")  # names the package, if its plugin is missing
    settings = resolve(merged, run.registry, (*run.needed, "data"))
    for key, value in settings.flat().items():
        free = key.startswith("data.") or (divided and is_of_the_data(key))
        if not free and value != before.get(key):
            may = settings_of_the_data() if divided else ["data.*"]
            words = " and ".join(filter(None, [", ".join(may[:-1]), may[-1]]))
            raise LmkitError(
                f"{key}={value} would change the run, which was trained with {before.get(key)}.",
                remedy=f"Leave it out; {words} may be set here.",
            )
    return settings


def data_to_predict(run: Run, layers: Sequence[Layer]) -> Dataset:
    """Open data whose landmarks a run is to find; it need not be annotated, nor divided.

    Args:
        run: The run.
        layers: Settings of the data.

    Raises:
        LmkitError: If the data cannot be used, or other settings would differ.
    """
    return build_dataset(with_data(run, layers), run.registry)
