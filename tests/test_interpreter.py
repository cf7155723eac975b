"""Other interpreters and the end of this one: sub-interpreters, and daemon threads that outlive the main program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.processes import not_sanitized, output, run

# Runs code in a sub-interpreter of its own and prints the error it ends with, whatever this version calls the module.
SUB_INTERPRETER = """
import importlib, sys, warnings
warnings.simplefilter("ignore")

def module(*names):
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            pass
    print("none")
    sys.exit()

def run_in_another(code):
    sub = module("concurrent.interpreters", "_interpreters", "_xxsubinterpreters")
    path = f"import sys; sys.path[:] = {sys.path!r}\\n"
    try:
        if hasattr(sub, "ExecutionFailed"):
            sub.create().exec(path + code)
            return "no error"
        own = sub.create()
        failed = (sub.exec if hasattr(sub, "exec") else sub.run_string)(own, path + code)
        return "no error" if failed is None else f"{failed.type.__name__}: {failed.msg}"
    except Exception as error:
        return str(error)
"""


def in_another(code: str) -> str:
    printed = output(SUB_INTERPRETER + code, 60)
    if printed == "none":
        pytest.skip("this Python has no module of sub-interpreters")
    return printed


@pytest.mark.parametrize("module", ["rnnfast", "rnnfast._core", "rnnfast.reference"])
@pytest.mark.parametrize("before", ["", "import numpy, rnnfast"], ids=["alone", "beside the main one"])
def test_a_sub_interpreter_is_refused_at_once(module: str, before: str) -> None:
    """The import hung there: the engine's first step waited for a lock that its own thread held."""
    assert "ImportError" in in_another(f"{before}\nprint(run_in_another('import {module}'))")


def test_the_engine_itself_refuses() -> None:
    """It refuses before NumPy is imported, which only warns in a sub-interpreter."""
    code = """
import sys
try:
    import rnnfast
except ImportError as error:
    raise KeyError("numpy" in sys.modules, str(error))
"""
    found = in_another(f"print(run_in_another({code!r}))")
    assert re.search(r"False.*(main interpreter is required|does not support loading in subinterpreters)", found)


def test_the_main_interpreter_works_after_a_refusal() -> None:
    code = """
run_in_another("import rnnfast")
import numpy as np
import rnnfast as rf
print(rf.LSTM(3, 5, seed=0)(np.ones((2, 4, 3), np.float32))[0].shape)
"""
    assert in_another(code) == "(2, 4, 5)"


DAEMONS = """
import sys, threading, warnings
import numpy as np
import rnnfast as rf
warnings.simplefilter("ignore")
rf.set_num_threads(2)
x = np.ones((4, {steps}, 8), np.float32)
small = x[:, :20]
layer = rf.LSTM(8, 32, seed=0)
gru = rf.GRU(8, 32, seed=0)
writer = rf.OneToMany(5, hidden_size=16, seed=0, embedding=4)
classes = np.zeros((4, 20), np.int64)
class Reader(np.ndarray):
    pass

def forward():
    layer(x)

def train():
    y, _, tape = gru.forward(x)
    gru.backward(tape, y)

def fit():
    rf.ManyToMany(8, 2, hidden_size=8, seed=0).fit(small, classes, epochs=1, batch_size=2, progress=False)

def generate():
    writer.generate([1, 2], {steps}, seed=0)

def search():
    writer.generate([1, 2], 50, beams=3)

def stream():
    one = layer.stream(4)
    one.process(x)
    for t in range(x.shape[1]):
        one.step(x[:, t])

def wide_stream():
    one = wide.stream(8)
    for t in range(10):
        one.step(rows)

def converted():
    one = layer.stream(1)
    for t in range(100):
        one.step(list(x[0, 0]))

def lasting():
    wide(many)

wide = rf.LSTM(256, 512, seed=0)
many = np.ones((8, 300, 256), np.float32)
rows = np.ones((8, 256), np.float32)
started = [threading.Event() for _ in range({threads})]

def forever(event, call):
    while True:
        call()
        event.set()

for event in started:
    threading.Thread(target=forever, args=(event, {call}), daemon=True).start()
for event in started:
    event.wait()
print("leaving")
"""
# "lasting": it asks for signals while the interpreter ends.
CALLS = ["forward", "train", "fit", "generate", "search", "stream", "wide_stream", "converted", "lasting"]


@pytest.mark.parametrize("call", CALLS)
def test_daemon_threads_do_not_stop_the_end(call: str) -> None:
    """A thread that asks for the lock of an interpreter that has ended sleeps; unwound, it would abort the process."""
    for threads, steps in ((1, 100), (3, 3000)):
        done = run(DAEMONS.format(call=call, threads=threads, steps=steps))
        assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


@not_sanitized
@pytest.mark.weekly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("call", CALLS)
def test_daemon_threads_many_times(call: str) -> None:
    for steps in (20, 100, 1000) * 20:
        done = run(DAEMONS.format(call=call, threads=3, steps=steps))
        assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_the_lock_is_taken_back_in_one_place() -> None:
    """pybind11's guards end in an abort where the interpreter has ended; ours in cpp/bind/gil.hpp do not."""
    folder = Path(__file__).resolve().parents[1] / "cpp" / "bind"
    if not folder.is_dir():
        pytest.skip("needs the checkout, not only the installed package")
    for path in sorted(folder.iterdir()):
        found = re.findall(r"gil_scoped_\w+|PyEval_\w+|PyGILState_\w+", path.read_text(encoding="utf-8"))
        assert not found or path.name == "gil.hpp", path.name
