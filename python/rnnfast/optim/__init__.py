"""Optimisers with the names, formulas and defaults of PyTorch."""

from rnnfast.optim.base import Optimizer as Optimizer
from rnnfast.optim.base import Params as Params
from rnnfast.optim.base import clip_grad_norm as clip_grad_norm
from rnnfast.optim.base import named_params as named_params
from rnnfast.optim.methods import OPTIMIZERS as OPTIMIZERS
from rnnfast.optim.methods import SGD as SGD
from rnnfast.optim.methods import Adam as Adam
from rnnfast.optim.methods import AdamW as AdamW
from rnnfast.optim.methods import RMSprop as RMSprop
from rnnfast.optim.methods import optimizer_for as optimizer_for
