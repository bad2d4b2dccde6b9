import contextlib
from dataclasses import replace

import pytest
import torch

from lmkit.data.loading import Batch
from lmkit.errors import ExitCode, LmkitError
from lmkit.geometry.warps import AffineWarp
from lmkit.interfaces.deformation import Views
from lmkit.interfaces.landmarks import Landmarks
from lmkit.runtime.assemble import assemble
from lmkit.training.step import run_step, weigh


def take(assembly, images, number=0, seed=0, subjects=None, truth=None, others=(None, None)):
    return run_step(
        assembly,
        Batch(images, subjects, truth, partners=others[0], partner_points=others[1]),
        number=number,
        seed=seed,
        autocast=contextlib.nullcontext,
    )


@pytest.fixture
def images():
    return torch.randint(
        0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_a_step_is_a_function_of_seed_and_number(tiny, registry, images):
    assembly = assemble(tiny(), registry)
    first = take(assembly, images, number=3)
    torch.rand(7)  # whatever happened elsewhere in the process
    again = take(assembly, images, number=3)
    other = take(assembly, images, number=4)
    assert torch.equal(first.views["deformed"], again.views["deformed"])
    assert not torch.equal(first.views["deformed"], other.views["deformed"])
    assert not torch.equal(
        first.views["deformed"], take(assembly, images, number=3, seed=1).views["deformed"]
    )


def test_the_auxiliary_is_the_original_permuted(tiny, registry, images):
    step = take(assemble(tiny(), registry), images)
    for own, view in zip(step.landmarks["auxiliary"].points, step.views["auxiliary"], strict=True):
        same = [
            i
            for i in range(4)
            if torch.equal(own, step.landmarks["original"].points[i])
            and torch.equal(view, step.views["original"][i])
        ]
        assert len(same) == 1
    assert not torch.equal(step.views["auxiliary"], step.views["original"])


def test_the_auxiliary_is_another_person(tiny, registry, images):
    assembly = assemble(tiny(), registry)
    subjects = torch.tensor([5, 5, 9, 9])
    for number in range(5):
        step = take(assembly, images, number=number, subjects=subjects)
        auxiliary, original = step.views["auxiliary"], step.views["original"]
        for i in range(4):
            j = next(j for j in range(4) if torch.equal(auxiliary[i], original[j]))
            assert subjects[i] != subjects[j]


def test_gradients_reach_the_detector_through_every_view(tiny, registry, images):
    assembly = assemble(tiny(), registry)
    step = take(assembly, images)
    loss, terms = weigh(assembly, step, contextlib.nullcontext)
    points = [step.landmarks[view].points for view in ("original", "deformed", "auxiliary")]
    gradients = torch.autograd.grad(loss, points, retain_graph=True)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    loss.backward()
    assert all(p.grad is not None for p in assembly.detector.parameters())
    assert set(terms) == {"mse"}


def test_weights_belong_to_the_settings(tiny, registry, images):
    plain = assemble(tiny(), registry)
    double = assemble(tiny("loss.mse.weight=2"), registry)
    (one, terms), (two, same) = (
        weigh(a, take(a, images), contextlib.nullcontext) for a in (plain, double)
    )
    assert two.item() == pytest.approx(2 * one.item())
    assert terms["mse"].item() == pytest.approx(same["mse"].item())


def test_a_method_without_a_generator_has_no_routes(tiny, registry):
    with pytest.raises(LmkitError, match="compares reconstructions"):
        assemble(tiny("generator.name=none"), registry)


def test_exchanging_the_generator_leaves_the_detectors_start(tiny, registry):
    one, two = (assemble(tiny(f"generator.width={w}"), registry) for w in (4, 6))
    for a, b in zip(one.detector.parameters(), two.detector.parameters(), strict=True):
        assert torch.equal(a, b)


def test_inter_intra_needs_two_images(tiny, registry):
    with pytest.raises(LmkitError, match="batch of 1") as caught:
        assemble(tiny("run.batch_size=1"), registry)
    assert "--batch-size 2" in caught.value.remedy
    assemble(tiny("run.batch_size=1", "pairing.name=intra"), registry)


def test_a_component_that_raises_is_named(tiny, registry, images):
    assembly = assemble(tiny(), registry)
    assembly.losses["mse"].forward = lambda step: 1 / 0
    with pytest.raises(LmkitError, match="loss 'mse' failed: ZeroDivisionError") as caught:
        weigh(assembly, take(assembly, images), contextlib.nullcontext)
    assert caught.value.code == ExitCode.PLUGIN
    assembly.detector.landmarks = 5
    with pytest.raises(LmkitError, match="detector 'hourglass' failed: ValueError: returned"):
        take(assembly, images)


BROKEN_CONTRACTS = {
    "a deformation of another size": (
        "deformation",
        lambda images, generator: Views(images[..., 1:], images, None, None),
        "deformation 'similarity' failed: ValueError: returned a view of shape (4, 3, 32, 31) "
        "instead of (4, 3, 32, 32)",
    ),
    "a generator of another size": (
        "generator.forward",
        lambda images, source, target: images[..., 1:],
        "generator 'residual' failed: ValueError: returned images of shape (8, 3, 32, 31) "
        "instead of (8, 3, 32, 32)",
    ),
    "a pairing that chooses nobody": (
        "pairing.auxiliary",
        lambda *_: None,
        "pairing 'inter-intra' failed: ValueError: has routes through the auxiliary view, and "
        "chose no auxiliary",
    ),
    "a pairing that chooses a matrix": (
        "pairing.auxiliary",
        lambda *_: torch.eye(4),
        "pairing 'inter-intra' failed: ValueError: auxiliary() chose numbers of shape (4, 4) "
        "and type torch.float32 instead of 4 numbers of images",
    ),
    "a deformation that forgets its warps": (
        "deformation",
        lambda images, generator: Views(images, images, None, None),
        "deformation 'similarity' failed: TypeError: returned None instead of a lmkit.api.Warp",
    ),
    "a generator without a last layer": (
        "generator.forward",
        lambda images, source, target: images * 4 - 1,
        "generator 'residual' failed: ValueError: returned images with colours from -",
    ),
    "a detector in pixels": (
        "detector.forward",
        lambda images: Landmarks(torch.full((8, 3, 2), 16.0)),
        "detector 'hourglass' failed: ValueError: returned points from 16 to 16 instead of within "
        "[-1, 1]",
    ),
    "a detector that divides by nothing": (
        "detector.forward",
        lambda images: Landmarks(torch.full((8, 3, 2), float("nan"))),
        "detector 'hourglass' failed: ValueError: returned points that are not finite",
    ),
    "a detector that finds too many": (
        "detector.forward",
        lambda images: Landmarks(torch.zeros(8, 4, 2)),
        "detector 'hourglass' failed: ValueError: returned points of shape (8, 4, 2) and type "
        "torch.float32 instead of (8, 3, 2) and torch.float32",
    ),
}


@pytest.mark.parametrize("case", BROKEN_CONTRACTS)
def test_a_component_that_breaks_its_contract_is_blamed_itself(tiny, registry, images, case):
    place, broken, says = BROKEN_CONTRACTS[case]
    assembly = assemble(tiny("pairing.name=inter-intra"), registry)
    *path, last = place.split(".")
    setattr(getattr(assembly, path[0]) if path else assembly, last, broken)
    with pytest.raises(LmkitError) as caught:
        take(assembly, images)
    assert says in caught.value.problem
    assert caught.value.code == ExitCode.PLUGIN


@pytest.mark.parametrize(
    ("term", "says"),
    [
        (torch.zeros(2), "returned shape (2,) instead of a scalar"),
        (torch.tensor(3), "returned a scalar of type torch.int64 instead of torch.float32"),
        (torch.tensor(0.5), "returned a constant instead of a scalar that gradients flow from"),
        (0.5, "returned 0.5 instead of a scalar Tensor"),
    ],
)
def test_a_loss_that_nothing_learns_from_is_named(tiny, registry, images, term, says):
    assembly = assemble(tiny(), registry)
    assembly.losses["mse"].forward = lambda step: term
    with pytest.raises(LmkitError) as caught:
        weigh(assembly, take(assembly, images), contextlib.nullcontext)
    assert says in caught.value.problem


def test_a_loss_may_wait_before_it_comes_into_force(tiny, registry, images):
    assembly = assemble(tiny(), registry)
    assembly.losses["mse"].forward = lambda step: torch.zeros(())
    loss, terms = weigh(assembly, take(assembly, images), contextlib.nullcontext)
    assert (loss.item(), terms["mse"].item()) == (0, 0)


@pytest.mark.parametrize("deformation", ["similarity", "tps"])
def test_annotated_points_are_moved_as_the_images_are(tiny, registry, images, deformation):
    assembly = assemble(tiny(f"deformation.name={deformation}"), registry)
    truth = torch.rand(4, 7, 2, generator=torch.Generator().manual_seed(1)) * 0.8 - 0.4
    step = take(assembly, images, truth=truth)
    for view in ("original", "deformed"):
        assert torch.equal(step.truth[view], step.warps[view].map_points(truth))
        assert not torch.allclose(step.truth[view], truth)
    for own, view in zip(step.truth["auxiliary"], step.views["auxiliary"], strict=True):
        (other,) = (i for i in range(4) if torch.equal(view, step.views["original"][i]))
        assert torch.equal(own, step.truth["original"][other])


def test_points_that_are_not_known_or_not_shown_are_not_there(tiny, registry, images):
    still = ("deformation.rotation=0,0", "deformation.shift=0", "deformation.scale=0")
    assembly = assemble(tiny(*still), registry)
    points = [[0.3, -0.4], [float("nan")] * 2, [0.9, 0.0], [0.2, 1.01], [1.0, -1.0]]
    truth = torch.tensor(points).expand(4, 5, 2)
    shown = take(assembly, images, truth=truth).truth["deformed"].isfinite().all(dim=2)
    assert shown.tolist() == [[True, False, True, False, True]] * 4

    def half_and_twice(batch, generator):
        small = AffineWarp(torch.eye(2, 3).expand(batch, 2, 3) * 0.5)
        large = AffineWarp(torch.eye(2, 3).expand(batch, 2, 3) * 2.0)
        return small, large

    assembly.deformation.warps = half_and_twice
    step = take(assembly, images, truth=truth)
    shown = {view: step.truth[view].isfinite().all(dim=2)[0].tolist() for view in step.truth}
    # What lies beyond the image is not shown, even where a smaller image leaves it room.
    assert shown["original"] == [True, False, True, False, True]
    assert shown["deformed"] == [True, False, False, False, False]


def test_the_deformed_view_is_of_the_partner_and_so_are_its_points(tiny, registry, images):
    assembly = assemble(tiny(), registry)
    truth, partner_truth = (torch.full((4, 1, 2), place) for place in (0.1, -0.2))
    partners = torch.cat((images[:1], images[1:].flip(0)))
    plain = take(assembly, images, truth=truth)
    step = take(assembly, images, truth=truth, others=(partners, partner_truth))
    swapped = take(assembly, partners)
    for view, expected in (("original", plain), ("deformed", swapped)):
        assert torch.equal(step.views[view], expected.views[view])
    # Who is their own partner gets the pair they would have without.
    assert torch.equal(step.views["deformed"][0], plain.views["deformed"][0])
    assert not torch.equal(step.views["deformed"][1], plain.views["deformed"][1])
    assert step.warps == {}
    assert torch.equal(step.truth["original"], plain.truth["original"])
    moved = plain.warps["deformed"].map_points(partner_truth)
    assert torch.equal(step.truth["deformed"], moved)
    assert torch.equal(step.views["auxiliary"], plain.views["auxiliary"])


@pytest.mark.parametrize("loss", ["structure-equivariance", "factorized-equivariance"])
def test_losses_that_follow_the_deformation_take_pairs_of_one_image(tiny, registry, loss):
    assemble(tiny(f"loss.{loss}.weight=1"), registry)
    with pytest.raises(LmkitError, match=f"The loss '{loss}' compares two views") as caught:
        assemble(tiny(f"loss.{loss}.weight=1", "loading.partner=subject"), registry)
    assert "loading.partner=none" in caught.value.remedy


def test_without_annotation_a_step_knows_no_truth(tiny, registry, images):
    assert take(assemble(tiny(), registry), images).truth == {}


@pytest.mark.gpu
def test_the_step_runs_on_cuda_in_half_precision_with_points_in_float32(tiny, registry, images):
    from lmkit.runtime.device import autocast_for

    device = torch.device("cuda")
    assembly = assemble(tiny(), registry)
    assembly.to(device)
    autocast = autocast_for(device, "auto")
    step = run_step(assembly, Batch(images.to(device)), number=0, seed=0, autocast=autocast)
    loss, _ = weigh(assembly, step, autocast)
    assert step.landmarks["original"].points.dtype == torch.float32
    assert loss.dtype == torch.float32
    assert loss.isfinite()


def test_losses_see_what_else_a_detector_returns_and_the_networks_themselves(
    tiny, registry, images
):
    assembly = assemble(tiny("pairing.name=inter-intra"), registry)
    found = assembly.detector.forward

    def with_edges(given):
        return replace(found(given), extras={"edges": given.mean(dim=(2, 3))})

    assembly.detector.forward = with_edges
    step = take(assembly, images)
    for view in ("original", "deformed"):
        seen = step.views[view].mean(dim=(2, 3))
        assert torch.allclose(step.landmarks[view].extras["edges"], seen)
    points = step.detector(step.views["original"]).points
    assert points.shape == step.landmarks["original"].points.shape
    drawn = step.generator(
        step.views["original"], step.landmarks["original"], step.landmarks["deformed"]
    )
    assert drawn.shape == step.views["original"].shape
    assembly.detector.forward = lambda given: replace(found(given), extras={"edges": given[:1]})
    with pytest.raises(LmkitError, match="returned the extra 'edges' of shape"):
        take(assembly, images)


def test_what_losses_log_is_a_number_with_a_name(tiny, registry, images):
    step = take(assemble(tiny(), registry), images)
    step.log("spread", step.landmarks["original"].points.std())
    step.log("a/b", 3)
    assert set(step.logged) == {"spread", "a/b"}
    assert not step.logged["spread"].requires_grad
    for name, value, says in (
        ("two words", 1, "instead of a word"),
        (3, 1, "instead of text"),
        ("x", torch.zeros(2), "instead of a scalar"),
    ):
        with pytest.raises((TypeError, ValueError), match=says):
            step.log(name, value)


def test_a_weight_that_changes_is_that_of_the_step(tiny, registry, images):
    words = ("loss.mse.weight.to=2", "loss.mse.weight.steps=10")
    assembly = assemble(tiny(*words), registry)
    step = take(assembly, images)
    for number, weight in ((0, 0.0), (5, 1.0), (10, 2.0), (11, 2.0)):
        now = replace(step, number=number)
        loss, terms = weigh(assembly, now, contextlib.nullcontext)
        assert loss.item() == pytest.approx(weight * terms["mse"].item())
