"""Every detector as a file: the same points, what the file says of itself, and damage to it."""

import io
import json
import pickle
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from lmkit.api import Detector, HeatmapDetector, Landmarks, to_pixels
from lmkit.errors import ExitCode, LmkitError
from lmkit.export import files, pt2_file
from lmkit.export.description import Description
from lmkit.export.files import open_exported, write_exported
from lmkit.export.graph import build_graph, expected, rounding, try_images
from lmkit.registry.lookup import installed
from lmkit.testing.subject import Subject

TINY = {
    "dve": {"descriptor": 8, "width": 8, "depth": 1, "blocks": 1},
    "hourglass": {"features": 8, "depth": 1},
    "structure": {"width": 4, "depth": 1},
    "timm": {"backbone": "resnet10t", "width": 8},
    "imm": {"width": 4, "blocks": 3},
}
DETECTORS = [each for each in installed().components("detector") if each.plugin.built_in]


class Small(HeatmapDetector):
    """One layer."""

    def __init__(self, *, landmarks: int = 2) -> None:
        super().__init__(landmarks=landmarks)
        self.layer = nn.Conv2d(3, landmarks, 5, stride=4, padding=2)

    def score_maps(self, images):
        return self.layer(images)


class Bare(Detector):
    """Points and nothing else."""

    def __init__(self) -> None:
        super().__init__(landmarks=2)
        self.layer = nn.Linear(3, 4)

    def forward(self, images):
        return Landmarks(self.layer(images.mean(dim=(2, 3))).tanh().unflatten(1, (2, 2)))


class Branches(Small):
    """Decides by the content of its images."""

    def score_maps(self, images):
        scores = self.layer(images)
        return scores if images.mean() > 0.1 else -scores


class Batch(Small):
    """Looks at the whole batch."""

    def forward(self, images):
        found = super().forward(images)
        return Landmarks(found.points - found.points.mean(dim=0))


def described(graph):
    outputs = expected(graph, try_images(1, graph.image_size))
    count, size = graph.detector.landmarks, graph.image_size
    return Description(
        {
            "run": "first",
            "step": 7,
            "landmarks": count,
            "image_size": size,
            "outputs": dict.fromkeys(outputs, ""),
            "detector": {"sha256": "0" * 64},
            "settings": {"run": {"landmarks": count, "image_size": size}, "loading": {}},
        }
    )


def write(detector, path, size=32):
    torch.manual_seed(0)
    graph = build_graph(detector.eval(), size)
    return graph, write_exported(graph, described(graph), path, path.suffix[1:])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    torch.manual_seed(0)
    detector = Small()
    for form in files.FORMATS:
        write(detector, folder / f"small.{form}")
    return folder


@pytest.mark.parametrize("entry", DETECTORS, ids=lambda entry: entry.component.name)
def test_every_detector_is_the_same_in_onnx_runtime(entry, tmp_path):
    subject = Subject(
        entry, {"landmarks": 3, "image_size": 32, **TINY.get(entry.component.name, {})}
    )
    detector = subject.build().eval()
    path = tmp_path / "detector.onnx"
    _, apart = write(detector, path)
    assert apart <= 1e-4
    assert [each.name for each in tmp_path.iterdir()] == ["detector.onnx"]
    images = torch.randint(0, 256, (5, 3, 32, 32), generator=torch.Generator().manual_seed(3))
    images = images.to(torch.uint8)
    with torch.no_grad():
        found = detector(images / 255)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, {"images": images.numpy()}), strict=True))
    wanted = to_pixels(found.points, 32, 32).numpy()
    assert np.abs(outputs["points"] - wanted).max() <= 1e-4
    assert ("covariance" in outputs) == (found.probability_maps is not None)
    if found.confidence is not None:
        assert np.allclose(outputs["confidence"], found.confidence, atol=1e-4)
    assert session.get_inputs()[0].shape == ["batch", 3, 32, 32]
    onnx.checker.check_model(onnx.load(path))


def test_opened_it_is_a_detector(small):
    torch.manual_seed(0)
    detector = Small().eval()
    images = try_images(4, 32)
    with torch.no_grad():
        wanted = detector(images / 255)
    for form in files.FORMATS:
        opened = open_exported(small / f"small.{form}")
        assert (opened.landmarks, opened.description.image_size) == (2, 32)
        assert opened.description.content["step"] == 7
        found = opened(images / 255)
        assert torch.allclose(found.points, wanted.points, atol=1e-6)
        assert found.confidence.shape == (4, 2)
        # As a mean over cells, in [-1, 1].
        cells = wanted.probability_maps
        centres = (torch.arange(8) + 0.5) / 4 - 1
        off = centres - wanted.points[..., :1]
        variance = (cells.sum(dim=2) * off**2).sum(dim=2)
        assert torch.allclose(found.covariance[..., 0, 0], variance, atol=1e-5)


def test_a_detector_of_points_alone_has_no_confidence(tmp_path):
    for form in files.FORMATS:
        write(Bare(), tmp_path / f"bare.{form}")
        opened = open_exported(tmp_path / f"bare.{form}")
        assert opened.description.outputs == ["points", "normalised"]
        assert opened(torch.zeros(2, 3, 32, 32)).confidence is None


