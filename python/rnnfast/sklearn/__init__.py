"""Estimators of scikit-learn around the models, for data frames, pipelines and searches."""

import threadpoolctl

from rnnfast.sklearn.classifier import SequenceClassifier as SequenceClassifier
from rnnfast.sklearn.regressor import SequenceRegressor as SequenceRegressor
from rnnfast.sklearn.scaler import SequenceScaler as SequenceScaler
from rnnfast.sklearn.tagger import SequenceTagger as SequenceTagger
from rnnfast.sklearn.threads import EngineController

threadpoolctl.register(EngineController)
