"""Forecasts of series: a network with everything that stands around it, judged beside forecasts without a model."""

from rnnfast.forecasting.backtest import Backtest as Backtest
from rnnfast.forecasting.baselines import drift as drift
from rnnfast.forecasting.baselines import naive as naive
from rnnfast.forecasting.baselines import seasonal_naive as seasonal_naive
from rnnfast.forecasting.forecaster import Forecaster as Forecaster
