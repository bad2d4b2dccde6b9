"""Making plugins of classes, to hold the kit's checks against them."""

import pytest

from lmkit.api import Component, hookimpl
from lmkit.testing import checks_for


class Announcing:
    """A plugin that is not installed."""

    def __init__(self, *components):
        self.components = components

    @hookimpl
    def lmkit_components(self):
        return self.components


@pytest.fixture(scope="session")
def checks():
    """Return the checks of one class, by name: ``checks("detector", Mine)["points"]``."""

    def make(kind, cls, **settings):
        target = f"{cls.__module__}:{cls.__name__}"
        plugin = Announcing(Component(kind, "probe", target, "a probe"))
        made = checks_for(plugin, settings={f"{kind} probe": settings})
        own = [check for check in made if str(check.subject) == f"{kind} probe"]
        return {check.promise.name: check for check in own}

    return make


@pytest.fixture(scope="session")
def assert_caught(checks):
    """Assert that a bad class fails a check, in words that help its author."""

    def examine(kind, name, cls, **settings):
        check = checks(kind, cls, **settings)[name]
        # Whether or not the first check finds it as well, on which this one rests.
        broken = check._ask()
        assert broken is not None
        assert check.outcome().state in ("failed", "skipped")
        assert broken.problem.startswith(f"{kind} probe: ")
        assert f"({__file__.rpartition('/')[0]}" in broken.problem or not broken.__cause__
        assert broken.remedy
        return broken

    return examine


@pytest.fixture(scope="session")
def assert_keeps_all(checks):
    """Assert that a good class passes every check."""

    def examine(kind, cls, **settings):
        for check in checks(kind, cls, **settings).values():
            outcome = check.outcome()
            assert outcome.state in ("passed", "skipped"), (str(check), outcome)
            assert outcome.state == "passed" or "CUDA" in outcome.problem

    return examine
