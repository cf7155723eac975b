"""What takes too long for the tests of processes under an MPI: ``python -m tests.support.mpi_runs [--kills 30]``.

Each problem is trained by 1 to 4 processes, by processes of unlike instruction sets and, where the user may make
network namespaces, by two hosts; a process of three is killed at random moments, and two go on with the training.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rnnfast as rf
from bench import launch
from tests.support import mpi
from tests.support.distributed import PROBLEMS, bits, trained
from tests.support.mpi_worker import long_training

LIMIT = 30.0  # seconds within which all processes end after one has died
# Launchers take processes of one host's name for neighbours.
_ENTER = 'ip netns exec "$host" unshare --uts sh -c "hostname $host; $*"'
HOSTS = {"rnnfast-a": "10.77.0.1", "rnnfast-b": "10.77.0.2"}


def check_bits() -> None:
    """Compare every number of processes with this process alone."""
    wanted = {problem: bits(trained(problem, shards=8)) for problem in PROBLEMS}
    for size in (1, 2, 3, 4):
        _same(f"{size} processes", wanted, mpi.run(size, "bits"))
    isas = [isa for isa in rf.cpu.isas() if isa not in ("baseline", "scalar")]
    _same(f"3 processes of {', '.join(isas)}", wanted, mpi.run(3, "bits", WORKER_ISAS=",".join(isas)))


def check_hosts() -> None:
    """Compare two processes on hosts of their own with this process alone."""
    wanted = {problem: bits(trained(problem, shards=8)) for problem in PROBLEMS}
    if not shutil.which("ip") or os.geteuid() != 0:
        print("two hosts: left out, network namespaces need root and ip")
        return
    with _hosts() as options:
        command = mpi.command(2, "bits", options=options)
        _same("two hosts", wanted, _run(command, cwd=launch.ROOT, env=launch.environment()))


def check_failures() -> None:
    """A process that raises ends all, and is named."""
    for what, named in (("raise", "process 1 of 3"), ("full", "process 0 of 3")):
        begin = time.monotonic()
        done = mpi.run(3, what)
        assert done.returncode != 0, done.stdout
        assert named in done.stderr, done.stderr
        print(f"{what}: {named} ended all after {time.monotonic() - begin:.1f} s, with the start")


def check_kills(count: int, seed: int) -> None:
    """Kill a process of three at random moments; two go on from the last checkpoint to the bits of one."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = bits(long_training(Path(folder)))
        begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        _same("three undisturbed", {"": wanted}, mpi.run(3, "long", folder))
    length, rng, slowest, kept = time.monotonic() - begin, random.Random(seed), 0.0, 0
    for _ in range(count):
        with tempfile.TemporaryDirectory() as name:
            folder_of_run, after = Path(name), rng.uniform(0, length)
            slowest = max(slowest, _killed(folder_of_run, rng.randrange(3), after))
            kept += (folder_of_run / "state.safetensors").exists()
            _same("", {"": wanted}, mpi.run(2, "long", name))
    print(f"{count} kills: all processes ended within {slowest:.1f} s; {kept} went on from a checkpoint, to equal bits")


def _killed(folder: Path, rank: int, after: float) -> float:
    """Kill a process some seconds after the start of its training; return how long the others lived on."""
    running = subprocess.Popen(
        mpi.command(3, "long", str(folder)),
        cwd=launch.ROOT,
        env=launch.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(list(folder.glob("pid-*"))) < 3:
        time.sleep(0.01)
    pids = [int((folder / f"pid-{i}").read_text() or "0") for i in range(3)]
    try:
        running.wait(timeout=after)
    except subprocess.TimeoutExpired:
        os.kill(pids[rank], signal.SIGKILL)
    begin = time.monotonic()
    running.wait(timeout=LIMIT)
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() - begin < LIMIT, "a process lives on"
        time.sleep(0.01)
    return time.monotonic() - begin


@contextmanager
def _hosts() -> Iterator[tuple[str, ...]]:
    """Two network namespaces joined by a cable; yield what the launcher needs to start a process in each."""
    (a, at), (b, bt) = HOSTS.items()
    ip = [f"netns add {a}", f"netns add {b}", f"link add {a} netns {a} type veth peer name {b} netns {b}"]
    ip += [f"-n {host} addr add {address}/24 dev {host}" for host, address in HOSTS.items()]
    ip += [f"-n {host} link set {link} up" for host in HOSTS for link in (host, "lo")]
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder) / "agent"
        cases = "".join(f"{address}) host={host};;\n" for host, address in HOSTS.items())
        options = 'while true; do case "$1" in -*) shift;; *) break;; esac; done'
        agent.write_text(f'#!/bin/sh\n{options}\ncase "$1" in\n{cases}esac\nshift\nexec {_ENTER}\n')
        agent.chmod(0o755)
        try:
            for line in ip:
                subprocess.run(["ip", *line.split()], check=True)
            if launch.is_open_mpi():
                yield ("--host", f"{at}:1,{bt}:1", "--prtemca", "plm_ssh_agent", str(agent), "--mca", "btl", "self,tcp")
            else:
                yield ("-launcher", "ssh", "-launcher-exec", str(agent), "-hosts", f"{at}:1,{bt}:1")
        finally:
            for host in HOSTS:
                subprocess.run(["ip", "netns", "del", host], check=False)


def _run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    inside = ["sh", "-c", f"host={next(iter(HOSTS))}; exec {_ENTER}", "sh", *command]
    return subprocess.run(inside, capture_output=True, text=True, timeout=100, check=False, **options)


def _same(what: str, wanted: dict[str, str], done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, f"{what}: {done.stderr}"
    lines = [line.split() for line in done.stdout.splitlines()]
    found = {"": lines[0][0]} if list(wanted) == [""] else {line[0]: line[1] for line in lines}
    assert found == wanted, f"{what}: {found} instead of {wanted}"
    if what:
        print(f"{what}: equal bits {' '.join(sorted({isa for line in lines for isa in line[2:]}))}", flush=True)


def main() -> None:
    """Run all checks with the MPI of this environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(sys.executable, launch.mpiexec(), "Open MPI" if launch.is_open_mpi() else "MPICH", flush=True)
    check_bits()
    check_hosts()
    check_failures()
    check_kills(options.kills, options.seed)


if __name__ == "__main__":
    main()
