import pytest

from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.component import Component
from lmkit.registry.discovery import Plugin
from lmkit.registry.lookup import Registry
from lmkit.runtime.assemble import build


class Stranger:
    """Derived from nothing."""


def test_a_class_that_is_not_derived_from_its_interface_is_refused(tiny):
    target = f"{__name__}:Stranger"
    component = Component("detector", "strange", target, "no detector at all")
    plugin = Plugin("odd", "odd-package", "1.0", built_in=False, components=(component,))
    with pytest.raises(LmkitError) as caught:
        build("detector", {"name": "strange"}, tiny(), Registry([plugin]))
    assert "The detector 'strange' of plugin odd (package odd-package)" in caught.value.problem
    assert f"{target} is not derived from it" in caught.value.problem
    assert "lmkit.api.Detector" in caught.value.remedy
    assert caught.value.code == ExitCode.PLUGIN
