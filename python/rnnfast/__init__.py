"""Recurrent networks on CPUs, trained and run: RNN, LSTM and GRU with a vectorised C++ core."""

# First: the engine refuses a sub-interpreter before NumPy is imported into it.
from rnnfast._ops import __version__ as __version__

# isort: split
from rnnfast import data as data
from rnnfast import forecasting as forecasting
from rnnfast import losses as losses
from rnnfast import metrics as metrics
from rnnfast import reference as reference
from rnnfast import schedules as schedules
from rnnfast import text as text
from rnnfast.callbacks import Checkpoint as Checkpoint
from rnnfast.callbacks import EarlyStopping as EarlyStopping
from rnnfast.callbacks import ReduceLROnPlateau as ReduceLROnPlateau
from rnnfast.config import cpu as cpu
from rnnfast.config import get_num_threads as get_num_threads
from rnnfast.config import set_num_threads as set_num_threads
from rnnfast.config import show_config as show_config
from rnnfast.config import threads as threads
from rnnfast.forecasting import Forecaster as Forecaster
from rnnfast.gradcheck import check_gradient as check_gradient
from rnnfast.layers import GRU as GRU
from rnnfast.layers import LSTM as LSTM
from rnnfast.layers import RNN as RNN
from rnnfast.layers import CustomCell as CustomCell
from rnnfast.layers import CustomLayer as CustomLayer
from rnnfast.layers import Dropout as Dropout
from rnnfast.layers import Embedding as Embedding
from rnnfast.layers import Linear as Linear
from rnnfast.loggers import CSVLogger as CSVLogger
from rnnfast.loggers import TensorBoard as TensorBoard
from rnnfast.metrics import Metric as Metric
from rnnfast.models import EncoderDecoder as EncoderDecoder
from rnnfast.models import ManyToMany as ManyToMany
from rnnfast.models import ManyToOne as ManyToOne
from rnnfast.models import OneToMany as OneToMany
from rnnfast.models import load as load
from rnnfast.optim import SGD as SGD
from rnnfast.optim import Adam as Adam
from rnnfast.optim import AdamW as AdamW
from rnnfast.optim import AveragedWeights as AveragedWeights
from rnnfast.optim import NAdam as NAdam
from rnnfast.optim import RMSprop as RMSprop
from rnnfast.optim import clip_grad_norm as clip_grad_norm
from rnnfast.optim import clip_grad_value as clip_grad_value
from rnnfast.params import Parameter as Parameter
from rnnfast.tasks import Task as Task
from rnnfast.train import Callback as Callback
from rnnfast.train import History as History
from rnnfast.train import Run as Run
from rnnfast.training_state import TrainingState as TrainingState
