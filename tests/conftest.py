"""Fixtures over the engine's registries, and what a test may ask of its surroundings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import rnnfast as rf
from rnnfast._core import testing
from tests.comparison import CELLS

settings.register_profile(
    "rnnfast",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("rnnfast")


@pytest.fixture(params=testing.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set this machine has, switched to for the length of a test."""
    before = testing.get_isa()
    testing.set_isa(request.param)
    yield request.param
    testing.set_isa(before)


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> str:
    """Every cell with its variants."""
    return str(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    """Both precisions."""
    return str(request.param)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Numbers of threads, one of them more than a small machine has."""
    with rf.threads(request.param):
        yield int(request.param)


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
