"""timm's backbones as detectors: every family, pretrained or frozen, with errors that help."""

import pytest
import torch
from safetensors.torch import save_file

from lmkit.api import ExitCode, LmkitError
from lmkit.preparation.of_run import own_data
from lmkit.settings.layers import Layer, merge, read_recipe
from lmkit.settings.settings import resolve
from lmkit.testing import checks_for
from lmkit.training.session import resume, start
from lmkit_timm.backbones import build
from lmkit_timm.detector import TimmDetector

FAMILIES = {
    "resnet10t": 64,
    "convnext_atto": 64,
    "efficientnet_lite0": 64,
    "mobilenetv3_small_050": 64,
    "regnetx_002": 64,
    "densenet121": 64,
    "edgenext_xx_small": 64,
    "mobilevit_xxs": 64,
    "pvt_v2_b0": 64,
    "mambaout_femto": 64,  # channels last
    "levit_128s": 64,  # coarse: from 1/16
    "vit_tiny_patch16_224": 64,  # no hierarchy
    "eva02_tiny_patch14_224": 64,  # no hierarchy, and patches that do not divide the side
    "ghostnet_050": 40,  # a side that is no multiple of 32
}

KIT = {
    "convnext_atto": 32,
    "efficientnet_lite0": 32,
    "mobilenetv3_small_050": 32,
    "regnetx_002": 32,
    "edgenext_xx_small": 32,
    "pvt_v2_b0": 32,
    "mambaout_femto": 32,
    "vit_tiny_patch16_224": 32,
}
"""Families that go through the whole conformance kit; the suite of all plugins takes a ResNet."""


def make(backbone="resnet10t", image_size=64, **options):
    return TimmDetector(landmarks=5, image_size=image_size, backbone=backbone, **options)


