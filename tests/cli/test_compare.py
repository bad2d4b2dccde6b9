"""``lmkit compare`` as it is typed."""

import json

import pytest

from lmkit.errors import ExitCode
from lmkit.training.session import start


@pytest.fixture(scope="module")
def other(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "other"
    start(tiny("run.checkpoint_every=2", "pairing.cycle=false"), out)
    return out


def test_runs_are_compared_on_the_terminal_and_in_files(lmkit, trained, other, tmp_path):
    code, stdout, stderr = lmkit("compare", trained, other)
    assert (code, stderr) == (0, "")
    for words in (
        "Settings that differ",
        "pairing.cycle   true      false",
        "Fitted on 20 and tested on 4 images of faces, the same for all.",
        "With one run per setting",
        "GFLOP",
    ):
        assert words in stdout
    (folder,) = (tmp_path / "comparisons").iterdir()
    names = {"comparison.md", "comparison.json", "faces.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert f"Written to comparisons/{folder.name}: comparison.md" in stdout
    assert all(line == line.rstrip() for line in stdout.splitlines())


def test_json_stands_alone_and_is_what_is_written(lmkit, trained, other, tmp_path):
    out = tmp_path / "here"
    code, stdout, stderr = lmkit("compare", trained, other, "--json", "--out", out)
    assert (code, stderr) == (0, "")
    report = json.loads(stdout)
    assert report == json.loads((out / "comparison.json").read_text())
    assert [run["name"] for run in report["runs"]] == ["trained", "other"]
    assert len(report["differences"]) == 1


def test_other_data_can_be_measured_and_nothing_written(lmkit, trained, other, tmp_path):
    data = ("--data", "faces", "--set", "data.count=40", "--no-files")
    code, stdout, _ = lmkit("compare", trained, other, *data)
    assert code == 0
    assert "Fitted on 36 and tested on 4 images of faces" in stdout
    assert "Written" not in stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], ExitCode.USAGE, "Missing argument 'RUNS...'"),
        (["{trained}"], ExitCode.USAGE, "A comparison takes two runs or more. Give the folders"),
        (["{trained}", "absent"], ExitCode.RUN, "absent is not a folder"),
        (["{trained}", "{tmp}"], ExitCode.RUN, "holds no run"),
        (["{trained}", "x", "--out", "y", "--no-files"], ExitCode.USAGE, "exclude each other"),
    ],
)
def test_what_cannot_be_compared_is_refused(lmkit, trained, tmp_path, arguments, code, says):
    words = [word.format(trained=trained, tmp=tmp_path) for word in arguments]
    given, stdout, stderr = lmkit("compare", *words)
    assert (given, stdout) == (code, "")
    assert says in " ".join(stderr.split())
    assert "Traceback" not in stderr


@pytest.fixture
def photos(tmp_path):
    """A folder of images without annotation."""
    import numpy as np
    from PIL import Image

    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(20):
        noise = rng.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def test_data_without_points_is_compared_by_what_landmarks_follow(
    lmkit, trained, other, photos, tmp_path
):
    held_out = ("--set", "loading.held_out=0.5")
    code, stdout, stderr = lmkit("compare", trained, other, "--data", photos, *held_out)
    assert (code, stderr) == (0, "")
    for words in (
        "pairing.cycle   true      false",
        "Told without annotation, the best first",
        "photos, the same for all, without annotation.",
        "GFLOP",
        "trained: Training failed: most landmarks are at fault on 100 % of the images.",
    ):
        assert words in stdout
    (folder,) = (tmp_path / "comparisons").iterdir()
    names = {"comparison.md", "comparison.json", "faces.png"}
    assert {path.name for path in folder.iterdir()} == names
    report = json.loads((folder / "comparison.json").read_text())
    scores = {
        run["name"]: run["evaluation"]["label_free"]["verdict"]["score"] for run in report["runs"]
    }
    assert report["best"] == max(scores, key=scores.get)
    assert len(report["differences"]) == 1
    assert report["runs"][0]["evaluation"]["label_free"]["untrained"] is not None


def test_controls_can_be_left_out(lmkit, trained, other, photos):
    for data in ((), ("--data", photos)):
        command = ("compare", trained, other, *data, "--no-controls", "--no-files", "--json")
        code, stdout, _ = lmkit(*command)
        assert code == 0
        for run in json.loads(stdout)["runs"]:
            assert run["evaluation"]["label_free"]["untrained"] is None


def test_untrained_stands_beside_every_error(lmkit, trained, other):
    code, stdout, _ = lmkit("compare", trained, other, "--no-files")
    assert code == 0
    (heading,) = (line for line in stdout.splitlines() if "NME %" in line and "backward" in line)
    assert heading.index("untrained") < heading.index("mean shape")
    assert "Told without annotation" in stdout
