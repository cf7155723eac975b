"""The process around the engine: memory, Ctrl-C, other threads, fork, environment; each in its own process.

No test sleeps. Where two threads must meet, the interpreter's switch interval is so long that a second Python
thread can run only while the first has released the GIL, that is, inside a long call of the engine.
"""

from __future__ import annotations

import os
import textwrap

import pytest

from rnnfast._core import testing
from tests.support.matrix import ISAS, LAYERS
from tests.support.processes import needs_limits, not_sanitized, output, run

LONG_CALL = """
import os, signal, sys, threading, time
import numpy as np
import rnnfast as rf
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell put the tests into the background
rf.set_num_threads(2)
sys.setswitchinterval(1000)
layer = rf.{kind}(64, {hidden}, num_layers=4, seed=0)
x = np.zeros(({rows}, 3000, 64), np.float32)
small = rf.{kind}(3, 5, seed=0)
probe = np.ones((2, 4, 3), np.float32)
expected, _ = small(probe)
before = layer.state_dict()
entering = threading.Event()
"""


@not_sanitized
@needs_limits
@pytest.mark.parametrize("kind", [layer.__name__ for layer in LAYERS.values()])
@pytest.mark.parametrize("call", ["layer(x)", "layer.forward(x)", "layer.backward(*tape)"])
def test_ctrl_c_ends_a_long_call(kind: str, call: str, source: str) -> None:
    """The call would take long; between the signal and KeyboardInterrupt each thread computes under a second."""
    prepare, sizes = "", {"hidden": 768, "rows": 2}
    if "backward" in call:
        prepare, sizes = "y, _, kept = layer.forward(x)\ntape = kept, y\n", {"hidden": 256, "rows": 8}
    code = (
        LONG_CALL.format(kind=kind, **sizes)
        + prepare
        + textwrap.dedent(f"""
        def interrupt():
            global spent
            entering.wait()
            spent = time.process_time()
            os.kill(os.getpid(), signal.SIGINT)

        helper = threading.Thread(target=interrupt)
        helper.start()
        try:
            entering.set()
            {call}
            print("finished")
        except KeyboardInterrupt:
            print("interrupted", time.process_time() - spent < 2)
        helper.join()
        print((small(probe)[0] == expected).all())
        print(all((value == before[name]).all() for name, value in layer.state_dict().items()))
        fresh = rf.{kind}(64, {sizes["hidden"]}, num_layers=4, seed=0)
        layer.zero_grad()
        for one in (layer, fresh):
            _, _, kept = one.forward(np.ones((2, 3, 64), np.float32))
            one.backward(kept, np.ones((2, 3, {sizes["hidden"]}), np.float32))
        print(all((p.grad == q.grad).all() and p.grad.any() for p, q in
                  zip(layer.parameters().values(), fresh.parameters().values())))
        """)
    )
    assert output(code, RNNFAST_THREADS=source).split() == ["interrupted", "True", "True", "True", "True"]


@needs_limits
@pytest.mark.parametrize("kind", [layer.__name__ for layer in LAYERS.values()])
def test_another_thread_runs_during_a_long_call(kind: str) -> None:
    code = LONG_CALL.format(kind=kind, hidden=768, rows=2) + textwrap.dedent("""
        count = 0

        def work():
            global count
            entering.wait()
            for _ in range(10_000):
                count += 1
            other = rf.LSTM(3, 5, seed=0)(probe)[0]
            print(count, returned, np.isfinite(other).all())
            os.kill(os.getpid(), signal.SIGINT)

        returned = False
        helper = threading.Thread(target=work)
        helper.start()
        try:
            entering.set()
            layer(x)
            returned = True
        except KeyboardInterrupt:
            print("interrupted")
        helper.join()
        """)
    assert output(code).split() == ["10000", "False", "True", "interrupted"]


@needs_limits
def test_threads_share_a_layer(source: str) -> None:
    """Calls of one layer from several Python threads at once give each its own result."""
    code = """
    import threading
    import numpy as np
    import rnnfast as rf
    layer = rf.GRU(16, 64, num_layers=2, seed=0)
    xs = [np.random.default_rng(k).normal(size=(4, 50, 16)).astype(np.float32) for k in range(8)]
    expected = [rf.GRU(16, 64, num_layers=2, seed=0)(x)[0] for x in xs]
    same = []

    def work(k):
        for _ in range(20):
            same.append((layer(xs[k])[0] == expected[k]).all())

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    print(len(same), all(same))
    """
    assert output(code, RNNFAST_THREADS=source) == "160 True"


