"""Every argument of the public interface, given what it cannot be: an error that names it and says what is required."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import rnnfast as rf
from tests.support.argument_cases import BLOCKS, HOSTILE, LAYERS, OTHERS, Case
from tests.support.argument_cases_analysis import ANALYSIS, PICTURES
from tests.support.argument_cases_data import DATA
from tests.support.argument_cases_forecasts import FORECASTS
from tests.support.argument_cases_losses import LOSSES
from tests.support.argument_cases_models import MODELS
from tests.support.argument_cases_rl import RL
from tests.support.argument_cases_training import TRAINING

CASES: dict[str, Case] = {
    **LAYERS,
    **BLOCKS,
    **MODELS,
    **LOSSES,
    **TRAINING,
    **OTHERS,
    **DATA,
    **RL,
    **FORECASTS,
    **ANALYSIS,
    **PICTURES,
}

REFUSALS = (ValueError, TypeError, OverflowError)

# Public names that take nothing of the user's, or what only the package itself makes.
WITHOUT_ARGUMENTS = {
    "metrics",
    "parameters",
    "random_state",
    "state",
    "zero_grad",
    "reset",
    "values",
    "state_dict",
    "summary",
    "step",
    "packed",
    "get_num_threads",
    "show_config",
}
INTERNAL = {
    "batch_loss",
    "batch_weights",
    "end_with",
    "set_random_state",
    "reseed",
    "first_state",
    "set_state",
    "split_outputs",
    "restored",
    "drop_held_grad",
    "better",
    "state_shapes",
    "require_described",
}


def arguments(case: Case) -> tuple[str, ...]:
    return case.signature or tuple(inspect.signature(case.make()).parameters)


def called(case: Case, given: dict[str, Any]) -> Any:
    function, first = case.make(), list[Any]()
    if "x" in given and getattr(function, "__name__", "") == "step":
        first, given = [given["x"]], {k: v for k, v in given.items() if k != "x"}
    return function(*first, **given)


def fault(case: Case, argument: str, key: str) -> str:
    """What is wrong with the answer to a hostile value; nothing where it is accepted, or refused as it should be."""
    accepted = key in case.accepts(argument)
    try:
        called(case, {**case.valid(), argument: HOSTILE[key]})
    except REFUSALS as error:
        message = str(error)
        if accepted:
            return f"{key} is refused: {message}"
        return "" if argument in message and "required" in message else f"{key}: {type(error).__name__}: {message}"
    except FileNotFoundError:
        return "" if argument in ("resume", "source") else f"{key}: no file is read here"
    except Exception as error:
        return f"{key}: {type(error).__name__}: {error}"
    return "" if accepted else f"{key} is accepted"


@pytest.mark.parametrize("name", CASES)
def test_every_argument_has_a_case(name: str) -> None:
    case = CASES[name]
    assert set(case.valid()) | {"tape"} == set(arguments(case)) | {"tape"}
    called(case, case.valid())


@pytest.mark.parametrize(("name", "argument"), [(name, a) for name, case in CASES.items() for a in arguments(case)])
def test_hostile_values_are_refused(name: str, argument: str) -> None:
    found = [fault(CASES[name], argument, key) for key in HOSTILE]
    assert not [line for line in found if line]


def test_every_public_callable_has_a_case() -> None:
    for name in dir(rf):
        item = getattr(rf, name)
        if name.startswith("_") or not callable(item) or name in WITHOUT_ARGUMENTS:
            continue
        if not inspect.isclass(item):
            assert name in CASES or name == "load", name
        elif name not in ("Callback", "CustomCell", "History", "Metric", "Run", "Task", "TrainingState"):
            assert name in CASES
            methods = {n for n in dir(item) if callable(getattr(item, n)) and not n.startswith(("_", "on_"))}
            for method in methods - WITHOUT_ARGUMENTS - INTERNAL - {"save", "load", "to_onnx"}:
                shared = "GRU" if item in (rf.RNN, rf.LSTM) else name
                assert f"{shared}.{method}" in CASES, f"{name}.{method}"


@pytest.mark.parametrize("value", [None, float("nan"), -1, 0, 2**63, object()], ids=lambda value: type(value).__name__)
def test_files_have_paths(value: Any) -> None:
    for call in (rf.load, rf.ManyToOne(2, 2, hidden_size=2).save, rf.Forecaster.load):
        with pytest.raises(TypeError, match=r"^path: a path is required, got"):
            call(value)
