"""Losses: what a head learns by, each with its gradient.

Models take the name, a dict of the name and options, or an object as ``loss=``. In a training loop of your own
``loss, gradient = rf.losses.Huber()(outputs, y)``.

=====================  ======================  ============================================
name                   class                   options
=====================  ======================  ============================================
cross_entropy          ``CrossEntropy``        class_weights, label_smoothing, ignore_index
binary_cross_entropy   ``BinaryCrossEntropy``
mse                    ``MeanSquaredError``
mae                    ``MeanAbsoluteError``
huber                  ``Huber``               delta
log_cosh               ``LogCosh``
quantile               ``Quantile``            quantiles
gaussian               ``Gaussian``
student_t              ``StudentT``
poisson                ``Poisson``
negative_binomial      ``NegativeBinomial``
=====================  ======================  ============================================
"""

from rnnfast.losses.base import FunctionLoss as FunctionLoss
from rnnfast.losses.base import Loss as Loss
from rnnfast.losses.base import as_loss as as_loss
from rnnfast.losses.base import loss_config as loss_config
from rnnfast.losses.base import total_weight as total_weight
from rnnfast.losses.base import without_missing as without_missing
from rnnfast.losses.classes import BinaryCrossEntropy as BinaryCrossEntropy
from rnnfast.losses.classes import CrossEntropy as CrossEntropy
from rnnfast.losses.classes import class_ids as class_ids
from rnnfast.losses.classes import require_labels as require_labels
from rnnfast.losses.likelihoods import Gaussian as Gaussian
from rnnfast.losses.likelihoods import Likelihood as Likelihood
from rnnfast.losses.likelihoods import NegativeBinomial as NegativeBinomial
from rnnfast.losses.likelihoods import Poisson as Poisson
from rnnfast.losses.likelihoods import StudentT as StudentT
from rnnfast.losses.numbers import Huber as Huber
from rnnfast.losses.numbers import LogCosh as LogCosh
from rnnfast.losses.numbers import MeanAbsoluteError as MeanAbsoluteError
from rnnfast.losses.numbers import MeanSquaredError as MeanSquaredError
from rnnfast.losses.numbers import Quantile as Quantile
