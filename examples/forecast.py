"""Forecast the carbon dioxide above Mauna Loa twelve weeks ahead, from a record with gaps.

The weekly record of ``statsmodels`` (1958 to 2001) lacks 59 weeks, months of them at a time. The network reads two
years, says which weeks it does not know, and knows the time of the year of the weeks ahead. It is fitted to the first
80 % and judged from every later week. The baseline adds the change since a year before to what followed a year before.
The picture needs ``matplotlib``.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from statsmodels.datasets import co2

import rnnfast as rf
from rnnfast import metrics, plot

YEAR, HORIZON = 52, 12  # weeks


def last_year_with_drift(series: Any, origins: Any) -> Any:
    """Return what followed a year before each origin, plus the change of that year; gaps are the last known values."""
    known = series.ffill().to_numpy()
    ahead = origins[:, None] + np.arange(HORIZON)
    return known[ahead - YEAR] + (known[origins - 1] - known[origins - 1 - YEAR])[:, None]


def main(*, short: bool = False, seed: int = 0, picture: str | None = None) -> tuple[float, float]:
    """Return the mean absolute errors of the network and of the baseline, in parts per million."""
    series = co2.load_pandas().data["co2"]
    start = round(0.8 * len(series))
    model = rf.Forecaster(
        window=2 * YEAR,
        horizon=HORIZON,
        calendar="day_of_year",
        difference=YEAR,
        hidden_size=16,
        epochs=2 if short else 30,
        ensemble=1 if short else 3,
        seed=seed,
    )
    model.fit(series[:start])
    found = model.backtest(series, start=start)
    scores = found.scores()["model"]
    print(f"{series.isna().sum()} of {len(series)} weeks are missing; {len(found.origins)} forecasts are judged")
    print(f"80 % intervals hold {scores['coverage_80']:.0%} of the truth, CRPS {scores['crps']:.3f} ppm")
    if picture:
        middle = len(found.origins) // 2
        origin = found.origins[middle]
        fan = {"quantiles": found.quantiles[middle], "levels": found.levels, "actual": found.truth[middle]}
        axes = plot.forecast(series.iloc[origin - YEAR : origin], **fan, label="carbon dioxide (ppm)")
        axes.figure.savefig(picture)
        print("picture:", picture)
    return scores["mae"], metrics.mae(found.truth, last_year_with_drift(series, found.origins))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="train for seconds only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", default="forecast.png", help="file of one forecast with its intervals")
    ours, baseline = main(**vars(parser.parse_args()))
    print(f"mean absolute error {ours:.3f} ppm; last year with drift {baseline:.3f}")
    sys.exit(None if ours < baseline else "the network does not beat its baseline")
