"""What the run decides is no option of the plugin's components."""

import lmkit_interintra
from lmkit.registry.options import options_of


def test_what_the_run_decides_is_no_option() -> None:
    announced = {c.name: c for c in lmkit_interintra.lmkit_components()}
    names = {option.name for option in options_of(announced["hourglass"].load())}
    assert names == {"stacks", "depth", "features", "stride", "blocks", "beta", "init", "core"}
