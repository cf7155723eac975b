"""Forecasters whose networks the workers of a client train: the bits of a local training, and errors with a name."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnnfast as rf
from rnnfast import checkpoint
from rnnfast.forecasting import fitted, workers
from tests.support.forecasts import STRATEGIES, forecaster, long_frame, seasonal
from tests.support.processes import output

pd: Any = pytest.importorskip("pandas", reason="pandas is not installed")


class Cluster:
    """A client whose workers get and return copies, in arrays that cannot be written; it computes when asked to."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.tasks: list[bytes] = []
        self.returned: list[bytes] = []

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[bytes]:
        return [pickle.dumps((function, item)) for item in items]

    def gather(self, futures: list[bytes]) -> list[Any]:
        return [self._computed(future) for future in futures]

    def _computed(self, future: bytes) -> Any:
        function, item = pickle.loads(future)
        for array in function.args[1].values():
            array.flags.writeable = False
        self.tasks.append(future)
        with rf.threads(3):
            found = pickle.loads(pickle.dumps(function(item)))
            self.threads.append(rf.get_num_threads())
        self.returned.append(found)
        return found


def same(one: rf.Forecaster, other: rf.Forecaster) -> None:
    """Fail unless two forecasters have the same options, bits, histories and forecasts."""
    assert one.options == other.options
    assert one.fitted.scales == other.fitted.scales
    assert [h.history for h in one.histories] == [h.history for h in other.histories]
    for a, b in zip(one.networks, other.networks, strict=True):
        assert list(a.parameters()) == list(b.parameters())
        for mine, yours in zip(a.parameters().values(), b.parameters().values(), strict=True):
            assert mine.dtype == yours.dtype
            assert_array_equal(mine.value, yours.value)
    assert_array_equal(one.predict(num_samples=3), other.predict(num_samples=3))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_workers_train_the_bits_of_a_local_training(strategy: str) -> None:
    index = pd.date_range("2020-01-01", periods=150, freq="W-SAT", tz="Europe/Berlin", name="when")
    series = pd.Series(seasonal(150, gaps=0.1), index, name="flow")
    future = np.random.default_rng(0).normal(size=(153, 2))
    options: dict[str, Any] = {"strategy": strategy, "difference": 2, "calendar": ["month"], "ensemble": 3, "epochs": 3}
    given: dict[str, Any] = {"future": future, "static": [1.0, 2.0], "progress": False}
    model = forecaster(output_dropout=0.2, **options)
    client = Cluster()
    local = model.fit(series, **given)
    same(forecaster(output_dropout=0.2, **options).fit(series, **given, client=client), local)
    assert client.threads == [3, 3, 3]
    for n, data in enumerate(client.returned):
        assert_array_equal(
            checkpoint.from_bytes("data", data)[0]["head.bias"], local.networks[n].state_dict()["head.bias"]
        )


def test_workers_train_a_long_frame() -> None:
    frame = long_frame()
    given: dict[str, Any] = {"past": ["price"], "static": ["size"], "progress": False}
    options: dict[str, Any] = {"window": 4, "horizon": 2, "ensemble": 2, "dtype": "float64", "likelihood": "gaussian"}
    local = forecaster(**options).fit_many(frame, **given)
    with rf.threads(2):
        with ThreadPoolExecutor(2) as client:
            model = forecaster(**options).fit_many(frame, **given, client=client)
        assert rf.get_num_threads() == 2
    same(model, local)
    pd.testing.assert_frame_equal(model.predict(), local.predict())


def test_a_worker_computes_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, begun = [], fitted.begun

    def watched(*args: Any) -> Any:
        seen.append(rf.get_num_threads())
        return begun(*args)

    monkeypatch.setattr(workers, "begun", watched)
    with rf.threads(4):
        forecaster(ensemble=2).fit(seasonal(), progress=False, client=Cluster())
    assert seen == [4, 1, 1]


def test_without_a_seed_networks_differ() -> None:
    """So do the tasks: of two that are equal, Dask computes one."""
    model, found, client = forecaster(seed=None, ensemble=2), list[bytes](), Cluster()
    for _ in range(2):
        model.fit(seasonal(), progress=False, client=client)
        found += [network.state_dict()["head.weight"].tobytes() for network in model.networks]
    assert model.options["seed"] is None
    assert len(set(found)) == len(set(client.tasks)) == 4


