"""What the plugin announces can be loaded, and says what its options mean."""

import pytest

import lmkit_interintra
from lmkit.api import Component
from lmkit.registry.options import check_options, options_of


@pytest.mark.parametrize(
    "component", lmkit_interintra.lmkit_components(), ids=lambda c: f"{c.kind}-{c.name}"
)
def test_every_component_loads_and_documents_its_options(component: Component) -> None:
    options = options_of(component.load())
    assert [option.name for option in options if not option.meaning] == []
    assert check_options(component.load(), {}, section=component.kind) == {
        option.name: option.default for option in options
    }


def test_what_the_run_decides_is_no_option() -> None:
    announced = {c.name: c for c in lmkit_interintra.lmkit_components()}
    names = {option.name for option in options_of(announced["hourglass"].load())}
    assert names == {"stacks", "depth", "features", "beta", "init", "core"}
