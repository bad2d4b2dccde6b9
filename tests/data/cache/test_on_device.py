"""Images on the device: the same batches, bit for bit."""

import numpy as np
import pytest
import torch

from lmkit.data.cache.on_device import DeviceCachedDataset
from lmkit.data.framing import Framer
from lmkit.data.loading import TrainingBatches, read_images
from lmkit.data.split import Partners
from lmkit.data.unreadable import Unreadable
from lmkit.interfaces.dataset import Annotation, Dataset

FRAMER = Framer(8, "pad")


class Noise(Dataset):
    """Images of noise, two of a subject, with a point each; some cannot be read."""

    point_names = ("nose",)

    def __init__(self, count, bad=()):
        self.count, self.bad = count, bad

    def __len__(self):
        return self.count

    def key(self, index):
        return f"noise-{index}"

    def image(self, index):
        if index in self.bad:
            raise OSError(f"{index} is damaged")
        return np.random.default_rng(index).integers(0, 256, (9 + index % 3, 12, 3), np.uint8)

    def annotation(self, index):
        return Annotation(np.array([[index % 9, 3.0]], np.float32), str(index // 2))


def batches(data, indices, **changes):
    settings = {"framer": FRAMER, "batch_size": 3, "seed": 0, "start": 0, "stop": 9}
    return list(TrainingBatches(data, indices, **{**settings, **changes}))


def check_same(device, **changes):
    indices = [20, *range(3, 17)]
    plain = Noise(22, bad=(5, 11))
    told = []
    kept = DeviceCachedDataset(
        plain,
        indices,
        framer=FRAMER,
        device=torch.device(device),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (15, 15)
    pairs = zip(
        batches(kept, indices, annotated=True, pin_memory=device == "cuda", **changes),
        batches(plain, indices, annotated=True, **changes),
        strict=True,
    )
    for one, other in pairs:
        assert one.images.device.type == device
        assert one.images.is_contiguous()
        assert torch.equal(one.images.cpu(), other.images)
        assert torch.equal(one.points, other.points)
        assert torch.equal(one.subjects, other.subjects)
        assert (one.indices, one.unreadable) == (other.indices, other.unreadable)
        if other.partners is not None:
            assert one.partners.device.type == device
            assert torch.equal(one.partners.cpu(), other.partners)
            assert torch.equal(one.partner_points, other.partner_points)
            assert one.partner_indices == other.partner_indices


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"start": 4},
        {"rank": 1, "world": 2},
        {"partners": Partners(Noise(22), [20, *range(3, 17)])},
    ],
    ids=["all", "resumed", "second of two", "partners"],
)
def test_batches_are_the_same(changes):
    check_same("cpu", **changes)


@pytest.mark.gpu
def test_batches_are_the_same_on_a_gpu():
    check_same("cuda")
    check_same("cuda", partners=Partners(Noise(22), [20, *range(3, 17)]))


def test_nothing_is_read_again_and_no_process_started(monkeypatch):
    data = Noise(12)
    kept = DeviceCachedDataset(data, range(12), framer=FRAMER, device=torch.device("cpu"))
    monkeypatch.setattr(Noise, "image", lambda self, index: pytest.fail("was read again"))

    def refuse(self):
        raise AssertionError("a process was started")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    assert len(batches(kept, range(12), workers=2)) == 9


def test_others_are_read_as_ever():
    data = Noise(12)
    kept = DeviceCachedDataset(data, [1, 2], framer=FRAMER, device=torch.device("cpu"))
    for framer, wanted in ((FRAMER, [1, 7]), (Framer(6), [1])):
        given = {"framer": framer, "batch_size": 4, "unreadable": Unreadable(1.0)}
        (found,), (expected,) = (list(read_images(each, wanted, **given)) for each in (kept, data))
        assert torch.equal(found.images, expected.images)
        assert found.framings == expected.framings


def test_worker_processes_may_fill_it():
    here, there = (
        DeviceCachedDataset(
            Noise(150, bad=(7,)),
            range(150),
            framer=FRAMER,
            device=torch.device("cpu"),
            workers=workers,
        )
        for workers in (0, 2)
    )
    for index in (0, 6, 8, 149):
        assert torch.equal(here.framed(index, FRAMER)[0], there.framed(index, FRAMER)[0])
    with pytest.raises(OSError, match="7 is damaged"):
        there.framed(7, FRAMER)
