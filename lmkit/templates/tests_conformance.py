"""Everything this package brings keeps what lmkit expects of its kind."""

from collections.abc import Callable

import pytest

from lmkit.testing import checks_for


@pytest.mark.parametrize("check", checks_for("my_plugin"), ids=str)
def test_it_keeps_its_promises(check: Callable[[], None]) -> None:
    """Shapes, ranges, gradients, determinism: lmkit check-plugin makes the same checks."""
    check()