@pytest.mark.parametrize(("backbone", "size"), FAMILIES.items())
def test_every_family_writes_score_maps_of_a_quarter_and_learns_everywhere(backbone, size):
    detector = make(backbone, size)
    found = detector(torch.rand(2, 3, size, size))
    assert found.score_maps.shape == (2, 5, size // 4, size // 4)
    assert found.points.shape == (2, 5, 2)
    (found.score_maps**2).sum().backward()
    silent = [name for name, p in detector.named_parameters() if p.grad is None]
    assert silent == []


def test_score_maps_lie_where_the_image_says():
    """With filters that are their own mirror images, a mirrored image has mirrored score maps."""
    torch.manual_seed(0)
    detector = make("convnext_atto", 128).eval()
    for module in detector.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data = (module.weight + module.weight.flip(3)) / 2
    image = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        here, there = (detector.score_maps(each) for each in (image, image.flip(3)))
    torch.testing.assert_close(there.flip(3), here, atol=1e-4, rtol=1e-3)


def test_images_are_normalised_as_timm_says():
    for backbone in ("resnet10t", "vit_tiny_patch16_224"):
        detector = make(backbone)
        seen = []
        detector.backbone.register_forward_pre_hook(
            lambda _, given, seen=seen: seen.append(given[0])
        )
        detector(torch.full((2, 3, 64, 64), 0.5))
        mean = {"resnet10t": (0.485, 0.456, 0.406), "vit_tiny_patch16_224": (0.5, 0.5, 0.5)}
        std = {"resnet10t": (0.229, 0.224, 0.225), "vit_tiny_patch16_224": (0.5, 0.5, 0.5)}
        expected = (0.5 - torch.tensor(mean[backbone])) / torch.tensor(std[backbone])
        torch.testing.assert_close(seen[0][0, :, 0, 0], expected)


def test_the_whole_backbone_can_be_frozen():
    detector = make(frozen="all")
    assert not any(p.requires_grad for p in detector.backbone.parameters())
    assert all(p.requires_grad for p in detector.decoder.parameters())
    before = {name: value.clone() for name, value in detector.backbone.state_dict().items()}
    detector.train()
    detector(torch.rand(4, 3, 64, 64)).points.sum().backward()
    after = detector.backbone.state_dict()
    # The running statistics of BatchNorm are among them.
    assert all(torch.equal(before[name], after[name]) for name in before)
    # They are saved, nevertheless: a checkpoint needs no second file.
    assert any(name.startswith("backbone.") for name in detector.state_dict())


@pytest.mark.parametrize(
    ("backbone", "frozen", "still", "learning"),
    [
        ("resnet10t", 1, "conv1", "layer1"),
        ("resnet10t", 3, "layer2", "layer3"),
        ("convnext_atto", 1, "stages_0", "stages_1"),
        ("mobilenetv3_small_050", 2, "blocks.0", "blocks.1"),
        ("vit_tiny_patch16_224", 1, "model.blocks.9", "model.blocks.10"),
    ],
)
def test_the_first_stages_can_be_frozen(backbone, frozen, still, learning):
    detector = make(backbone, frozen=frozen)
    names = dict(detector.backbone.named_parameters())
    last = [p for name, p in names.items() if name.startswith(f"{still}.")]
    first = [p for name, p in names.items() if name.startswith(f"{learning}.")]
    assert last
    assert first
    assert not any(p.requires_grad for p in last)
    assert all(p.requires_grad for p in first)
    assert not next(iter(names.values())).requires_grad


def test_pretrained_weights_come_from_a_file(tmp_path):
    import timm

    torch.manual_seed(1)
    whole = timm.create_model("resnet10t")  # with its classifier, as timm publishes weights
    for form in ("weights.safetensors", "weights.pth"):
        path = tmp_path / form
        if path.suffix == ".pth":
            torch.save(whole.state_dict(), path)
        else:
            save_file(whole.state_dict(), path)
        detector = make(pretrained=path)
        detector.initialise()
        own = detector.backbone.state_dict()
        assert all(torch.equal(value, whole.state_dict()[name]) for name, value in own.items())
        assert detector.training


def test_a_transformers_position_embeddings_are_resampled(tmp_path):
    import timm

    whole = timm.create_model("vit_tiny_patch16_224")
    save_file(whole.state_dict(), tmp_path / "vit.safetensors")
    detector = make("vit_tiny_patch16_224", pretrained=tmp_path / "vit.safetensors")
    detector.initialise()
    own = detector.backbone.state_dict()
    torch.testing.assert_close(
        own["model.blocks.3.attn.qkv.weight"], whole.state_dict()["blocks.3.attn.qkv.weight"]
    )
    assert own["model.pos_embed"].shape[1] in (16, 17)  # 4 x 4 patches, perhaps a class token


def test_weights_of_another_backbone_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(build("regnetx_002", 64).state_dict(), path)
    with pytest.raises(LmkitError, match=r"detector\.pretrained=.*resnet10t") as caught:
        make(pretrained=path).initialise()
    assert caught.value.code == ExitCode.DATA
    assert "very backbone" in caught.value.remedy


def test_weights_that_cannot_be_downloaded(monkeypatch):
    def refused(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", refused)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", refused)
    detector = make("resnet10t.c3_in1k", pretrained=True)
    with pytest.raises(LmkitError, match=r"could not be downloaded .*no route to host") as caught:
        detector.initialise()
    assert caught.value.code == ExitCode.DATA
    assert "--set detector.pretrained=FILE" in caught.value.remedy


@pytest.mark.parametrize(
    ("options", "said", "remedy"),
    [
        ({"backbone": "resnet5000"}, "timm has no backbone 'resnet5000'", "Did you mean resnet"),
        ({"backbone": "resnet18.made_up"}, "no backbone 'resnet18.made_up'", "resnet18.a1_in1k"),
        ({"backbone": "crossvit_tiny_240"}, "does not give feature maps", "lmkit list backbone"),
        ({"frozen": 9}, "resnet10t has 5 stages", "from 0 to 5, or all"),
        ({"frozen": -1}, "resnet10t has 5 stages", "from 0 to 5, or all"),
        ({"backbone": "hrnet_w18_small", "frozen": 2}, "timm does not say", "0, or all"),
        ({"image_size": 66}, "no multiple of 4", "multiple of 32"),
        ({"width": 0}, "at least one channel", "from 1"),
        ({"beta": 0.0}, "would not look for the maximum", "above 0"),
    ],
)
def test_what_cannot_work_is_refused(options, said, remedy):
    with pytest.raises(LmkitError) as caught:
        make(**options).initialise()
    assert said in caught.value.problem
    assert remedy in caught.value.remedy


def test_a_size_that_a_backbone_cannot_take_is_refused_before_training():
    with pytest.raises(LmkitError, match="does not give feature maps of images of 40 pixels"):
        make("levit_128s", 40).initialise()


def test_a_run_goes_on_and_opens_without_the_file_of_weights(registry, tmp_path):
    import timm

    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model("resnet10t").state_dict(), path)
    small = {
        "run": {"steps": 2, "batch_size": 4, "image_size": 64, "landmarks": 3, "device": "cpu"},
        "data": {"name": "faces", "count": 12},
        "detector": {"name": "timm:resnet10t", "pretrained": str(path), "frozen": 2},
        "generator": {"name": "residual", "width": 4, "blocks": 1},
    }
    layers = [*read_recipe("reconstruction-quick", registry), Layer("test", small)]
    settings = resolve(merge(layers), registry)
    run, _ = start(settings, tmp_path / "run")
    points = run.predict(own_data(run).dataset.image(0))
    path.unlink()
    assert points.shape == (3, 2)
    resumed, outcome = resume(tmp_path / "run", [Layer("more", {"run": {"steps": 3}})])
    assert outcome.step == 3
    assert resumed.predict(own_data(run).dataset.image(0)).shape == (3, 2)


def promises():
    """Every family's checks, those of the plugin itself left to the suite of all plugins."""
    return [
        pytest.param(check, id=f"{backbone}: {check}")
        for backbone, size in KIT.items()
        for check in checks_for(
            "lmkit_timm",
            kinds=["detector"],
            settings={"detector timm": {"backbone": backbone, "width": 16, "image_size": size}},
        )
    ]


@pytest.mark.parametrize("check", promises())
def test_every_family_keeps_a_detector_s_promises(check):
    check()
