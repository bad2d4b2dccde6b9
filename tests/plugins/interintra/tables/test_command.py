"""``lmkit reproduce`` as users meet it: killed, stopped, started again, and asked for nonsense."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lmkit.cli.main import main

SMALL = (
    *("--set=run.batch_size=4", "--set=run.image_size=32", "--set=run.log_every=1"),
    *("--set=detector.features=8", "--set=detector.depth=1", "--set=generator.width=4"),
    *("--set=generator.blocks=1", "--device=cpu"),
)
TINY = ("--recipe=reconstruction-quick", *SMALL)
FACES = ("--data=faces", "--set=data.count=24", *TINY)
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    "PYTHONUNBUFFERED": "1",
}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def begin(*arguments):
    command = [sys.executable, "-m", "lmkit", "reproduce", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )


def wait_for(process, words):
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


@pytest.fixture
def here(capsys):
    """Call the command in this process; return its stdout and stderr."""

    def call(*arguments, code=0):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["reproduce", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert ended.value.code == code, err
        return out, err

    return call


def contents(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def measured(file):
    # In the last column is the untrained network's.
    return re.findall(
        r"^\| `([\w-]+)` \|.*\| ([^|]+) \| [^|]+ \|$", Path(file).read_text("utf-8"), re.M
    )


def test_killed_in_the_middle_it_goes_on_and_repeats_nothing(here, tmp_path):
    out = tmp_path / "out"
    rows = ("--rows=baseline,all", "--steps=20")
    process = begin("table1", *FACES, *rows, "--out", out)
    wait_for(process, "Run 2 of 2")
    wait_for(process, "step 6/20")
    process.kill()
    process.communicate()
    # A table is there as soon as one row is.
    content = json.loads((out / "table1.json").read_text())
    assert [bool(row["runs"]) for row in content["rows"]] == [True, False]
    assert content["not_done"] == ["all"]
    before = contents(out / "baseline")
    assert [path.name for path in (out / "all" / "checkpoints").glob("step-*")]
    text, err = here("table1", *FACES, *rows, "--out", out)
    assert contents(out / "baseline") == before
    steps = [int(step) for step in re.findall(r"^step (\d+)/20  loss", err, re.M)]
    assert steps[0] > 1
    assert steps == list(range(steps[0], 21))
    assert text == (out / "table1.md").read_text("utf-8")
    content = json.loads((out / "table1.json").read_text())
    assert content["not_done"] == []
    assert measured(out / "table1.md") == [
        (row["row"], f"{row['measured']['faces']['nme']:.2f}") for row in content["rows"]
    ]
    for row in content["rows"]:
        own = json.loads(
            (out / row["row"] / "evaluation" / "faces" / "evaluation.json").read_text()
        )
        assert row["measured"]["faces"]["values"] == [own["forward"]["nme"]]
    assert "not comparable" in content["note"]
    assert "`run.steps`: 20 instead of 82500." in content["deviations"]


def test_a_signal_ends_it_in_order(here, tmp_path):
    arguments = ("table1", *FACES, "--rows=all", "--steps=100000", "--out", tmp_path / "out")
    process = begin(*arguments)
    wait_for(process, "step 3/")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in err
    assert "The same command goes on; finished runs are not repeated." in err
    assert "Not done yet: all." in out
    assert json.loads((tmp_path / "out/all/status.json").read_text())["state"] == "stopped"


def test_tables_share_their_row_and_rows_join_a_table(here, tmp_path):
    common = (*FACES, "--steps=2", "--out", tmp_path)
    here("table1", *common, "--rows=all")
    before = contents(tmp_path / "all")
    out, err = here("table2", *common)
    assert "loss" not in err
    assert contents(tmp_path / "all") == before
    assert out.startswith("# Table II")
    out, _ = here("table1", *common, "--rows=cycle", "--json")
    content = json.loads(out)
    assert [row["row"] for row in content["rows"]] == ["cycle", "all"]
    assert content == json.loads((tmp_path / "table1.json").read_text())


@pytest.fixture(scope="module")
def celeba(tmp_path_factory):
    """A folder in CelebA's layout with MAFL's lists."""
    from lmkit.data.sets.faces import Faces

    root = tmp_path_factory.mktemp("data") / "celeba"
    (root / "img_align_celeba").mkdir(parents=True)
    (root / "MAFL").mkdir()
    faces = Faces(image_size=32, count=24)
    names = [f"{number:06d}.png" for number in range(24)]
    lines = ["24", "lefteye_x ..."]
    for number, name in enumerate(names):
        Image.fromarray(faces.image(number)).save(root / "img_align_celeba" / name)
        points = " ".join(f"{value:.2f}" for value in faces.annotation(number).points.ravel())
        lines.append(f"{name} {points}")
    (root / "list_landmarks_align_celeba.txt").write_text("\n".join(lines) + "\n")
    (root / "MAFL" / "training.txt").write_text("\n".join(names[:12]) + "\n")
    (root / "MAFL" / "testing.txt").write_text("\n".join(names[20:]) + "\n")
    return root


def test_celeba_with_mafl(here, tmp_path, celeba):
    arguments = ("table1", "--celeba", celeba, *TINY, "--rows=all", "--steps=2", "--seeds=2")
    out, _ = here(*arguments, "--out", tmp_path)
    assert "| MAFL, published | AFLW, published | MAFL, lmkit |" in out
    assert "MAFL: fitted on 12 and tested on 4 images; in the paper 18,997 and 1,000." in out
    assert "Trained on 20 images in the layout of CelebA, which has over 200,000." in out
    assert "Nothing was measured on AFLW." in out
    assert " ± " in out
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"all", "all-seed-1"}


@pytest.fixture(scope="module")
def aflw(tmp_path_factory):
    """A folder in the layout of AFLW, y before x."""
    from scipy.io import savemat

    from lmkit.data.sets.faces import Faces

    root = tmp_path_factory.mktemp("data") / "aflw"
    (root / "output").mkdir(parents=True)
    faces = Faces(image_size=32, count=16, seed=3)
    for part, numbers in (("train", range(10)), ("test", range(10, 16))):
        points = [faces.annotation(number).points[:, ::-1] for number in numbers]
        savemat(root / f"aflw_{part}_keypoints.mat", {"gt": points})
        names = [f"{number}.png" for number in numbers]
        (root / f"aflw_{part}_images.txt").write_text("\n".join(names) + "\n")
        for number, name in zip(numbers, names, strict=True):
            Image.fromarray(faces.image(number)).save(root / "output" / name)
    return root


def test_aflw_is_measured_with_a_regressor_of_its_own(here, tmp_path, celeba, aflw):
    common = ("table1", "--celeba", celeba, *TINY, "--rows=baseline", "--steps=2")
    here(*common, "--out", tmp_path)
    trained = contents(tmp_path / "baseline" / "checkpoints")
    out, err = here(*common, "--aflw", aflw, "--out", tmp_path)
    assert "loss" not in err
    assert contents(tmp_path / "baseline" / "checkpoints") == trained
    assert "| MAFL, lmkit | AFLW, lmkit |" in out
    assert "AFLW: fitted on 10 and tested on 6 images; in the paper 10,122 and 2,991." in out
    assert "Nothing was measured on" not in out


def test_other_settings_in_the_same_folder_are_refused(here, tmp_path):
    here("table1", *FACES, "--rows=all", "--steps=1", "--out", tmp_path)
    before = contents(tmp_path)
    _, err = here("table1", *FACES, "--rows=all", "--steps=2", "--out", tmp_path, code=5)
    assert "all was trained with other settings" in err
    assert "run.steps was 1 and is to be 2" in err
    assert contents(tmp_path) == before


ERRORS = {
    "no data": ((), 2, "There is no data to train on", "--data faces"),
    "both": (("--celeba=/x", "--data=faces"), 2, "Both --celeba and --data are given", "--celeba"),
    "aflw alone": (("--data=faces", "--aflw=/x"), 2, "--aflw /x goes with --celeba", "Leave"),
    "no celeba": (("--celeba=/absent",), 3, "--celeba /absent is not a folder", "unpacked"),
    "row": ((*FACES, "--rows=al"), 2, "Table I has no row 'al'", "Did you mean 'all'"),
    "recipe": (("--data=faces", "--recipe=paperr"), 2, "'paperr'", "Did you mean 'paper'"),
    "core": ((*FACES, "--core=/absent"), 3, "--core /absent does not exist", "pretrain"),
    "contradiction": (
        (*FACES, "--set=pairing.cycle=false", "--rows=all"),
        *(2, "contradicts the row 'all'", "lmkit train"),
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_come_before_anything_is_written(here, tmp_path, name):
    arguments, code, problem, remedy = ERRORS[name]
    out, err = here("table1", *arguments, "--out", tmp_path / "out", code=code)
    assert out == ""
    assert problem in err
    assert remedy in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_celeba_without_the_lists_of_mafl_is_refused(here, tmp_path, celeba):
    copy = shutil.copytree(celeba, tmp_path / "celeba")
    shutil.rmtree(copy / "MAFL")
    arguments = ("table1", "--celeba", copy, *TINY, "--out", tmp_path / "out")
    _, err = here(*arguments, code=3)
    assert "has no MAFL/training.txt and MAFL/testing.txt" in err
    _, err = here("table1", "--celeba", celeba, "--aflw=/absent", *TINY, code=3)
    assert "--aflw /absent is not a folder" in err


def test_the_lists_of_mafl_are_looked_for_where_the_dataset_finds_them():
    from lmkit.data.sets import celeba
    from lmkit_interintra.tables.command import FOLDERS

    assert FOLDERS == celeba._FOLDERS


def test_a_table_without_a_column_for_aflw_says_so(here, tmp_path, celeba):
    arguments = ("--aflw", tmp_path, *TINY, "--steps=1", "--out", tmp_path / "out")
    out, err = here("table2", "--celeba", celeba, *arguments)
    assert "table2 has no column for AFLW: --aflw is not used." in err
    assert "| MAFL, lmkit |" in out
