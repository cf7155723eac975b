"""How fast accelerated PyTorch modules are beside plain ones: ``python -m bench.interop_torch``.

Every case runs in a process of its own, for 1 and 2 threads. Both contestants take turns; the smallest times count.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

Call = Callable[[], object]
Contestants = dict[str, Call]


def best(contestants: Contestants, seconds: float) -> dict[str, float]:
    """The smallest seconds of a call, of rounds in which contestants take turns for ``seconds`` in all."""
    times = {name: float("inf") for name in contestants}
    for call in contestants.values():
        call()
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        for name, call in contestants.items():
            first = time.perf_counter()
            call()
            times[name] = min(times[name], time.perf_counter() - first)
        rounds += 1
    return times


def pair(module: Any, step: Callable[[Any], object]) -> Contestants:
    """The module plain and accelerated, under the same step."""
    from rnnfast.interop.torch import accelerate

    fast = accelerate(copy.deepcopy(module))
    return {"torch": lambda: step(module), "rnnfast": lambda: step(fast)}


def training(module: Any, *inputs: Any) -> Contestants:
    """Forward, backward and a fused optimiser's step, so that weights change at every call."""
    import torch

    optimizers: dict[int, Any] = {}

    def step(each: Any) -> None:
        if id(each) not in optimizers:
            optimizers[id(each)] = torch.optim.SGD(each.parameters(), lr=1e-6, fused=True)
        optimizers[id(each)].zero_grad()
        y = each(*inputs)[0]
        (y if torch.is_tensor(y) else y.data).square().mean().backward()
        optimizers[id(each)].step()

    return pair(module, step)


def gru() -> Contestants:
    """A training step of a GRU, N = 64, T = 50, C = H = 512."""
    import torch

    return training(torch.nn.GRU(512, 512, batch_first=True), torch.randn(64, 50, 512))


def bidirectional() -> Contestants:
    """A training step of two bidirectional LSTM layers, N = 32, T = 200, H = 64."""
    import torch

    module = torch.nn.LSTM(64, 64, 2, bidirectional=True, batch_first=True)
    return training(module, torch.randn(32, 200, 64))


def packed() -> Contestants:
    """A training step of an LSTM on packed sequences of 10 to 200 steps, N = 32, H = 128."""
    import torch

    sequences = [torch.randn(int(n), 64) for n in torch.linspace(10, 200, 32)]
    given = torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    return training(torch.nn.LSTM(64, 128), given)


def cells() -> Contestants:
    """A hundred steps of an LSTM cell without gradients, N = 8, H = 128."""
    import torch

    from rnnfast.interop.torch import accelerate, frozen

    x = torch.randn(100, 8, 128)

    def loop(each: Any) -> None:
        state = None
        with torch.no_grad():
            for step in x:
                state = each(step, state)

    found = pair(torch.nn.LSTMCell(128, 128), loop)
    cell = accelerate(torch.nn.LSTMCell(128, 128))

    def frozen_loop() -> None:
        with frozen(cell):
            loop(cell)

    return found | {"rnnfast, frozen": frozen_loop}


def ppo() -> Contestants:
    """The update of a recurrent PPO, 8 environments, 128 steps, 2 % resets: a masked loop, and ``resets``."""
    import torch

    from rnnfast.interop.torch import LSTM

    x, state = torch.randn(128, 8, 64), (torch.zeros(1, 8, 256), torch.zeros(1, 8, 256))
    begins = torch.rand(128, 8) < 0.02
    plain, fast = torch.nn.LSTM(64, 256), LSTM(64, 256)

    def loop() -> None:
        h, steps = state, []
        for t in range(128):
            keep = (~begins[t]).float()[None, :, None]
            y, h = plain(x[t : t + 1], (h[0] * keep, h[1] * keep))
            steps.append(y)
        torch.cat(steps).square().mean().backward()

    return {"torch": loop, "rnnfast": lambda: fast(x, state, resets=begins)[0].square().mean().backward()}


def bridge() -> Contestants:
    """Calls so small that the bridge is what is measured: N = T = 1, C = H = 8."""
    import torch

    import rnnfast as rf

    x = torch.randn(1, 1, 8)
    array, layer = x.numpy(), rf.LSTM(8, 8)

    def many(call: Call) -> Call:
        def repeated() -> None:
            for _ in range(100):
                call()

        return repeated

    quiet = pair(torch.nn.LSTM(8, 8, batch_first=True), torch.no_grad()(lambda each: each(x)))
    loud = pair(torch.nn.LSTM(8, 8, batch_first=True), lambda each: each(x)[0].sum().backward())
    found = {f"{name}, no gradient": many(call) for name, call in quiet.items()}
    found |= {f"{name}, gradient": many(call) for name, call in loud.items()}
    return found | {"layer(x)": many(lambda: layer(array))}


CASES: dict[str, Callable[[], Contestants]] = {
    "gru": gru,
    "bidirectional": bidirectional,
    "packed": packed,
    "cells": cells,
    "ppo": ppo,
    "bridge": bridge,
}


def measure(case: str, threads: int, seconds: float) -> dict[str, float]:
    """Times of a case, in this process."""
    import torch

    import rnnfast as rf

    torch.set_num_threads(threads)
    rf.set_num_threads(threads)
    return best(CASES[case](), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(arguments.cases[0], arguments.threads[0], arguments.seconds)))
        return
    for case in arguments.cases:
        print(f"{case}: {CASES[case].__doc__}")
        for threads in arguments.threads:
            options = ["--here", "--threads", str(threads), "--seconds", str(arguments.seconds)]
            command = [sys.executable, "-m", "bench.interop_torch", case, *options]
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            times = json.loads(done.stdout)
            shown = ", ".join(f"{name} {seconds * 1e3:.2f} ms" for name, seconds in times.items())
            ratio = f", {times['torch'] / times['rnnfast']:.2f} times as fast" if "rnnfast" in times else ""
            print(f"  {threads} threads: {shown}{ratio}")


if __name__ == "__main__":
    main()
