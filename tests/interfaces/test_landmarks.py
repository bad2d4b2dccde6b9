import pytest
import torch

from lmkit.interfaces.landmarks import Landmarks


def landmarks(batch, *, full=True):
    points = torch.rand(batch, 3, 2)
    if not full:
        return Landmarks(points)
    return Landmarks(
        points,
        torch.rand(batch, 3, 4, 4),
        torch.rand(batch, 3),
        torch.rand(batch, 3, 5),
        torch.rand(batch, 6, 4, 4),
        torch.rand(batch, 3, 4, 4),
    )


def fields(found):
    return (
        found.points,
        found.score_maps,
        found.confidence,
        found.descriptors,
        found.features,
        found.probability_maps,
    )


def test_its_length_is_the_batch():
    assert len(landmarks(4)) == 4


@pytest.mark.parametrize(
    "index", [slice(1, 3), torch.tensor([3, 0, 0]), torch.tensor([True, False, True, False])]
)
def test_an_index_picks_images_in_every_field(index):
    every = landmarks(4)
    for picked, field in zip(fields(every[index]), fields(every), strict=True):
        assert torch.equal(picked, field[index])
    bare = Landmarks(every.points)[index]
    assert torch.equal(bare.points, every.points[index])
    assert fields(bare)[1:] == (None,) * 5


def test_batches_are_joined_field_by_field():
    parts = [landmarks(2), landmarks(1), landmarks(3)]
    joined = Landmarks.cat(parts)
    for number, field in enumerate(fields(joined)):
        assert torch.equal(field, torch.cat([fields(part)[number] for part in parts]))


def test_joining_what_was_split_gives_it_back():
    whole = landmarks(5)
    for field, again in zip(
        fields(whole), fields(Landmarks.cat([whole[:2], whole[2:]])), strict=True
    ):
        assert torch.equal(field, again)


def test_a_field_that_one_batch_lacks_is_left_out():
    joined = Landmarks.cat([landmarks(2), landmarks(1, full=False)])
    assert joined.points.shape == (3, 3, 2)
    assert fields(joined)[1:] == (None,) * 5


def test_extras_go_where_the_points_go():
    edges = torch.arange(6.0).reshape(3, 2)
    found = Landmarks(torch.rand(3, 2, 2), extras={"edges": edges, "mask": torch.rand(3, 1, 4, 4)})
    picked = found[torch.tensor([2, 0])]
    assert torch.equal(picked.extras["edges"], edges[[2, 0]])
    joined = Landmarks.cat([picked, found[:1]])
    assert torch.equal(joined.extras["edges"], edges[[2, 0, 0]])
    assert joined.extras.keys() == {"edges", "mask"}
    fewer = Landmarks(found.points, extras={"edges": edges})
    assert Landmarks.cat([found, fewer]).extras.keys() == {"edges"}
    assert Landmarks.cat([found, Landmarks(found.points)]).extras is None
    assert found.extras.cpu().keys() == {"edges", "mask"}
