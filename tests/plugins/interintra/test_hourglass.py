"""The hourglass has the paper's size, starts in three ways, and refuses what cannot work."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lmkit.api import ExitCode, LmkitError
from lmkit_interintra.hourglass import Hourglass
from lmkit_interintra.projection import ProjectedConv2d


def small(**options: Any) -> Hourglass:
    given = {"landmarks": 5, "image_size": 32, "depth": 2, "features": 16}
    return Hourglass(**(given | options))


def trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def trained_core(path: Path, **options: Any) -> Hourglass:
    """Save a hourglass whose BatchNorm has seen images, so that nothing in it is a default."""
    torch.manual_seed(0)
    core = small(**options)
    core.train()
    for _ in range(3):
        core(torch.rand(4, 3, 32, 32))
    torch.save(core.state_dict(), path)
    return core.eval()


def test_the_paper_s_detector_has_the_paper_s_size() -> None:
    with torch.device("meta"):
        detector = Hourglass(landmarks=10, image_size=128).eval()
        with FlopCounterMode(display=False) as counter:
            landmarks = detector(torch.rand(1, 3, 128, 128))
    assert landmarks.score_maps is not None
    assert landmarks.score_maps.shape == (1, 10, 32, 32)
    assert landmarks.points.shape == (1, 10, 2)
    assert trainable(detector) == 6_234_762
    assert counter.get_total_flops() == pytest.approx(4.1e9, rel=0.01)


def test_projection_trains_as_many_parameters_as_the_paper_s() -> None:
    with torch.device("meta"):
        detector = Hourglass(
            landmarks=10, image_size=128, init="projection", core=Path("core.safetensors")
        )
    assert trainable(detector) == 514_698


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("stacks", [1, 2])
def test_small_images_give_maps_of_a_quarter_and_gradients_everywhere(
    depth: int, stacks: int
) -> None:
    detector = Hourglass(landmarks=4, image_size=64, depth=depth, features=16, stacks=stacks)
    landmarks = detector(torch.rand(3, 3, 64, 64))
    assert landmarks.score_maps is not None
    assert landmarks.score_maps.shape == (3, 4, 16, 16)
    landmarks.points.square().sum().backward()
    unreached = [name for name, p in detector.named_parameters() if p.grad is None]
    assert unreached == []


@pytest.mark.parametrize(("stride", "side"), [(1, 24), (2, 12), (4, 6)])
def test_a_smaller_stride_gives_larger_maps_from_the_same_weights(stride: int, side: int) -> None:
    plain, other = small(image_size=24, depth=1), small(image_size=24, depth=1, stride=stride)
    other.load_state_dict(plain.state_dict())
    landmarks = other(torch.rand(2, 3, 24, 24))
    assert landmarks.score_maps is not None
    assert landmarks.score_maps.shape == (2, 5, side, side)
    landmarks.points.square().sum().backward()
    assert all(p.grad is not None for p in other.parameters())


def test_plain_blocks_are_fewer_layers_and_start_from_a_core_of_their_own(
    tmp_path: Path,
) -> None:
    core = trained_core(tmp_path / "core.pth", blocks="plain")
    detector = small(blocks="plain", init="projection", core=tmp_path / "core.pth").eval()
    detector.initialise()
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(detector(images).points, core(images).points)
    sizes = [len([*network.modules()]) for network in (core, small())]
    assert sizes[0] < sizes[1] / 2
    other = small(init="finetune", core=tmp_path / "core.pth")
    with pytest.raises(LmkitError, match="does not hold this hourglass's weights") as caught:
        other.initialise()
    assert "detector.blocks" in caught.value.remedy


@pytest.mark.parametrize("stride", [0, 3, 8])
def test_other_strides_are_refused(stride: int) -> None:
    with pytest.raises(LmkitError, match=rf"detector\.stride={stride}") as caught:
        small(stride=stride)
    assert "1, 2 or 4" in caught.value.remedy


def test_the_size_of_images_goes_by_the_stride() -> None:
    small(image_size=24, stride=2)
    with pytest.raises(LmkitError, match=r"run\.image_size=24.*multiple of 16"):
        small(image_size=24)
    with pytest.raises(LmkitError, match="Images of 20 x 24") as caught:
        small(image_size=24, stride=2)(torch.rand(1, 3, 24, 20))
    assert "multiples of 8" in caught.value.remedy


@pytest.mark.parametrize("shape", [(36, 32), (32, 36), (40, 40)])
def test_images_that_cannot_be_halved_so_often_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(LmkitError, match=f"Images of {shape[1]} x {shape[0]}") as caught:
        small()(torch.rand(1, 3, *shape))
    assert "multiples of 16" in caught.value.remedy


def test_a_later_stack_builds_on_the_score_maps_of_the_one_before() -> None:
    torch.manual_seed(0)
    detector, images = small(stacks=2).eval(), torch.rand(1, 3, 32, 32)
    before = detector.score_maps(images)
    with torch.no_grad():
        detector.heads[0].bias += 1
    assert not torch.allclose(before, detector.score_maps(images))


def test_projection_starts_out_equal_to_its_core(tmp_path: Path) -> None:
    core = trained_core(tmp_path / "core.pth")
    detector = small(init="projection", core=tmp_path / "core.pth")
    detector.initialise()
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(detector.eval().score_maps(images), core.score_maps(images))


def test_finetune_starts_out_equal_to_its_core_and_trains_all_of_it(tmp_path: Path) -> None:
    core = trained_core(tmp_path / "core.pth", stacks=2)
    detector = small(init="finetune", core=tmp_path / "core.pth", stacks=2)
    detector.initialise()
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(detector.eval().score_maps(images), core.score_maps(images))
    assert trainable(detector) == trainable(core)


@pytest.mark.parametrize("init", ["finetune", "projection"])
@pytest.mark.parametrize("stacks", [1, 2])
def test_a_core_with_other_landmarks_lends_everything_but_its_heads(
    tmp_path: Path, init: str, stacks: int
) -> None:
    core = trained_core(tmp_path / "core.pth", landmarks=16, stacks=stacks)
    detector = small(init=init, core=tmp_path / "core.pth", stacks=stacks)
    fresh = {name: value.clone() for name, value in detector.state_dict().items()}
    detector.initialise()
    lent = core.state_dict()
    for name, value in detector.state_dict().items():
        own = name.startswith(("heads.", "reinject.")) or name.endswith(".projection")
        assert torch.equal(value, fresh[name] if own else lent[name]), name


def test_in_projection_only_the_3x3_filters_stay_as_they_are(tmp_path: Path) -> None:
    trained_core(tmp_path / "core.pth")
    detector = small(init="projection", core=tmp_path / "core.pth")
    detector.initialise()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    optimiser = torch.optim.SGD(detector.parameters(), lr=0.1)
    images, wanted = torch.rand(4, 3, 32, 32), torch.rand(4, 5, 2)
    (detector(images).points - wanted).square().sum().backward()
    optimiser.step()

    projected = {
        f"{name}.weight"
        for name, module in detector.named_modules()
        if isinstance(module, ProjectedConv2d)
    }
    # Three in each of the 3 blocks of the stem, the 3 * 2 + 1 of the hourglass and the one after.
    assert len(projected) == 3 * (3 + 7 + 1)
    assert {name for name, p in detector.named_parameters() if p.grad is None} == set()
    after = detector.state_dict()
    unchanged = {name for name in before if torch.equal(before[name], after[name])}
    # Nothing depends on a constant added before BatchNorm or to a whole score map.
    without_effect = {"stem.0.bias", "hourglasses.0.2.bias", "heads.0.bias"}
    assert projected <= unchanged <= projected | without_effect


def test_a_checkpoint_carries_the_core(tmp_path: Path) -> None:
    trained_core(tmp_path / "core.pth")
    detector = small(init="projection", core=tmp_path / "core.pth")
    detector.initialise()
    (tmp_path / "core.pth").unlink()
    again = small(init="projection", core=tmp_path / "core.pth")
    again.load_state_dict(detector.state_dict())
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(detector.eval().score_maps(images), again.eval().score_maps(images))


@pytest.mark.parametrize("init", ["finetune", "projection"])
def test_a_core_that_was_projected_itself_lends_what_it_computes(tmp_path: Path, init: str) -> None:
    trained_core(tmp_path / "first.pth")
    core = small(init="projection", core=tmp_path / "first.pth")
    core.initialise()
    with torch.no_grad():
        for name, parameter in core.named_parameters():
            if name.endswith(".projection"):
                parameter += 0.1 * torch.randn_like(parameter)
    torch.save(core.state_dict(), tmp_path / "second.pth")
    detector = small(init=init, core=tmp_path / "second.pth")
    detector.initialise()
    images = torch.rand(2, 3, 32, 32)
    expected = core.eval().score_maps(images)
    torch.testing.assert_close(detector.eval().score_maps(images), expected, atol=1e-5, rtol=1e-4)
    for name, module in detector.named_modules():
        if isinstance(module, ProjectedConv2d):
            assert torch.equal(module.projection, torch.eye(len(module.projection))), name


@pytest.mark.parametrize(
    ("core", "fault"),
    [
        ({"depth": 1}, "72 missing: hourglasses.0.0.inner.down.first.0.bias"),
        ({"stacks": 2}, "unknown: heads.1.bias"),
        ({"features": 32}, "of another shape"),
    ],
)
def test_the_core_of_another_architecture_is_refused(
    tmp_path: Path, core: dict[str, int], fault: str
) -> None:
    torch.save(small(**core).state_dict(), tmp_path / "core.pth")
    detector = small(init="finetune", core=tmp_path / "core.pth")
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    with pytest.raises(LmkitError, match="does not hold this hourglass's weights") as caught:
        detector.initialise()
    assert fault in caught.value.problem
    assert "detector.depth" in caught.value.remedy
    assert caught.value.code == ExitCode.DATA
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_a_missing_core_is_named_with_its_option(tmp_path: Path) -> None:
    detector = small(init="projection", core=tmp_path / "none.pth")
    with pytest.raises(LmkitError, match=r"detector\.core=.*none\.pth: there is no such file"):
        detector.initialise()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"init": "finetune"}, r"detector\.init=finetune needs .* detector\.core names none"),
        ({"init": "projection"}, r"detector\.init=projection needs"),
        ({"core": Path("core.pth")}, r"detector\.core=core\.pth would not be used"),
        ({"image_size": 40}, r"run\.image_size=40 .*detector\.depth=2 needs a multiple of 16"),
        ({"image_size": 8}, r"run\.image_size=8"),
        ({"depth": 0}, r"detector\.depth=0"),
        ({"stacks": 0}, r"detector\.stacks=0"),
        ({"features": 20}, r"detector\.features=20 .*eighths"),
        ({"beta": 0.0}, r"detector\.beta=0\.0"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(LmkitError, match=problem):
        small(**options)
