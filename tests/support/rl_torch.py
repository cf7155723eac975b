"""The actor-critic of an LSTM in PyTorch: a loop over steps that multiplies the state with a mask."""

from __future__ import annotations

from typing import Any

import pytest

from rnnfast.rl import ActorCritic


def leaves(agent: ActorCritic) -> dict[str, Any]:
    """The agent's parameters as tensors that require gradients."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    return {name: torch.tensor(value, requires_grad=True) for name, value in agent.state_dict().items()}


def evaluated(
    agent: ActorCritic, params: dict[str, Any], x: Any, begins: Any, state: Any, actions: Any
) -> tuple[Any, Any, Any]:
    """Log-probabilities, entropies and values (T, N), as functions of ``params``."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tops = []
    for prefix, own in zip(agent.layers, state, strict=True):
        weights = {name: params[f"{prefix}.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        cell = torch.nn.LSTMCell(x.shape[-1], weights["weight_hh"].shape[1], dtype=torch.float64)
        h, c = (torch.tensor(part[0]) for part in own)
        rows = []
        for step, begin in zip(torch.as_tensor(x), begins, strict=True):
            keep = torch.tensor(~begin)[:, None]
            h, c = torch.func.functional_call(cell, weights, (step, (h * keep, c * keep)))
            rows.append(h)
        tops.append(torch.stack(rows))
    outputs = tops[0] @ params["policy.weight"].T + params["policy.bias"]
    values = (tops[-1] @ params["value.weight"].T + params["value.bias"])[..., 0]
    if not agent.gaussian:
        policy = torch.distributions.Categorical(logits=outputs)
    else:
        fixed = "log_std" in params
        mean, log_std = (outputs, params["log_std"]) if fixed else outputs.split(agent.action_size, -1)
        policy = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)
    return policy.log_prob(torch.tensor(actions)), policy.entropy(), values