@not_sanitized
@needs_limits
@pytest.mark.parametrize("kind", [layer.__name__ for layer in LAYERS.values()])
def test_memory_runs_out_and_the_process_goes_on(kind: str, source: str) -> None:
    code = f"""
    import resource
    import numpy as np
    import rnnfast as rf
    rf.set_num_threads(2)
    layer = rf.{kind}(8, 64, num_layers=2, seed=0)
    x = np.ones((2, 30, 8), np.float32)
    expected, _ = layer(x)
    y, _, tape = layer.forward(x)
    layer.backward(tape, y)
    grads = {{n: p.grad.copy() for n, p in layer.parameters().items()}}
    long = np.ones((1, 4_000_000, 8), np.float32)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, resource.RLIM_INFINITY))
    for call in (layer, layer.forward):
        try:
            call(long)
            print("no error")
        except MemoryError as error:
            print("MemoryError", end=" ")
    print((layer(x)[0] == expected).all(), end=" ")
    print(all((p.grad == grads[n]).all() for n, p in layer.parameters().items()), end=" ")
    layer.backward(layer.forward(x)[2], y)
    print(all((p.grad == 2 * grads[n]).all() for n, p in layer.parameters().items()))
    """
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc to read the used memory from")
    assert output(code, RNNFAST_THREADS=source) == "MemoryError MemoryError True True True"


@not_sanitized
@needs_limits
@pytest.mark.parametrize("limit_mb", [64, 100, 150, 200, 260, 340])
def test_memory_runs_out_anywhere(limit_mb: int) -> None:
    """Whichever allocation of a call fails, the error is MemoryError and the gradients stay as they were."""
    code = f"""
    import resource
    import numpy as np
    import rnnfast as rf
    rf.set_num_threads(2)
    layer = rf.LSTM(8, 64, num_layers=2, seed=0)
    layer.backward(layer.forward(np.ones((2, 30, 8), np.float32))[2], np.ones((2, 30, 64), np.float32))
    grads = {{n: p.grad.copy() for n, p in layer.parameters().items()}}
    x = np.ones((8, 5_000, 8), np.float32)
    dy = np.ones((8, 5_000, 64), np.float32)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + {limit_mb} * 2**20, resource.RLIM_INFINITY))
    try:
        _, _, tape = layer.forward(x)
        layer.backward(tape, dy)
        print("done")
    except MemoryError:
        print("MemoryError" if all((p.grad == grads[n]).all() for n, p in layer.parameters().items()) else
        "torn")
    """
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc to read the used memory from")
    assert output(code) in ("MemoryError", "done")


@not_sanitized
@needs_limits
@pytest.mark.parametrize("limit_mb", [4, 9, 12, 20])
def test_threads_that_cannot_start(limit_mb: int) -> None:
    """Too little memory for a thread's stack means fewer threads of our own or MemoryError, never the process's end."""
    code = f"""
    import resource
    import numpy as np
    import rnnfast as rf
    from rnnfast._core import testing
    testing.oversubscribe(True)
    rf.set_num_threads(3)
    layer = rf.LSTM(16, 256, seed=0)
    x = np.ones((64, 50, 16), np.float32)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + {limit_mb} * 2**20, resource.RLIM_INFINITY))
    try:
        print(layer(x)[0].shape)
    except MemoryError:
        print("MemoryError")
    """
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc to read the used memory from")
    assert output(code, RNNFAST_THREADS="own") in ("MemoryError", "(64, 50, 256)")


@needs_limits
def test_a_forked_child_computes(source: str) -> None:
    """After the parent has used its threads, a child must neither hang nor differ; nor must a child's child."""
    code = """
    import os, sys, warnings
    warnings.simplefilter("ignore")
    import numpy as np
    import rnnfast as rf
    rf.set_num_threads(2)
    layer = rf.LSTM(16, 256, seed=0)
    x = np.ones((32, 40, 16), np.float32)

    def results():
        y, _, tape = layer.forward(x)
        dx, _ = layer.backward(tape, np.ones_like(y))
        return y, dx

    expected = results()

    def check(depth):
        same = all((a == b).all() for a, b in zip(results(), expected))
        if depth:
            child = os.fork()
            if child == 0:
                os._exit(check(depth - 1))
            _, status = os.waitpid(child, 0)
            same = same and status == 0
        return 0 if same else 1

    print(check(2), check(1))
    """
    assert output(code, RNNFAST_THREADS=source) == "0 0"


