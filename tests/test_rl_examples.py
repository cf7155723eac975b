"""The programs in ``examples`` that train recurrent agents run, and learn."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

from tests.support.sources import ROOT

if importlib.util.find_spec("gymnasium"):
    importlib.import_module("gymnasium")  # sets a variable of the environment, which a test may not leave behind

pytestmark = pytest.mark.skipif(not (ROOT / "examples").is_dir(), reason="needs the checkout")


def test_an_agent_learns_to_remember() -> None:
    """Chance earns a third."""
    program = importlib.import_module("examples.a2c_memory")
    assert program.main(steps=40_960, length=1, episodes=48) > 0.9


def test_cartpole_runs() -> None:
    pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    program = importlib.import_module("examples.ppo_cartpole")
    returns = program.main(steps=2048, hidden=8, episodes=4)
    assert len(returns) == 4
    assert all(1 <= each <= 500 for each in returns)


@pytest.mark.slow
def test_cartpole_is_learned() -> None:
    pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    returns = importlib.import_module("examples.ppo_cartpole").main()
    assert sum(returns) / len(returns) >= 450
