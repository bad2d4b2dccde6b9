"""The conformance kit: what every component of a kind promises, as checks a plugin's tests run.

One parametrised test is all that a plugin needs:

    import pytest
    from lmkit.testing import checks_for

    @pytest.mark.parametrize("check", checks_for("my_plugin"), ids=str)
    def test_it_keeps_its_promises(check):
        check()

``lmkit check-plugin my_plugin`` runs the same checks without pytest.
"""

from lmkit.testing.check import Check, Outcome, Skipped
from lmkit.testing.kit import checks_for

__all__ = ["Check", "Outcome", "Skipped", "checks_for"]
