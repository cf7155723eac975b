"""The cases of what prepares data: windows, splits, padding, scaling, readers of tables and made problems."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rnnfast.data import (
    Dataset,
    Scaler,
    bucketed,
    pad,
    read_long,
    read_wide,
    split_by_time,
    split_sequences,
    synthetic,
    windows,
)
from rnnfast.data.tables import Table
from tests.support.argument_cases import Case

SERIES = np.ones((9, 2))
TABLE = Table(
    name="table",
    columns={"who": ["a", "a", "b"], "day": ["1", "2", "3"], "v": ["1", "2", "3"], "y": ["0", "0", "1"]},
    rows=[2, 3, 4],
)
ROLES = {"id": "None", "time": "None", "features": "None", "target": "None", "task": "None", "aligned": "None"}
ROLES |= {"classes": "None", "delimiter": "None"}


def split(data: Any, **options: Any) -> Any:
    return split_sequences(data, **options)


def made(name: str, **valid: Any) -> dict[str, Case]:
    """A maker of problems; sizes of 2^63 are refused, not tried."""
    return {
        f"synthetic.{name}": Case(
            make=lambda: getattr(synthetic, name),
            valid=lambda: {"count": 2, **valid, "seed": 0},
            accepted={"length": "", "fixation": "0", "noise": "0 2**63", "missing": "0"},
        )
    }


SCALING: dict[str, Case] = {
    "Scaler": Case(make=lambda: Scaler, valid=lambda: {"mean": [0.0], "std": [1.0]}, accepted={"mean": "", "std": ""}),
    "Scaler.fit": Case(make=lambda: Scaler.fit, valid=lambda: {"x": np.ones((2, 3, 2)), "lengths": [3, 2]}),
    "Scaler.transform": Case(make=lambda: Scaler.fit(SERIES).transform, valid=lambda: {"x": SERIES}),
    "Scaler.inverse_transform": Case(make=lambda: Scaler.fit(SERIES).inverse_transform, valid=lambda: {"x": SERIES}),
    "Scaler.from_json": Case(make=lambda: Scaler.from_json, valid=lambda: {"text": Scaler.fit(SERIES).to_json()}),
}

DATA: dict[str, Case] = {
    "windows": Case(
        make=lambda: windows,
        valid=lambda: {"series": SERIES, "length": 3, "horizon": 2, "stride": 1, "target": 1},
        accepted={"length": "", "target": "None 0"},
    ),
    "split_by_time": Case(
        make=lambda: split_by_time,
        valid=lambda: {"series": SERIES, "test": 0.5, "gap": 1},
        accepted={"gap": "0"},
    ),
    "split_sequences": Case(
        make=lambda: split,
        valid=lambda: {"data": [1, 2, 3], "test": 0.5, "groups": [0, 1, 1], "shuffle": True, "seed": 0},
        accepted={"groups": "None", "data": "shape"},
        signature=("data", "test", "groups", "shuffle", "seed"),
    ),
    "pad": Case(
        make=lambda: pad,
        valid=lambda: {"sequences": [SERIES, SERIES[:3]], "length": 10, "value": 0.0, "left": False},
        accepted={"length": "None", "sequences": "shape", "value": "nan inf -1 0 2**63"},
    ),
    "bucketed": Case(
        make=lambda: bucketed,
        valid=lambda: {"sequences": [SERIES, SERIES[:3]], "batch_size": 1, "shuffle": True, "seed": 0},
        accepted={"sequences": "shape"},
    ),
    **SCALING,
    "read_long": Case(
        make=lambda: partial(read_long),
        valid=lambda: {
            "source": TABLE,
            "id": "who",
            "time": "day",
            "features": ["v"],
            "target": "y",
            "task": "classification",
            "aligned": True,
            "classes": ["0", "1"],
            "delimiter": ",",
        },
        accepted={**ROLES, "source": ""},
    ),
    "read_wide": Case(
        make=lambda: partial(read_wide),
        valid=lambda: {
            "source": TABLE,
            "id": "who",
            "features": ["v", "day"],
            "target": "y",
            "task": "classification",
            "classes": ["0", "1"],
            "delimiter": ",",
        },
        accepted={**ROLES, "source": ""},
    ),
    **made("adding", length=4),
    **made("copy_memory", delay=4, symbols=3, copied=2),
    **made("parity", length=4),
    **made("cumulative_sum", length=4),
    **made("temporal_order", length=12),
    **made("reber", embedded=True),
    **made("reber_strings", embedded=True),
    **made("two_sines", length=4),
    **made("seasonal_series", length=30, period=12, scales=[1.0, 10.0], missing=0.05),
    **made("perceptual_decision", fixation=1, stimulus=2, decision=1, noise=1.0),
    **made("addition", digits=3),
    **made("dates"),
}


def dataset() -> Dataset:
    return Dataset(x=[SERIES], y=np.array([1]), ids=["a"], features=["b", "c"], classes=["no", "yes"])