@needs_limits
def test_a_pool_of_forked_workers(source: str) -> None:
    code = """
    import multiprocessing, warnings
    warnings.simplefilter("ignore")
    import numpy as np
    import rnnfast as rf

    layer = rf.GRU(8, 128, seed=0)

    def work(k):
        return float(layer(np.full((16, 30, 8), k, np.float32))[0].sum())

    if __name__ == "__main__":
        expected = [work(k) for k in range(6)]
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(work, range(6)) == expected)
    """
    assert output(code, RNNFAST_THREADS=source) == "True"


ISA = "import rnnfast as rf; print(rf.cpu.isa())"


@pytest.mark.parametrize("cap", testing.known_isas())
def test_the_instruction_set_can_be_capped(cap: str) -> None:
    """A cap the machine reaches is what runs; a level above it changes nothing."""
    best = output(ISA)
    assert best in ISAS
    known = testing.known_isas()
    expected = next(isa for isa in known[known.index(cap) :] if isa in ISAS)
    assert output(ISA, RNNFAST_MAX_ISA=cap) == expected


@pytest.mark.parametrize("name", ["avx3", "AVX2 ", "best"])
def test_an_unknown_instruction_set_raises_at_import(name: str) -> None:
    done = run("import rnnfast", RNNFAST_MAX_ISA=name)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    for word in ("RNNFAST_MAX_ISA", *testing.known_isas(), name):
        assert word in message


def test_no_cap_is_an_empty_cap() -> None:
    assert output(ISA, RNNFAST_MAX_ISA="") == output(ISA)


@pytest.mark.parametrize("isa", ISAS)
def test_a_capped_process_computes(isa: str) -> None:
    code = """
    import numpy as np
    import rnnfast as rf
    layer = rf.LSTM(3, 5, seed=0)
    y, _, tape = layer.forward(np.ones((2, 4, 3), np.float32))
    layer.backward(tape, y)
    print(rf.cpu.isa(), y.astype(np.float64).sum() != 0)
    """
    assert output(code, RNNFAST_MAX_ISA=isa) == f"{isa} True"


THREADS = "import rnnfast as rf; print(rf.get_num_threads())"


def test_the_number_of_threads_comes_from_the_environment() -> None:
    assert output(THREADS, RNNFAST_NUM_THREADS="3", OMP_NUM_THREADS="5") == "3"
    assert output(THREADS, OMP_NUM_THREADS="5") == "5"
    assert int(output(THREADS)) >= 1


@pytest.mark.parametrize("value", ["0", "-2", "many", "2.5", "99999999999999999999"])
def test_a_bad_number_of_threads_raises_at_import(value: str) -> None:
    done = run(THREADS, RNNFAST_NUM_THREADS=value)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert "RNNFAST_NUM_THREADS" in message
    assert f"got '{value}'" in message


def test_no_number_of_threads_is_an_empty_one() -> None:
    assert output(THREADS, RNNFAST_NUM_THREADS="") == output(THREADS)


def test_import_brings_only_what_it_needs() -> None:
    """Optional and slow packages wait until they are used; nothing runs at import."""
    code = """
    import sys
    import numpy
    before = set(sys.modules)
    import rnnfast
    top = {name.split(".")[0] for name in set(sys.modules) - before}
    slow = {"torch", "matplotlib", "sklearn", "onnx", "onnxruntime", "keras", "tensorflow", "tqdm",
    "unittest",
            "safetensors", "multiprocessing", "asyncio", "http", "urllib3", "pydoc", "tokenize_rt",
            "hypothesis"}
    print(sorted(top & slow))
    """
    assert output(code) == "[]"


def test_floating_point_state_is_restored(source: str) -> None:
    """Denormals are flushed inside the engine only."""
    code = """
    import numpy as np
    import rnnfast as rf
    rf.set_num_threads(2)
    layer = rf.GRU(4, 64, seed=0)
    y, _, tape = layer.forward(np.ones((8, 50, 4), np.float32))
    layer.backward(tape, y)
    tiny = np.full(4, np.finfo(np.float32).smallest_normal)
    print((tiny / 2 > 0).all(), (np.float64(5e-324) > 0), 5e-324 * 1 > 0)
    """
    assert output(code, RNNFAST_THREADS=source) == "True True True"
