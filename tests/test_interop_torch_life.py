"""What happens to accelerated modules in programs: copies, files, hooks, optimisers, processes, threads."""

from __future__ import annotations

import copy
import io
import pickle
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import rnnfast as rf

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch import nn  # noqa: E402
from torch.nn.utils import parametrize  # noqa: E402

from rnnfast.interop.torch import accelerate, accelerated, frozen, is_accelerated, packs, restore  # noqa: E402
from tests.support.processes import output  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_torch_thread")]

X = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(0))


def same(a: Any, b: Any) -> bool:
    return bool(torch.equal(a(X)[0], b(X)[0]))


def test_a_module_stays_what_it_is() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 5))
    state, parameters = net.state_dict(), list(net.parameters())
    assert accelerate(net) is net
    assert isinstance(net[1], nn.LSTM)
    assert type(net[1]).__name__ == "LSTM"
    assert repr(net[1]) == "LSTM(4, 5)"
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert list(net.state_dict()) == list(state)
    assert accelerate(net)[1].__class__ is net[1].__class__
    restore(net)
    assert type(net[1]) is nn.LSTM
    with accelerated(net):
        assert is_accelerated(net[1])
        assert not is_accelerated(net[0])
    assert not is_accelerated(net[1])
    accelerate(net)
    with accelerated(net):
        pass
    assert is_accelerated(net[1])


def test_a_block_for_all_modules() -> None:
    net, own = nn.GRU(4, 5), nn.GRU.forward
    expected = net(X)[0]
    with accelerated():
        torch.testing.assert_close(net(X)[0], expected)
        assert id(net.weight_ih_l0) in packs._kept
        with accelerated():
            net(X)
    assert nn.GRU.forward is own


def test_a_block_ends_after_an_error() -> None:
    net = nn.GRU(4, 5)
    with pytest.raises(KeyError), accelerated(net):
        raise KeyError
    assert type(net) is nn.GRU


@pytest.mark.parametrize("call", [accelerate, restore, lambda m: accelerated(m).__enter__()])
def test_what_is_no_module_is_refused(call: Any) -> None:
    with pytest.raises(TypeError, match=r"a torch.nn.Module"):
        call(rf.GRU(3, 4))


def through_file(module: Any) -> Any:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def through_pickle(module: Any) -> Any:
    return pickle.loads(pickle.dumps(module))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, through_pickle, through_file])
def test_copies(copied: Callable[[Any], Any]) -> None:
    net = accelerate(nn.LSTM(4, 5, 2))
    net(X)
    other = copied(net)
    assert is_accelerated(other)
    assert same(net, other)
    if copied is not copy.copy:
        with torch.no_grad():
            other.weight_hh_l1.mul_(2)
        assert not same(net, other)
        assert same(other, restore(copy.deepcopy(other))) or torch.allclose(
            other(X)[0], restore(other)(X)[0], atol=1e-6
        )


def test_states_move_to_plain_modules_and_back() -> None:
    net, plain = accelerate(nn.GRU(4, 5)), nn.GRU(4, 5)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    plain.load_state_dict(torch.load(file))
    torch.testing.assert_close(plain(X)[0], net(X)[0])
    other = accelerate(nn.GRU(4, 5))
    other(X)
    other.load_state_dict(plain.state_dict())
    assert same(net, other)


