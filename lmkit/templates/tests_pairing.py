"""What is special about the pairing; the rest is checked in test_conformance.py."""

from my_plugin.pairing import ThereAndBack


def test_the_way_leads_by_another_and_back() -> None:
    """As lmkit show pairing draws it."""
    assert [str(route) for route in ThereAndBack().routes()] == [
        "original -> auxiliary -> original",
        "original -> deformed",
    ]
    assert [str(route) for route in ThereAndBack(direct=False).routes()] == [
        "original -> auxiliary -> original"
    ]
