"""Models: recurrent layers with their inputs, heads and tasks."""

from rnnfast.models.base import Model as Model
from rnnfast.models.base import load as load
from rnnfast.models.encoder_decoder import EncoderDecoder as EncoderDecoder
from rnnfast.models.many_to_many import ManyToMany as ManyToMany
from rnnfast.models.many_to_one import ManyToOne as ManyToOne
from rnnfast.models.one_to_many import OneToMany as OneToMany

MODELS = Model.known
MODELS.update({model.__name__: model for model in (ManyToOne, ManyToMany, EncoderDecoder, OneToMany)})
