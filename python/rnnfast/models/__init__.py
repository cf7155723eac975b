"""Models: recurrent layers with their inputs, heads and losses."""

from rnnfast.models.encoder_decoder import EncoderDecoder as EncoderDecoder
from rnnfast.models.many_to_many import ManyToMany as ManyToMany
from rnnfast.models.many_to_one import ManyToOne as ManyToOne
from rnnfast.models.one_to_many import OneToMany as OneToMany
from rnnfast.models.registry import MODELS as MODELS
from rnnfast.models.registry import load as load