class Doubled(nn.LSTM):
    """A subclass as users write them."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        y, state = super().forward(input, hx)
        return 2 * y, state


def test_a_user_s_subclass() -> None:
    net = Doubled(4, 5)
    expected = net(X)[0]
    accelerate(net)
    assert isinstance(net, Doubled)
    torch.testing.assert_close(net(X)[0], expected)
    assert id(net.weight_ih_l0) in packs._kept
    assert isinstance(copy.deepcopy(net), Doubled)
    assert type(restore(net)) is Doubled


class Half(nn.Module):
    def forward(self, w: Any) -> Any:
        return w / 2


@pytest.mark.parametrize("first", [True, False])
def test_parametrisations(first: bool) -> None:
    net, peer = nn.GRU(4, 5), nn.GRU(4, 5)
    peer.load_state_dict(net.state_dict())
    if first:
        accelerate(net)
    for each in (net, peer):
        parametrize.register_parametrization(each, "weight_hh_l0", Half())
    if not first:
        accelerate(net)
    for each in (net, peer):
        each(X)[0].sum().backward()
    torch.testing.assert_close(net(X)[0], peer(X)[0])
    for (_, p), (_, q) in zip(net.named_parameters(), peer.named_parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    if first:
        restore(net)
        accelerate(net)
    for each in (net, peer):
        parametrize.remove_parametrizations(each, "weight_hh_l0")
    torch.testing.assert_close(net(X)[0], peer(X)[0])
    assert is_accelerated(net)
    assert type(restore(net)) is nn.GRU


def test_hooks() -> None:
    net, seen = accelerate(nn.GRU(4, 5)), []
    net.register_forward_hook(lambda *_: seen.append("forward"))
    net.register_full_backward_hook(lambda *_: seen.append("backward"))
    net.weight_hh_l0.register_hook(lambda grad: grad * 0)
    x = X.clone().requires_grad_()
    net(x)[0].sum().backward()
    assert seen == ["forward", "backward"]
    assert not net.weight_hh_l0.grad.any()


WRITES: dict[str, Callable[[Any], None]] = {
    "data": lambda p: p.data.add_(0.1),
    "new data": lambda p: setattr(p, "data", p.data + 0.1),
    "numpy": lambda p: p.detach().numpy().__iadd__(0.1),
    "in place": lambda p: p.detach().add_(0.1),
    "one number": lambda p: p.data.view(-1)[-1:].add_(1e-3),
    "transposed": lambda p: setattr(p, "data", (p.data + 0.1).t().contiguous().t() if p.dim() == 2 else p.data + 0.1),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l1"])
def test_weights_are_never_stale(name: str, write: str) -> None:
    net = accelerate(nn.GRU(4, 5, 2))
    with torch.no_grad():
        before = net(X)[0]
        WRITES[write](getattr(net, name))
        after = net(X)[0]
        assert not torch.equal(before, after)
        torch.testing.assert_close(after, restore(net)(X)[0])


def test_a_new_dtype_is_seen() -> None:
    """Zeros are the same bytes in both precisions."""
    net = accelerate(nn.GRU(4, 5))
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net(X)
        assert net.double()(X.double())[0].dtype == torch.float64


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_training_is_torch_s(optimizer: Any, fused: bool) -> None:
    torch.manual_seed(0)
    net = nn.LSTM(4, 5, 2, dtype=torch.float64)
    losses = []
    for each in (net, accelerate(copy.deepcopy(net))):
        steps, chosen = [], optimizer(each.parameters(), lr=1e-2, fused=fused)
        for _ in range(20):
            chosen.zero_grad()
            loss = (each(X.double())[0] - 0.5).square().mean()
            loss.backward()
            chosen.step()
            steps.append(float(loss.detach()))
        losses.append(steps)
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    assert losses[1][-1] < losses[1][0]


def test_frozen_weights() -> None:
    cell = accelerate(nn.LSTMCell(4, 5))
    x = X[0]
    with torch.no_grad():
        expected = cell(x)[0]
        with frozen(cell):
            assert torch.equal(cell(x)[0], expected)
            cell(x)
    with torch.no_grad(), frozen(cell):
        cell(x)
        before = cell.weight_hh.clone()
        cell.weight_hh.add_(1)
        with pytest.raises(RuntimeError, match=r"frozen.*a write"):
            cell(x)
        cell.weight_hh.copy_(before)
    with pytest.raises(RuntimeError, match=r"frozen.*changed"), frozen(cell):
        cell.weight_hh.data.add_(1)
    with torch.no_grad():
        torch.testing.assert_close(cell(x)[0], nn_copy(cell)(x)[0])
        with frozen(cell):
            torch.testing.assert_close(cell(x)[0], nn_copy(cell)(x)[0])
    with frozen(cell):
        cell(x)[0].sum().backward()
    assert cell.weight_hh.grad is not None


def nn_copy(module: Any) -> Any:
    return restore(copy.deepcopy(module))


def test_packs_go_with_their_weights() -> None:
    before = set(packs._kept)
    net = accelerate(nn.GRU(4, 5))
    net(X)
    assert set(packs._kept) - before == {id(net.weight_ih_l0)}
    del net
    assert set(packs._kept) <= before


def test_memory_is_shared() -> None:
    net = accelerate(nn.GRU(4, 5))
    y, _ = net(X)
    assert y.is_contiguous()
    assert y.detach().numpy().base is not None


def test_threads_of_torch_come_and_go() -> None:
    net = accelerate(nn.LSTM(4, 64))
    x, results = torch.randn(50, 32, 4), []
    before = torch.get_num_threads()
    for count in (1, 2, 1, 3, 2):
        torch.set_num_threads(count)
        torch.randn(300, 300) @ torch.randn(300, 300)
        results.append(net(x)[0])
    torch.set_num_threads(before)
    assert all(torch.equal(y, results[0]) for y in results)


def test_threads_share_a_module() -> None:
    net = accelerate(nn.GRU(4, 5))
    expected, results = net(X)[0], []
    threads = [threading.Thread(target=lambda: results.append(net(X)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(y, expected) for y in results)


def test_checkpoints_of_activations() -> None:
    net = accelerate(nn.GRU(4, 5, 2, dropout=0.5))
    gradients = []
    for reentrant in (None, True, False):
        torch.manual_seed(1)
        x = X.clone().requires_grad_()
        if reentrant is None:
            y = net(x)[0]
        else:
            y = torch.utils.checkpoint.checkpoint(lambda x: net(x)[0], x, use_reentrant=reentrant)
        gradients.append(torch.autograd.grad(y.sum(), x)[0] if not reentrant else _backward(y, x))
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])


def _backward(y: Any, x: Any) -> Any:
    y.sum().backward()
    return x.grad


WORKERS = """
import torch
from torch import nn
from rnnfast.interop.torch import accelerate

