"""The perceptual loss against VGG written out, balanced too, and weights that cannot be had."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torchvision.models import VGG16_Weights, vgg

from lmkit.api import ExitCode, LmkitError, Step
from lmkit.testing import Check, checks_for
from lmkit_interintra.pairings import Intra
from lmkit_interintra.perceptual import Perceptual
from lmkit_interintra.vgg import Network, build, relu_places

SHALLOW = ("relu1_2", "relu2_1")


def weights_of(network: Network, last: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    layers = build(network, last)
    return {f"features.{name}": value for name, value in layers.state_dict().items()}


@pytest.fixture(scope="module")
def shallow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of VGG-16 up to relu2_1 as a file, with one that nobody needs."""
    path = tmp_path_factory.mktemp("weights") / "shallow.safetensors"
    save_file(weights_of("vgg16", 6) | {"classifier.0.bias": torch.zeros(2)}, path)
    return path


def make_step(ends: list[Tensor], targets: list[Tensor]) -> Step:
    return Step(
        number=0,
        views={"deformed": targets[0], "original": targets[-1]},
        landmarks={},
        warps={},
        routes=Intra(cycle=True).routes()[: len(ends)],
        stages=tuple((end,) for end in ends),
    )


def written_out(path: Path, x: Tensor) -> list[Tensor]:
    """Return relu1_2 and relu2_1 of a VGG-16, layer by layer."""
    from safetensors.torch import load_file

    w = load_file(path)

    def conv(x: Tensor, n: int) -> Tensor:
        weight, bias = w[f"features.{n}.weight"], w[f"features.{n}.bias"]
        return functional.conv2d(x, weight, bias, padding=1).relu()

    first = conv(conv(x, 0), 2)
    return [first, conv(functional.max_pool2d(first, 2), 5)]


@pytest.mark.parametrize("normalise", [False, True])
def test_it_sums_the_mean_squared_differences_of_layers_and_routes(
    shallow: Path, normalise: bool
) -> None:
    ends = [torch.rand(2, 3, 32, 32) for _ in range(2)]
    targets = [torch.rand(2, 3, 32, 32) for _ in range(2)]
    loss = Perceptual(layers=SHALLOW, weights=str(shallow), normalise=normalise)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1) if normalise else 0.0
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1) if normalise else 1.0
    expected = sum(
        (found - real).square().mean()
        for end, target in zip(ends, targets, strict=True)
        for found, real in zip(
            written_out(shallow, (end - mean) / std),
            written_out(shallow, (target - mean) / std),
            strict=True,
        )
    )
    assert loss(make_step(ends, targets)).item() == pytest.approx(float(expected), rel=1e-4)


def test_it_is_a_constant_that_only_images_learn_from(shallow: Path) -> None:
    loss = Perceptual(layers=SHALLOW, weights=str(shallow)).train()
    end = torch.rand(1, 3, 16, 16, requires_grad=True)
    target = torch.rand(1, 3, 16, 16, requires_grad=True)
    loss(make_step([end], [target])).backward()
    assert end.grad is not None
    assert end.grad.abs().max() > 0
    assert target.grad is None
    assert list(loss.parameters()) == []
    assert loss.state_dict() == {}


def test_the_input_is_a_layer_and_is_compared_as_it_is() -> None:
    end, target = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    loss = Perceptual(layers=("input",), weights="random", normalise=True)
    assert torch.isclose(loss(make_step([end], [target])), (end - target).square().mean())


def test_balanced_every_layer_is_divided_by_its_running_mean(shallow: Path) -> None:
    layers = ("input", *SHALLOW)
    loss = Perceptual(layers=layers, weights=str(shallow), balance="running-mean").train()
    target, mean = torch.rand(2, 3, 16, 16), torch.zeros(3)

    def differences(end: Tensor) -> Tensor:
        found = [end, *written_out(shallow, end)]
        real = [target, *written_out(shallow, target)]
        return torch.stack([(a - b).square().mean() for a, b in zip(found, real, strict=True)])

    for number in range(3):
        end = torch.rand(2, 3, 16, 16, requires_grad=True)
        d = differences(end)
        mean = d.detach() if number == 0 else 0.99 * mean + 0.01 * d.detach()
        value = loss(make_step([end, end], [target, target]))
        # Twice, for two routes; every layer adds 1 at the start.
        assert value.item() == pytest.approx(2 * (d / mean).sum().item(), rel=1e-4)
        assert number or value.item() == pytest.approx(2 * len(layers))
        (wanted,) = torch.autograd.grad(2 * (d / mean).sum(), end)
        (slope,) = torch.autograd.grad(value, end)
        assert torch.allclose(slope, wanted, rtol=1e-3, atol=1e-7)
    assert torch.allclose(loss.state_dict()["running_means"], mean, rtol=1e-4)


def test_running_means_stay_in_eval_mode_and_where_a_step_is_not_finite(shallow: Path) -> None:
    loss = Perceptual(layers=SHALLOW, weights=str(shallow), balance="running-mean")
    end, target = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    step = make_step([end], [target])
    assert loss.eval()(step).item() == pytest.approx(len(SHALLOW))
    assert not loss.running_means.any()
    loss.train()(step)
    means = loss.running_means.clone()
    assert not loss(make_step([end * torch.nan], [target])).isfinite()
    assert torch.equal(loss.running_means, means)
    halfway = make_step([(end + target) / 2], [target])
    plain = Perceptual(layers=("relu1_2",), weights=str(shallow))
    first = Perceptual(layers=("relu1_2",), weights=str(shallow), balance="running-mean")
    first.load_state_dict({"running_means": means[:1]})
    assert torch.isclose(first.eval()(halfway), plain(halfway) / means[0])
    assert torch.equal(first.running_means, means[:1])