def test_processes_train_the_same_bits() -> None:
    local = forecaster(ensemble=2).fit(seasonal(), progress=False)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as client:
        same(forecaster(ensemble=2).fit(seasonal(), progress=False, client=client), local)


def test_an_error_names_the_network() -> None:
    class Failing(Cluster):
        def gather(self, futures: list[bytes]) -> list[Any]:
            if self.returned:
                raise ConnectionError("the worker is gone")
            return super().gather(futures)

    model = forecaster(ensemble=3).fit(seasonal(), progress=False)
    before = model.predict()
    wanted = r"^networks\[1\]: a training without an error is required, got ConnectionError\('the worker is gone'\)"
    with pytest.raises(RuntimeError, match=wanted) as caught:
        model.fit(seasonal(), progress=False, client=Failing())
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert_array_equal(model.predict(), before)
    model = forecaster(ensemble=3, lr=1e38, clip_norm=None, epochs=5, linear=False)
    with ThreadPoolExecutor(1) as client, pytest.raises(RuntimeError, match=r"^networks\[0\].*FloatingPointError"):
        model.fit(seasonal(), progress=False, client=client)


def test_damaged_bytes_are_refused() -> None:
    class Noisy(Cluster):
        def gather(self, futures: list[bytes]) -> list[Any]:
            (data,) = super().gather(futures)
            return [data[:-1] + bytes([data[-1] ^ 1])]

    with pytest.raises(RuntimeError, match=r"^networks\[0\].*an undamaged rnnfast 1 model file required"):
        forecaster().fit(seasonal(), progress=False, client=Noisy())


def test_what_does_not_go_with_a_client_is_refused() -> None:
    with pytest.raises(ValueError, match="callbacks: none are required with a client"):
        forecaster().fit(seasonal(), callbacks=rf.ReduceLROnPlateau(), client=Cluster())
    with pytest.raises(TypeError, match="client: a Client of Dask, an Executor or None is required"):
        forecaster().fit(seasonal(), client=pd.Series([1.0]))
    with pytest.raises(ValueError, match="series"):
        forecaster().fit(np.full(50, np.nan), client=Cluster())


DASK = """
    import json
    import os
    import numpy as np
    import pandas as pd
    from distributed import Client, LocalCluster
    import rnnfast as rf
    from rnnfast._core import testing

    days = pd.date_range("2024-01-01", periods=150, name="ds")
    y = np.random.default_rng(0).normal(size=(3, 150)).cumsum(axis=1)
    frame = pd.concat([pd.DataFrame({"unique_id": n, "ds": days, "y": y[n]}) for n in range(3)])

    def fitted(client):
        options = {"window": 14, "horizon": 3, "hidden_size": 4, "epochs": 2, "calendar": "day_of_week", "dropout": 0.1}
        model = rf.Forecaster(**options, num_layers=2, ensemble=4, seed=0)
        model.fit_many(frame, progress=False, client=client)
        bits = [p.value.tobytes().hex() for network in model.networks for p in network.parameters().values()]
        return bits, [h.history for h in model.histories], model.predict().to_json()

    def want_threads():
        rf.set_num_threads(3)
        testing.oversubscribe(True)
        testing.force_split(True)

    def started():
        # Those that no call before has started, of a call of three threads.
        before = len(os.listdir("/proc/self/task"))
        rf.LSTM(16, 160, seed=0)(np.ones((2, 12, 16), np.float32))
        return len(os.listdir("/proc/self/task")) - before

    if __name__ == "__main__":
        alone = fitted(None)
        one = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
        with LocalCluster(**one) as cluster, Client(cluster) as client:
            client.run(want_threads)
            equal = fitted(client) == alone
            limits = list(client.run(rf.get_num_threads).values())
            print(json.dumps([equal, limits, list(client.run(started).values())]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs Linux's list of threads")
def test_two_workers_of_dask_train_the_same_bits_with_a_thread_each() -> None:
    pytest.importorskip("distributed")
    found = output(DASK, OPENBLAS_NUM_THREADS="1", RNNFAST_THREADS="own")
    assert json.loads(found.splitlines()[-1]) == [True, [3, 3], [2, 2]]
