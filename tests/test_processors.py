"""The processors a process may use, by affinity and by quotas of control groups, and its instruction sets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import rnnfast as rf
from rnnfast import _ops
from rnnfast._core import testing
from tests.support.processes import needs_limits, output

V2 = "cgroup2 cgroup2 rw"
V1 = "cgroup cgroup rw,cpu,cpuacct"


def tree(root: Path, groups: str, mounts: list[str], files: dict[str, str]) -> int:
    """Make a machine's files below ``root`` and return the processors its groups allow."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    other = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
    (root / "proc/self/mountinfo").write_text(other + "".join(f"30 22 0:26 {mount}\n" for mount in mounts))
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return testing.cgroup_quota(str(root))


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
        ("50000 25000", 2),
        ("6400000 100000\n", 64),
        ("max 100000\n", 0),
        ("", 0),
        ("many\n", 0),
        ("-1 100000\n", 0),
        ("200000\n", 0),
        ("200000 0\n", 0),
        ("nan nan\n", 0),
        ("0 100000\n", 0),
        ("99999999999999999999 1\n", 1 << 20),
    ],
)
def test_version_2(tmp_path: Path, quota: str, expected: int) -> None:
    mounts = [f"/ /sys/fs/cgroup rw shared:9 - {V2}"]
    assert tree(tmp_path, "0::/box\n", mounts, {"sys/fs/cgroup/box/cpu.max": quota}) == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [("200000", "100000", 2), ("1000", "100000", 1), ("-1", "100000", 0), ("x", "100000", 0), ("200000", "", 0)],
)
@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_version_1(tmp_path: Path, quota: str, period: str, expected: int, controllers: str) -> None:
    folder = f"sys/fs/cgroup/{controllers}"
    files = {f"{folder}/docker/7/cpu.cfs_quota_us": quota, f"{folder}/docker/7/cpu.cfs_period_us": period}
    mounts = [
        "/ /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
        f"/ /{folder} rw - cgroup cgroup rw,{controllers}",
    ]
    groups = f"5:cpuset:/other\n4:{controllers}:/docker/7\n0::/init.scope\n"
    assert tree(tmp_path, groups, mounts, files) == expected


def test_the_smallest_quota_on_the_way_up(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup"
    files = {
        f"{folder}/a/b/c/cpu.max": "max 100000\n",
        f"{folder}/a/b/cpu.max": "700000 100000\n",
        f"{folder}/a/cpu.max": "300000 100000\n",
        f"{folder}/cpu.max": "900000 100000\n",
        f"{folder}/a/b/c/d/cpu.max": "100000 100000\n",
        f"{folder}/ab/cpu.max": "100000 100000\n",
    }
    assert tree(tmp_path, "0::/a/b/c\n", [f"/ /{folder} rw - {V2}"], files) == 3


@pytest.mark.parametrize(("version", "group"), [(V2, "0::/docker/7\n"), (V1, "4:cpu,cpuacct:/docker/7\n")])
def test_a_container_that_sees_the_groups_of_its_host(tmp_path: Path, version: str, group: str) -> None:
    """The mount shows the container's own group as its top, while /proc/self/cgroup counts from the host's."""
    files = {
        "sys/fs/cgroup/cpu.max": "400000 100000\n",
        "sys/fs/cgroup/cpu.cfs_quota_us": "400000\n",
        "sys/fs/cgroup/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/docker/7/cpu.max": "100000 100000\n",
    }
    assert tree(tmp_path, group, [f"/docker/7 /sys/fs/cgroup rw - {version}"], files) == 4


@pytest.mark.parametrize("group", ["/../elsewhere", "/docker/77", "relative", ""])
def test_a_group_outside_of_the_mount(tmp_path: Path, group: str) -> None:
    files = {"sys/fs/cgroup/cpu.max": "300000 100000\n", "sys/fs/cgroup/7/cpu.max": "100000 100000\n"}
    assert tree(tmp_path, f"0::{group}\n", [f"/docker/7 /sys/fs/cgroup rw - {V2}"], files) == 3


def test_both_versions_at_once(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "500000\n",
        "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/unified/box/cpu.max": "300000 100000\n",
    }
    mounts = [f"/ /sys/fs/cgroup/cpu rw - {V1}", f"/ /sys/fs/cgroup/unified rw - {V2}"]
    assert tree(tmp_path, "4:cpu,cpuacct:/box\n0::/box\n", mounts, files) == 3


def test_a_mount_with_a_blank_in_its_name(tmp_path: Path) -> None:
    files = {"sys/my groups/box/cpu.max": "300000 100000\n"}
    assert tree(tmp_path, "0::/box\n", [rf"/ /sys/my\040groups rw - {V2}"], files) == 3


@pytest.mark.parametrize(
    ("groups", "mounts"),
    [("", []), ("0::/box\n", []), ("no colons\n:\n::\n", [" - ", "- cgroup2", f" - {V2}"]), ("\0" * 99, ["\0"])],
)
def test_files_that_say_nothing(tmp_path: Path, groups: str, mounts: list[str]) -> None:
    assert tree(tmp_path, groups, mounts, {}) == 0


def test_a_machine_without_control_groups(tmp_path: Path) -> None:
    assert testing.cgroup_quota(str(tmp_path)) == 0


def test_the_default_is_what_the_process_may_use() -> None:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _ops.processor_quota()
    assert quota == testing.cgroup_quota("")
    expected = min(allowed, quota) if quota else allowed
    assert int(output("import rnnfast as rf; print(rf.get_num_threads())")) == expected


@needs_limits
def test_the_default_honours_affinity() -> None:
    code = """
    import os
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import rnnfast as rf
    from rnnfast._core import testing
    rf.set_num_threads(8)
    print(rf.get_num_threads(), testing.num_threads())
    """
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity masks")
    assert output(code) == "8 1"


def test_a_quota_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_ops, "processor_quota", lambda: 2)
    rf.show_config()
    assert f"(of {os.cpu_count()} processors, quota 2)" in capsys.readouterr().out
    monkeypatch.setattr(_ops, "processor_quota", lambda: 0)
    rf.show_config()
    assert f"(of {os.cpu_count()} processors)" in capsys.readouterr().out


