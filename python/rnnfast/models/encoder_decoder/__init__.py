"""Sequence in, another sequence out: encoder, decoder, attention and the framing of targets."""

from rnnfast.models.encoder_decoder.model import EncoderDecoder as EncoderDecoder
