"""Problems that are made, not measured: each names the paper that it comes from.

Every function returns inputs and targets of ``count`` sequences, and is a function of its ``seed``.
"""

from rnnfast.data.synthetic.grammars import REBER_SYMBOLS as REBER_SYMBOLS
from rnnfast.data.synthetic.grammars import reber as reber
from rnnfast.data.synthetic.grammars import reber_strings as reber_strings
from rnnfast.data.synthetic.memory import adding as adding
from rnnfast.data.synthetic.memory import copy_memory as copy_memory
from rnnfast.data.synthetic.memory import cumulative_sum as cumulative_sum
from rnnfast.data.synthetic.memory import parity as parity
from rnnfast.data.synthetic.memory import temporal_order as temporal_order
from rnnfast.data.synthetic.signals import perceptual_decision as perceptual_decision
from rnnfast.data.synthetic.signals import seasonal_series as seasonal_series
from rnnfast.data.synthetic.signals import two_sines as two_sines
from rnnfast.data.synthetic.texts import DATE_STYLES as DATE_STYLES
from rnnfast.data.synthetic.texts import addition as addition
from rnnfast.data.synthetic.texts import dates as dates
