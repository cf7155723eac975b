"""Fixtures over the engine's registries, what a test may ask of its surroundings, and how tests share a process."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import rnnfast as rf
from rnnfast._core import testing
from tests.support import openmp
from tests.support.comparison import CELLS
from tests.support.matrix import DTYPES, ISAS, THREADS
from tests.support.state import unchanged, using_isa

settings.register_profile(
    "rnnfast",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("rnnfast")

openmp.load_where_wanted()
testing.oversubscribe(True)  # teams of three are tried also where there are two processors


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", metavar="SEED", help="run the files, and the tests of each file, in a random order")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process for each processor, four at most; tests named by their file are done before processes have begun."""
    return min(rf.get_num_threads(), 4) if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_configure(config: pytest.Config) -> None:
    """Processes that run tests side by side share the processors; a test of threads asks for its own number."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    rf.set_num_threads(max(1, rf.get_num_threads() // processes))


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("--shuffle")
    return None if seed is None else f"order: --shuffle={seed}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The tests of a file stay together, because they share what they compute."""
    seed = config.getoption("--shuffle")
    if seed is None:
        return
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    draw, groups = random.Random(seed), list(files.values())
    draw.shuffle(groups)
    for group in groups:
        draw.shuffle(group)
    items[:] = [item for group in groups for item in group]


@pytest.fixture(autouse=True)
def no_trace() -> Iterator[None]:
    """A test that leaves the process's state changed fails, and the next one does not see it.

    The libraries we compare with change two parts of it when they are first used, which may be in any test.
    """
    with unchanged(excused=changed_by_libraries):
        yield


def changed_by_libraries() -> tuple[str, ...]:
    loaded = any(name in sys.modules for name in ("torch", "onnxruntime", "keras", "sklearn", "polars"))
    return ("environment", "warning filters") if loaded else ()


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set this machine has, switched to for the length of a test."""
    with using_isa(request.param):
        yield request.param


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> str:
    """Every cell with its variants."""
    return str(request.param)


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> str:
    """Both precisions."""
    return str(request.param)


@pytest.fixture(params=THREADS)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Numbers of threads, one of them more than a small machine has."""
    with rf.threads(request.param):
        yield int(request.param)


@pytest.fixture(params=["own", "openmp"])
def source(request: pytest.FixtureRequest) -> str:
    """Who brings the engine's threads, a value of ``RNNFAST_THREADS`` for a process of its own."""
    if request.param == "openmp":
        openmp.require()
    return str(request.param)


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Two pools of threads that wait for each other's cores would take most of the time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with rf.threads(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers in every run."""
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data; a test that asks for it is marked ``data``."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RNNFAST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: real data is read from RNNFAST_DATA")
    return folder
