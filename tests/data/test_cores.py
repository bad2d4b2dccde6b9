"""Cores that this process may not use are not counted."""

import os
from pathlib import Path

import pytest
import torch

from lmkit.data import cores
from lmkit.data.cores import quota, usable_cores
from lmkit.data.workers import workers_for, workers_to_read_all


def proc(folder: Path, groups: str, *mounts: str) -> Path:
    """Make what the kernel says of a process, with its hierarchies mounted in a folder."""
    own = folder / "proc"
    own.mkdir()
    (own / "cgroup").write_text(groups)
    lines = [
        f"31 23 0:28 / {folder}/elsewhere rw - tmpfs tmpfs rw",
        *(line.format(at=folder) for line in mounts),
    ]
    (own / "mountinfo").write_text("\n".join(lines) + "\n")
    return own


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text + "\n")


V2 = "40 31 0:37 / {at}/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw"
V1 = "32 31 0:29 / {at}/cpu rw - cgroup cgroup rw,cpu,cpuacct"


@pytest.mark.parametrize(
    ("own", "above", "share"),
    [
        ("150000 100000", "max 100000", 1.5),
        ("max 100000", "400000 100000", 4.0),
        ("800000 100000", "200000 100000", 2.0),
        ("max 100000", "max 100000", None),
        ("damaged", "", None),
    ],
)
def test_the_quota_of_version_2_and_of_the_groups_above(tmp_path, own, above, share):
    write(tmp_path / "unified" / "slurm" / "job", **{"cpu.max": own})
    write(tmp_path / "unified" / "slurm", **{"cpu.max": above})
    assert quota(proc(tmp_path, "0::/slurm/job\n", V2)) == share


def test_a_container_sees_its_own_group_at_the_mount(tmp_path):
    write(tmp_path / "unified", **{"cpu.max": "250000 100000"})
    mount = "40 31 0:37 /docker/abc {at}/unified rw - cgroup2 cgroup2 rw"
    assert quota(proc(tmp_path, "0::/docker/abc\n", mount)) == 2.5


@pytest.mark.parametrize(("limit", "share"), [("50000", 0.5), ("300000", 3.0), ("-1", None)])
def test_the_quota_of_version_1(tmp_path, limit, share):
    folder = tmp_path / "cpu" / "job"
    write(folder, **{"cpu.cfs_quota_us": limit, "cpu.cfs_period_us": "100000"})
    assert quota(proc(tmp_path, "4:memory:/other\n2:cpu,cpuacct:/job\n", V1)) == share


def test_no_kernel_that_says_so(tmp_path):
    assert quota(tmp_path) is None


@pytest.mark.parametrize(
    ("tied", "share", "count"),
    [(64, None, 64), (3, None, 3), (64, 1.5, 2), (3, 8.0, 3), (64, 0.2, 1)],
)
def test_the_least_of_all_counts(monkeypatch, tied, share, count):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 64, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(tied), raising=False)
    monkeypatch.setattr(cores, "quota", lambda: share)
    assert usable_cores() == count
    assert workers_to_read_all(None, 1000) == min(16, count)


def test_readers_beside_a_gpu_share_the_cores(monkeypatch):
    monkeypatch.setattr("lmkit.data.workers.usable_cores", lambda: 6)
    assert workers_for(None, torch.device("cuda")) == 6
    assert workers_for(None, torch.device("cuda"), 4) == 1
    assert workers_for(None, torch.device("cpu")) == 0
