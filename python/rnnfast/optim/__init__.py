"""Optimisers with the names, formulas and defaults of PyTorch, clipping of gradients and averages of weights."""

from rnnfast.optim.averaging import AveragedWeights as AveragedWeights
from rnnfast.optim.averaging import as_average as as_average
from rnnfast.optim.clipping import clip_grad_norm as clip_grad_norm
from rnnfast.optim.clipping import clip_grad_value as clip_grad_value
from rnnfast.optim.named import Params as Params
from rnnfast.optim.named import named_params as named_params
from rnnfast.optim.optimizer import Optimizer as Optimizer
from rnnfast.optim.rules import OPTIMIZERS as OPTIMIZERS
from rnnfast.optim.rules import SGD as SGD
from rnnfast.optim.rules import Adam as Adam
from rnnfast.optim.rules import AdamW as AdamW
from rnnfast.optim.rules import LearningRate as LearningRate
from rnnfast.optim.rules import NAdam as NAdam
from rnnfast.optim.rules import RMSprop as RMSprop
from rnnfast.optim.rules import optimizer_for as optimizer_for