def test_equal_images_cost_nothing_balanced_too(shallow: Path) -> None:
    loss = Perceptual(layers=SHALLOW, weights=str(shallow), balance="running-mean").train()
    image = torch.rand(1, 3, 16, 16)
    assert loss(make_step([image], [image])).item() == 0


BALANCED = {"loss perceptual": {"weights": "random", "layers": ["input", "relu1_1"]}}
BALANCED["loss perceptual"] |= {"image_size": 16, "balance": "running-mean"}


@pytest.mark.parametrize(
    "check",
    [
        check
        for check in checks_for("lmkit_interintra", settings=BALANCED, kinds=["loss"])
        if str(check).startswith("loss perceptual")
    ],
    ids=str,
)
def test_balanced_it_keeps_a_loss_s_promises(check: Check) -> None:
    check()


def test_differences_are_float32_under_autocast(shallow: Path) -> None:
    loss = Perceptual(layers=SHALLOW, weights=str(shallow))
    end, target = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    exact = loss(make_step([end], [target]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = loss(make_step([end], [target]))
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=0.05)


@pytest.mark.parametrize(("network", "cfg"), [("vgg16", "D"), ("vgg19", "E")])
def test_layers_are_numbered_as_torchvision_numbers_them(network: Network, cfg: str) -> None:
    with torch.device("meta"):
        theirs = vgg.make_layers(vgg.cfgs[cfg])
        ours = build(network, len(theirs) - 1)
    assert [type(layer) for layer in ours] == [type(layer) for layer in theirs]
    shapes = {name: value.shape for name, value in theirs.state_dict().items()}
    assert {name: value.shape for name, value in ours.state_dict().items()} == shapes
    places = relu_places(network)
    assert all(isinstance(theirs[place], torch.nn.ReLU) for place in places.values())
    assert len(places) == sum(isinstance(layer, torch.nn.ReLU) for layer in theirs)


def test_the_paper_s_layers_have_their_numbers() -> None:
    layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    assert [relu_places("vgg16")[name] for name in layers] == [3, 8, 15, 22]
    assert relu_places("vgg19")["relu4_4"] == 26


def test_random_weights_come_from_the_seed_and_only_if_asked_for() -> None:
    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return Perceptual(layers=("relu1_1",), weights="random").vgg.layers[0].weight

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_a_file_that_ends_too_early_is_refused_by_its_last_layer(shallow: Path) -> None:
    with pytest.raises(LmkitError, match=r"no features\.7\.weight: relu2_1 is its last") as caught:
        Perceptual(layers=("relu1_2", "relu2_2"), weights=str(shallow))
    assert "loss.perceptual.layers" in caught.value.remedy
    assert "loss.perceptual.weights" in caught.value.remedy
    assert caught.value.code == ExitCode.DATA


def test_a_file_without_vgg_is_refused(tmp_path: Path) -> None:
    save_file({"features.0.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(LmkitError, match=r"another shape \(8, 3, 3, 3\) of features\.0\.weight"):
        Perceptual(layers=SHALLOW, weights=str(tmp_path / "other.safetensors"))


def test_a_missing_file_is_named_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(LmkitError, match=r"loss\.perceptual\.weights=.*none\.pth"):
        Perceptual(layers=SHALLOW, weights=str(tmp_path / "none.pth"))


@pytest.mark.parametrize(
    "error", [OSError("no route to host"), RuntimeError('invalid hash value (expected "397923af")')]
)
def test_a_failed_download_says_which_option_takes_a_file(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(VGG16_Weights, "get_state_dict", fail)
    with pytest.raises(LmkitError, match=r"vgg16-397923af\.pth") as caught:
        Perceptual()
    assert str(error) in caught.value.problem
    assert "loss.perceptual.weights=FILE" in caught.value.remedy
    assert caught.value.code == ExitCode.DATA


def test_a_download_is_used(monkeypatch: pytest.MonkeyPatch, shallow: Path) -> None:
    weights = weights_of("vgg16", 6)
    monkeypatch.setattr(VGG16_Weights, "get_state_dict", lambda *args, **kwargs: weights)
    loss = Perceptual(layers=SHALLOW)
    assert torch.equal(loss.vgg.layers[5].weight, weights["features.5.weight"])


@pytest.mark.parametrize(
    ("network", "layers", "problem"),
    [
        ("vgg16", ("relu1_2", "relu3_4"), "vgg16 has no layer relu3_4"),
        ("vgg19", ("conv1_1",), "vgg19 has no layer conv1_1"),
        ("vgg16", (), "none is named"),
    ],
)
def test_unknown_layers_are_refused_with_the_known_ones(
    network: Network, layers: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(LmkitError, match=problem) as caught:
        Perceptual(network=network, layers=layers, weights="random")
    assert "relu1_1, relu1_2, relu2_1" in caught.value.remedy
