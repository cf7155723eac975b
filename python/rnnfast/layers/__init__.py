"""Layers: recurrent ones, affine maps, embeddings and dropout."""

from rnnfast.layers.call import SingleUseTape as SingleUseTape
from rnnfast.layers.call import State as State
from rnnfast.layers.call import StateLike as StateLike
from rnnfast.layers.call import Tape as Tape
from rnnfast.layers.custom import CustomLayer as CustomLayer
from rnnfast.layers.custom_cell import CustomCell as CustomCell
from rnnfast.layers.dense import Block as Block
from rnnfast.layers.dense import BlockTape as BlockTape
from rnnfast.layers.dense import Dropout as Dropout
from rnnfast.layers.dense import Embedding as Embedding
from rnnfast.layers.dense import Linear as Linear
from rnnfast.layers.gru import GRU as GRU
from rnnfast.layers.lstm import LSTM as LSTM
from rnnfast.layers.recurrent import Recurrent as Recurrent
from rnnfast.layers.rnn import RNN as RNN
from rnnfast.layers.stream import Stream as Stream
from rnnfast.layers.stream import Surroundings as Surroundings
from rnnfast.layers.trace import Trace as Trace
