"""The specification of rnnfast in NumPy: the equations of every cell and loss, line by line.

Nothing here imports the rest of rnnfast, and nothing here is fast. Every function works in the dtype of its arguments,
``complex128`` included, so that derivatives can be taken by the complex step ``f(x + i s v).imag / s`` (Squire and
Trapp 1998), which has no cancellation and no step size to choose. Names, shapes and gate order of the parameters are
PyTorch's.

>>> import numpy as np
>>> ones = {"weight_ih_l0": np.ones((1, 1)), "weight_hh_l0": np.ones((1, 1))}
>>> y, state, tape = forward("rnn", ones, np.array([[[1.0], [2.0], [3.0]]]), activation="identity")
>>> y[0, :, 0], state[0, 0]
(array([1., 3., 6.]), array([6.]))
>>> dx, dstate, grads = backward(tape, np.array([[[0.0], [0.0], [1.0]]]))
>>> dx[0, :, 0]
array([1., 1., 1.])
"""

from rnnfast.reference.activations import Activation as Activation
from rnnfast.reference.activations import make_activation as make_activation
from rnnfast.reference.activations import sigmoid as sigmoid
from rnnfast.reference.attention import AttentionParams as AttentionParams
from rnnfast.reference.attention import attend as attend
from rnnfast.reference.attention import attend_backward as attend_backward
from rnnfast.reference.attention import attentional as attentional
from rnnfast.reference.base import Cell as Cell
from rnnfast.reference.base import Weights as Weights
from rnnfast.reference.cells import make_cell as make_cell
from rnnfast.reference.heads import binary_cross_entropy as binary_cross_entropy
from rnnfast.reference.heads import embedding as embedding
from rnnfast.reference.heads import embedding_backward as embedding_backward
from rnnfast.reference.heads import linear as linear
from rnnfast.reference.heads import linear_backward as linear_backward
from rnnfast.reference.heads import log_softmax as log_softmax
from rnnfast.reference.heads import mean_squared_error as mean_squared_error
from rnnfast.reference.heads import softmax as softmax
from rnnfast.reference.heads import softmax_cross_entropy as softmax_cross_entropy
from rnnfast.reference.sequence import Tape as Tape
from rnnfast.reference.sequence import backward as backward
from rnnfast.reference.sequence import forward as forward
from rnnfast.reference.transduction import encoder_decoder as encoder_decoder