net = accelerate(nn.GRU(4, 5))
x = torch.randn(6, 4)
expected = net(x)[0].detach()

class Data(torch.utils.data.Dataset):
    def __len__(self): return 4
    def __getitem__(self, i):
        with torch.no_grad(): return net(x)[0]

if __name__ == "__main__":
    found = list(torch.utils.data.DataLoader(Data(), num_workers=2, multiprocessing_context="fork"))
    assert len(found) == 4 and all(torch.equal(y[0], expected) for y in found)
    print("done")
"""

PARALLEL = """
import torch
import torch.distributed as dist
from torch import nn
from rnnfast.interop.torch import accelerate

def work(rank, port, queue):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    found = []
    for fast in (False, True):
        torch.manual_seed(0)
        net = nn.Sequential(nn.LSTM(4, 5, 2, batch_first=True, dtype=torch.float64))
        if fast: accelerate(net)
        net = nn.parallel.DistributedDataParallel(net, gradient_as_bucket_view=True)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        x = torch.randn(6, 7, 4, dtype=torch.float64)[rank::2]
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = (net(x)[0] - 1).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found.append((losses, [p.detach().numpy() for p in net.parameters()]))
    queue.put((rank, found))
    dist.barrier()
    dist.destroy_process_group()

if __name__ == "__main__":
    context = torch.multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=work, args=(r, PORT, queue)) for r in range(2)]
    for p in processes: p.start()
    results = dict(queue.get(timeout=120) for _ in processes)
    for p in processes: p.join()
    import numpy as np
    for rank in (0, 1):
        (own, _), (fast, values) = results[rank]
        np.testing.assert_allclose(fast, own, rtol=1e-10)
        for a, b in zip(values, results[0][1][1], strict=True):
            np.testing.assert_array_equal(a, b)
    print("done")
"""


def test_workers_of_a_data_loader() -> None:
    assert output(WORKERS) == "done"


def test_two_processes() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert output(f"PORT = {port}{PARALLEL}").endswith("done")
