"""The engine inside PyTorch: ``accelerate`` for models as they are, modules with more options, and conversions.

Tensors are memory that arrays look at: nothing is copied on the way in or out. PyTorch is imported by this package
alone.
"""

from rnnfast.interop.torch.acceleration import accelerate as accelerate
from rnnfast.interop.torch.acceleration import accelerated as accelerated
from rnnfast.interop.torch.acceleration import is_accelerated as is_accelerated
from rnnfast.interop.torch.acceleration import restore as restore
from rnnfast.interop.torch.conversion import from_torch as from_torch
from rnnfast.interop.torch.conversion import to_torch as to_torch
from rnnfast.interop.torch.frozen import frozen as frozen
from rnnfast.interop.torch.modules import GRU as GRU
from rnnfast.interop.torch.modules import LSTM as LSTM
from rnnfast.interop.torch.modules import RNN as RNN
