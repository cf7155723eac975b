"""Metrics: quantities that are accumulated over all data.

``fit`` and ``evaluate`` take names or objects as ``metrics=``. The names are accuracy, balanced_accuracy,
top_k_accuracy (of 5), f1, f1_macro, f1_micro, f1_weighted, auc, perplexity, edit_distance, mae, rmse and r2.
"""

from rnnfast.metrics.base import JudgingMetric as JudgingMetric
from rnnfast.metrics.base import Mean as Mean
from rnnfast.metrics.base import Metric as Metric
from rnnfast.metrics.classes import AUC as AUC
from rnnfast.metrics.classes import F1 as F1
from rnnfast.metrics.classes import Accuracy as Accuracy
from rnnfast.metrics.classes import BalancedAccuracy as BalancedAccuracy
from rnnfast.metrics.classes import Perplexity as Perplexity
from rnnfast.metrics.classes import TopKAccuracy as TopKAccuracy
from rnnfast.metrics.collection import Metrics as Metrics
from rnnfast.metrics.forecasts import CRPS as CRPS
from rnnfast.metrics.forecasts import MASE as MASE
from rnnfast.metrics.forecasts import coverage as coverage
from rnnfast.metrics.forecasts import crps as crps
from rnnfast.metrics.forecasts import mae as mae
from rnnfast.metrics.forecasts import mase as mase
from rnnfast.metrics.forecasts import naive_error as naive_error
from rnnfast.metrics.forecasts import rmse as rmse
from rnnfast.metrics.numbers import R2 as R2
from rnnfast.metrics.numbers import MeanAbsoluteError as MeanAbsoluteError
from rnnfast.metrics.numbers import RootMeanSquaredError as RootMeanSquaredError
from rnnfast.metrics.sequences import EditDistance as EditDistance
from rnnfast.metrics.sequences import SequenceMetric as SequenceMetric
from rnnfast.metrics.sequences import edit_distance as edit_distance
