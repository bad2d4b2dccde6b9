"""Campaigns: every run is trained and measured once, whatever happens in between."""

import json
import os
import signal
from contextlib import contextmanager

import pytest

from lmkit.campaigns.campaign import Benchmark, Campaign, CampaignCallback, CampaignEntry
from lmkit.errors import ExitCode, LmkitError
from lmkit.runtime.callback import Callback
from lmkit.settings.layers import Layer
from lmkit.training.session import start

OWN = Benchmark("own")
OTHER = Benchmark("Other", Layer("test", {"data": {"name": "faces", "seed": 5, "count": 9}}))


class Told(CampaignCallback):
    """Remembers what it is told, and does something when told of it."""

    def __init__(self, **actions):
        self.heard = []
        self.actions = actions

    def hear(self, *words):
        self.heard.append(words)
        action = self.actions.get("_".join(map(str, words)))
        if action:
            action()

    def began(self, entry, number, count, path):
        self.hear("began", entry.name)

    @contextmanager
    def training(self, entry):
        outer = self

        class Steps(Callback):
            def started(self, *, step, steps):
                outer.hear("train", entry.name, step)

            def progressed(self, step):
                outer.hear("step", entry.name, step)

        yield Steps()

    @contextmanager
    def measuring(self, entry, benchmark):
        self.hear("measure", entry.name, benchmark.name)
        yield lambda done, total: self.hear("measured", entry.name, benchmark.name, done)

    def finished(self, entry):
        self.hear("finished", entry.name)

    def of(self, *kinds):
        return [words for words in self.heard if words[0] in kinds]


@pytest.fixture
def campaign(tiny, registry, tmp_path):
    def make(*benchmarks, names=("a", "b"), sets=()):
        entries = [
            CampaignEntry(name, tiny(f"run.seed={number}", "run.checkpoint_every=1", *sets))
            for number, name in enumerate(names)
        ]
        return Campaign(tmp_path, entries, benchmarks or (OWN,), registry)

    return make


