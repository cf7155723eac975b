"""Accelerated modules on the inputs, and the wrong inputs, by which PyTorch tests its own modules."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
database = pytest.importorskip("torch.testing._internal.common_modules", reason="PyTorch's tests need expecttest")
from torch import nn  # noqa: E402

from rnnfast.interop.torch import accelerate  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
    pytest.mark.filterwarnings("ignore:dropout option adds dropout"),
]

KINDS = (nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell)
INFOS: dict[str, Any] = {info.name: info for info in database.module_db if info.module_cls in KINDS}


def tensors_of(result: Any) -> list[Any]:
    if torch.is_tensor(result):
        return [result]
    if isinstance(result, nn.utils.rnn.PackedSequence):
        return [result.data]
    return [t for part in result or () for t in tensors_of(part)]


def samples(name: str, dtype: str, *, wrong: bool = False) -> list[Any]:
    info = INFOS[name]
    make = info.module_error_inputs_func if wrong else info.module_inputs_func
    options = {"device": "cpu", "dtype": getattr(torch, dtype), "requires_grad": True, "training": True}
    return list(make(info, **options))


def module_of(name: str, sample: Any, dtype: str) -> Any:
    made = sample.constructor_input
    return INFOS[name].module_cls(*made.args, **{"dtype": getattr(torch, dtype)} | made.kwargs)


def test_all_kinds_are_there() -> None:
    assert len(INFOS) == len(KINDS)


@pytest.mark.parametrize("name", INFOS)
def test_inputs(name: str, dtype: str) -> None:
    bound = 5e-5 if dtype == "float32" else 1e-10
    for sample in samples(name, dtype):
        module = module_of(name, sample, dtype)
        given = sample.forward_input
        results = []
        for each in (module, accelerate(copy.deepcopy(module))):
            outputs = tensors_of(each(*given.args, **given.kwargs))
            wanted = [t for t in tensors_of([*given.args, *given.kwargs.values()]) if t.requires_grad]
            loss = sum(y.square().sum() for y in outputs)
            gradients = torch.autograd.grad(loss, [*wanted, *each.parameters()], allow_unused=True)
            results.append([*outputs, *gradients])
        for expected, actual in zip(*results, strict=True):
            assert (expected is None) == (actual is None)
            if expected is not None:
                scale = max(1.0, float(expected.detach().abs().max()))
                torch.testing.assert_close(actual / scale, expected / scale, rtol=bound, atol=bound)


@pytest.mark.parametrize("name", INFOS)
def test_wrong_inputs(name: str, dtype: str) -> None:
    found = samples(name, dtype, wrong=True) if INFOS[name].module_error_inputs_func else []
    for sample in found:
        given = sample.module_error_input
        if given.forward_input is None:
            with pytest.raises(sample.error_type, match=sample.error_regex):
                module_of(name, given, dtype)
            continue
        module = accelerate(module_of(name, given, dtype))
        with pytest.raises(sample.error_type, match=sample.error_regex):
            module(*given.forward_input.args, **given.forward_input.kwargs)
