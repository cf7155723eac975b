"""Recurrent networks on CPUs, trained and run: RNN, LSTM and GRU with a vectorised C++ core."""

from rnnfast import reference as reference
from rnnfast._ops import __version__ as __version__
from rnnfast.config import cpu as cpu
from rnnfast.config import get_num_threads as get_num_threads
from rnnfast.config import set_num_threads as set_num_threads
from rnnfast.config import show_config as show_config
from rnnfast.config import threads as threads
from rnnfast.layers import GRU as GRU
from rnnfast.layers import LSTM as LSTM
from rnnfast.layers import RNN as RNN
from rnnfast.params import Parameter as Parameter