@pytest.mark.parametrize("form", files.FORMATS)
def test_what_cannot_be_traced_is_one_message(form, tmp_path):
    with pytest.raises(LmkitError, match=f"cannot be exported to {form}") as caught:
        write(Branches(), tmp_path / "new" / f"branches.{form}")
    assert caught.value.code == ExitCode.PLUGIN
    assert "lmkit check-plugin" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_what_does_otherwise_than_the_detector_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "small.pt2"
    path.write_bytes(b"former")

    def shifted(given):
        description, call = pt2_file.open_pt2(given)
        return description, lambda images: [each + 1e-3 for each in call(images)]

    monkeypatch.setitem(files._OPEN, "pt2", shifted)
    with pytest.raises(LmkitError, match=r"points is 0\.001 off with a batch of 1, where 0\.0001"):
        write(Small(), path)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"former"]


def test_what_rounding_makes_of_the_detector_itself_is_put_up_with(tmp_path, monkeypatch):
    def rounded(given):
        description, call = pt2_file.open_pt2(given)
        return description, lambda images: [each + 1e-3 for each in call(images)]

    monkeypatch.setitem(files._OPEN, "pt2", rounded)
    monkeypatch.setattr(
        files, "rounding", lambda graph, images, wanted: dict.fromkeys(wanted, 9e-4)
    )
    with pytest.raises(LmkitError, match="normalised is"):
        # In [-1, 1] that would be more than a hundredth of a pixel.
        write(Small(), tmp_path / "small.pt2")
    monkeypatch.setattr(
        files, "rounding", lambda graph, images, wanted: dict.fromkeys(wanted, 3e-4)
    )
    monkeypatch.setattr(files, "LARGEST_TOLERANCE", 1.0)
    _, apart = write(Small(), tmp_path / "small.pt2")
    assert apart == pytest.approx(1e-3, rel=0.1)


def test_the_rounding_of_a_detector_is_small():
    torch.manual_seed(0)
    graph = build_graph(Small().eval(), 32)
    images = try_images(3, 32)
    own = rounding(graph, images, expected(graph, images))
    assert own.keys() == {"points", "normalised", "confidence", "covariance"}
    assert 0 <= own["points"] < 1e-4


def test_without_its_packages_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LmkitError, match="onnx and onnxscript and onnxruntime") as caught:
        write(Small(), tmp_path / "small.onnx")
    assert caught.value.remedy == "pip install 'lmkit[export]'."


def refused(path, reason):
    with pytest.raises(LmkitError, match=reason) as caught:
        open_exported(path)
    assert caught.value.code == ExitCode.RUN
    assert "export" in caught.value.remedy
    assert "\n" not in caught.value.problem


@pytest.mark.parametrize("form", files.FORMATS)
def test_a_damaged_file_is_refused(form, small, tmp_path):
    content = (small / f"small.{form}").read_bytes()
    path = tmp_path / f"damaged.{form}"
    refused(path, "there is no such file")
    for end in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        refused(path, "cannot be used as an exported detector")
    for place in range(40, len(content), len(content) // 20):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            opened = open_exported(path)
        except LmkitError as error:
            assert "cannot be used" in error.problem  # noqa: PT017
        else:
            # What lies between the entries of an archive says nothing.
            assert form == "pt2"
            sound = open_exported(small / f"small.{form}")
            images = try_images(2, 32) / 255
            assert torch.equal(opened(images).points, sound(images).points)


def test_a_foreign_file_is_refused(tmp_path, small):
    model = onnx.load(small / "small.onnx")
    del model.metadata_props[:]
    foreign = tmp_path / "foreign.onnx"
    onnx.save(model, foreign)
    refused(foreign, "not written by lmkit export")
    program = torch.export.export(nn.ReLU(), (torch.zeros(2),))
    torch.export.save(program, tmp_path / "foreign.pt2")
    refused(tmp_path / "foreign.pt2", "does not hold what lmkit export writes")
    (tmp_path / "table.pt2").write_text("a,b\n")
    refused(tmp_path / "table.pt2", "no .pt2 file")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "state.pt2")
    refused(tmp_path / "state.pt2", "does not hold what lmkit export writes")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"landmarks": 5}, "settings are those of another detector"),
        ({"landmarks": "two"}, "landmarks is 'two'"),
        ({"format": 9}, "of format 9"),
        ({"kind": "something"}, "does not hold what"),
        ({"outputs": {"points": ""}}, "its outputs are"),
        ({"outputs": {"points": "", "normalised": "", "named_points": ""}}, "not named"),
        ({"settings": []}, "settings is"),
        ({"detector": {}}, "does not name the weights"),
    ],
)
def test_a_description_is_checked(change, reason, small):
    described = json.loads(open_exported(small / "small.pt2").description.text())
    with pytest.raises(ValueError, match=reason):
        Description.parse(json.dumps({**described, **change}))
    with pytest.raises(ValueError, match="nested"):
        Description.parse("[" * 100_000)


class Exploit:
    def __reduce__(self):
        return print, ("ran",)


def test_pickled_objects_in_a_file_are_not_opened(small, tmp_path, capsys):
    content = (small / "small.pt2").read_bytes()
    for where in ("sample_inputs", "constants"):
        path = tmp_path / f"{where}.pt2"
        with (
            zipfile.ZipFile(io.BytesIO(content)) as before,
            zipfile.ZipFile(path, "w") as after,
        ):
            for entry in before.infolist():
                data = before.read(entry)
                if where == "sample_inputs" and "/sample_inputs/" in entry.filename:
                    data = pickle.dumps(Exploit())
                if where == "constants" and entry.filename.endswith("constants_config.json"):
                    config = json.loads(data)
                    config["config"]["extra"] = {"path_name": "tensor_9", "use_pickle": True}
                    data = json.dumps(config).encode()
                after.writestr(entry.filename, data)
        refused(path, "in it")
    assert capsys.readouterr().out == ""
