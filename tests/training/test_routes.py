import torch

from lmkit.api import Generator, Landmarks, Redrawn, Route
from lmkit.training.routes import travel


class Ledger(Generator):
    """Adds the target's first coordinate to the image, and notes the size of every call."""

    def __init__(self):
        super().__init__(landmarks=1)
        self.calls = []

    def forward(self, images, source, target):
        self.calls.append(len(images))
        return images + target.points[:, 0, 0, None, None, None] - 0 * source.points.sum()


def scene():
    views = {"original": torch.zeros(2, 3, 4, 4), "deformed": torch.full((2, 3, 4, 4), 10.0)}
    views["auxiliary"] = torch.full((2, 3, 4, 4), 100.0)
    shifts = {"original": 1.0, "deformed": 2.0, "auxiliary": 4.0}
    landmarks = {view: Landmarks(torch.full((2, 1, 2), shift)) for view, shift in shifts.items()}
    return views, landmarks


def test_each_route_passes_its_stops_in_order():
    forth = Route("original", ("auxiliary",), "deformed")
    back = Route("deformed", ("auxiliary",), "original")
    generator = Ledger()
    stages = travel((forth, back), *scene(), generator).stages
    assert [stage.mean().item() for stage in stages[0]] == [4.0, 6.0]
    assert [stage.mean().item() for stage in stages[1]] == [14.0, 15.0]


def test_routes_of_equal_length_share_every_generator_call():
    routes = (
        Route("original", ("auxiliary",), "deformed"),
        Route("original", (), "deformed"),
        Route("deformed", ("auxiliary",), "original"),
    )
    generator = Ledger()
    stages = travel(routes, *scene(), generator).stages
    assert generator.calls == [2, 4, 4]
    assert [len(own) for own in stages] == [2, 1, 2]


def test_the_generator_is_told_where_the_landmarks_are_now():
    seen = []

    class Spy(Ledger):
        def forward(self, images, source, target):
            seen.append((source.points[0, 0, 0].item(), target.points[0, 0, 0].item()))
            return images

    travel((Route("original", ("auxiliary",), "deformed"),), *scene(), Spy())
    assert seen == [(1.0, 4.0), (4.0, 2.0)]


def test_a_generator_that_needs_images_gets_those_of_both_landmarks():
    seen = []

    class Curious(Ledger):
        needs_images = True

        def forward(self, images, source, target):
            seen.append((source.images.mean().item(), target.images.mean().item()))
            return images

    travel((Route("original", ("auxiliary",), "deformed"),), *scene(), Curious())
    assert seen == [(0.0, 100.0), (100.0, 10.0)]

    class Plain(Ledger):
        def forward(self, images, source, target):
            assert source.images is target.images is None
            return images

    travel((Route("original", (), "deformed"),), *scene(), Plain())


class Masking(Ledger):
    """Returns a mask beside each image."""

    def forward(self, images, source, target):
        drawn = super().forward(images, source, target)
        return Redrawn(drawn, {"mask": drawn[:, :1]})


def test_what_a_generator_tells_beside_images_goes_with_route_and_hop():
    forth = Route("original", ("auxiliary",), "deformed")
    short = Route("deformed", (), "original")
    back = Route("deformed", ("auxiliary",), "original")
    stages, extras = travel((forth, short, back), *scene(), Masking())
    for own, told in zip(stages, extras, strict=True):
        for image, more in zip(own, told, strict=True):
            assert torch.equal(more["mask"], image[:, :1])
    assert travel((short,), *scene(), Ledger()).extras == (({},),)