def test_no_call_uses_more_threads_than_processors() -> None:
    """A team has a member for each processor at most; results are the same, and tests may ask for more."""
    code = """
    import os
    import numpy as np
    import rnnfast as rf
    from rnnfast._core import testing
    rf.set_num_threads(1)
    few = testing.num_threads()
    layer, x = rf.LSTM(16, 128, seed=0), np.ones((64, 40, 16), np.float32)
    expected = layer(x)[0]
    rf.set_num_threads(1000)
    most = testing.num_threads()
    same = (layer(x)[0] == expected).all()
    started = len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else most
    testing.oversubscribe(True)
    print(few, rf.get_num_threads(), most <= os.cpu_count(), started <= most + 1, same, testing.num_threads())
    """
    assert output(code, OPENBLAS_NUM_THREADS="1") == "1 1000 True True True 1000"


LEVELS = ["avx512", "avx2", "baseline"]


@pytest.mark.parametrize(
    ("available", "cap", "expected"),
    [
        (LEVELS, "", "avx512"),
        (LEVELS, "avx512", "avx512"),
        (LEVELS, "avx2", "avx2"),
        (LEVELS, "neon", "baseline"),
        (LEVELS, "baseline", "baseline"),
        (["avx2", "baseline"], "avx512", "avx2"),
        (["baseline"], "avx512", "baseline"),
        (["neon", "baseline"], "", "neon"),
        (["neon", "baseline"], "avx512", "neon"),
        (["neon", "baseline"], "neon", "neon"),
        (["neon", "baseline"], "baseline", "baseline"),
    ],
)
def test_the_best_level_up_to_a_cap(available: list[str], cap: str, expected: str) -> None:
    assert testing.best_isa(available, cap) == expected


@pytest.mark.parametrize(("available", "cap"), [(["neon"], "baseline"), ([], ""), (LEVELS, "avx3")])
def test_a_cap_that_leaves_nothing(available: list[str], cap: str) -> None:
    with pytest.raises(ValueError, match=f"RNNFAST_MAX_ISA: .* is required, got '{cap}'"):
        testing.best_isa(available, cap)


def test_every_machine_has_the_baseline() -> None:
    assert testing.isas()[-1] == "baseline"
