"""The catalogue of backbones, as ``lmkit list backbone`` shows it."""

from lmkit.cli.main import cli
from lmkit_timm.backbones import catalogue


def test_backbones_are_listed_by_wildcard_with_their_weights():
    found = dict(catalogue("resnet1*"))
    assert {"resnet10t", "resnet14t", "resnet18", "resnet101"} <= found.keys()
    assert not any(name.startswith("resnet5") for name in found)
    assert found["resnet18"].startswith("pretrained: a1_in1k")
    assert dict(catalogue("test_vit*"))


def test_a_pattern_with_a_dot_is_for_names_with_weights():
    found = dict(catalogue("resnet18.*"))
    assert "resnet18.a1_in1k" in found
    assert all(name.startswith("resnet18.") for name in found)


def test_the_command_lists_them(capsys):
    cli.main(["list", "backbone", "convnext_a*"], standalone_mode=False)
    assert "convnext_atto" in capsys.readouterr().out