def contents(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_runs_are_trained_and_measured_once(campaign, tmp_path):
    told = Told()
    campaign(OWN, OTHER).check()
    assert not campaign(OWN, OTHER).run(told)
    assert told.of("began", "train", "measure", "finished") == [
        *(("began", "a"), ("train", "a", 0), ("measure", "a", "own"), ("measure", "a", "Other")),
        *(("finished", "a"), ("began", "b"), ("train", "b", 0), ("measure", "b", "own")),
        *(("measure", "b", "Other"), ("finished", "b")),
    ]
    before = contents(tmp_path)
    again = Told()
    campaign(OWN, OTHER).check()
    assert not campaign(OWN, OTHER).run(again)
    assert again.heard == [("began", "a"), ("finished", "a"), ("began", "b"), ("finished", "b")]
    assert contents(tmp_path) == before
    result = campaign(OWN, OTHER).read("a")
    assert result.settings["run"]["seed"] == 0
    assert result.train_images == 20
    assert result.reports["own"]["images"]["test"] == 4
    assert result.reports["Other"]["images"]["fit"] != 20
    place = tmp_path / "a" / "evaluation" / "other"
    assert json.loads((place / "evaluation.json").read_text()) == result.reports["Other"]
    assert (place / "errors.csv").is_file()


def test_another_benchmark_is_measured_without_training_again(campaign):
    campaign(OWN, names=["a"]).run(CampaignCallback())
    assert campaign(OWN, OTHER, names=["a"]).read("a") is None
    told = Told()
    campaign(OWN, OTHER, names=["a"]).run(told)
    assert told.of("train", "measure") == [("measure", "a", "Other")]
    moved = Benchmark("Other", Layer("test", {"data": {"name": "faces", "seed": 6, "count": 9}}))
    told = Told()
    campaign(OWN, moved, names=["a"]).run(told)
    assert told.of("train", "measure") == [("measure", "a", "Other")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_training_saves_and_the_campaign_goes_on(campaign, number):
    told = Told(step_b_2=lambda: os.kill(os.getpid(), number))
    stop = campaign().run(told)
    assert stop.code == (ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED)
    assert told.of("finished") == [("finished", "a")]
    told = Told()
    assert not campaign().run(told)
    assert told.of("train", "measure") == [("train", "b", 2), ("measure", "b", "own")]


def test_a_signal_while_data_is_opened_is_not_lost(campaign):
    told = Told(train_a_0=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert campaign().run(told).code == ExitCode.TERMINATED
    assert told.of("step")[-1] == ("step", "a", 1)
    assert told.of("began") == [("began", "a")]


def test_a_signal_while_measuring_ends_it_and_it_is_measured_again(campaign, tmp_path):
    # Whoever runs the tests may ignore the signal: then that is what has to be put back.
    before = signal.getsignal(signal.SIGINT)
    told = Told(measure_a_own=lambda: os.kill(os.getpid(), signal.SIGINT))
    assert campaign().run(told).code == ExitCode.INTERRUPTED
    assert not told.of("finished")
    assert not (tmp_path / "a" / "evaluation").exists()
    assert signal.getsignal(signal.SIGINT) is before
    told = Told()
    campaign().run(told)
    assert told.of("train", "measure")[0] == ("measure", "a", "own")


def test_what_a_killed_process_left_is_cleared(campaign, tmp_path):
    for name in ("checkpoints", "sheets"):
        (tmp_path / "a" / name).mkdir(parents=True)
    (tmp_path / "a" / "split.json").write_text("{}")
    (tmp_path / "a" / ".run.json.partial").write_text("{")
    campaign(names=["a"]).check()
    campaign(names=["a"]).run(CampaignCallback())
    assert campaign().read("a") is not None
    # An evaluation without its last file does not count.
    (tmp_path / "a" / "evaluation" / "own" / "measured.json").unlink()
    assert campaign().read("a") is None
    told = Told()
    campaign(names=["a"]).run(told)
    assert told.of("train", "measure") == [("measure", "a", "own")]


def test_other_settings_are_refused_before_anything_starts(campaign, tmp_path):
    campaign(names=["a"]).run(CampaignCallback())
    before = contents(tmp_path)
    other = campaign(sets=["run.steps=5", "optimizer.learning_rate=0.5"])
    with pytest.raises(LmkitError) as caught:
        other.check()
    assert caught.value.code == ExitCode.RUN
    assert "optimizer.learning_rate was 0.003 and is to be 0.5" in caught.value.problem
    assert "run.steps was 4 and is to be 5" in caught.value.problem
    assert "another folder with --out" in caught.value.remedy
    # Where and how often it writes is nobody's business.
    campaign(sets=["run.log_every=3", "loading.workers=0"]).check()
    assert contents(tmp_path) == before


def test_a_folder_with_other_things_is_left_alone(campaign, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.tex").write_text("mine")
    with pytest.raises(LmkitError, match="a is not empty and holds no run"):
        campaign().check()
    assert (tmp_path / "a" / "thesis.tex").read_text() == "mine"


def test_data_that_cannot_be_measured_on_is_refused_before_anything_starts(campaign, tmp_path):
    bad = Benchmark("Bad", Layer("test", {"data": {"name": "celeba", "path": "/absent"}}))
    with pytest.raises(LmkitError, match="absent"):
        campaign(OWN, bad).check()
    photos = tmp_path / "photos"
    photos.mkdir()
    from PIL import Image

    for number in range(8):
        Image.new("RGB", (40, 40), (number * 20, 0, 0)).save(photos / f"{number}.png")
    sets = [f"data.name=folder:{photos}"]
    with pytest.raises(LmkitError, match=r"own cannot be measured on: .* no annotated") as caught:
        campaign(sets=sets).check()
    assert caught.value.code == ExitCode.DATA
    assert not (tmp_path / "a").exists()


def test_a_run_that_was_trained_by_hand_is_only_measured(campaign, tiny, tmp_path):
    start(tiny("run.seed=0"), tmp_path / "a")
    told = Told()
    campaign(names=["a"]).check()
    campaign(names=["a"]).run(told)
    assert told.of("train", "measure") == [("measure", "a", "own")]
