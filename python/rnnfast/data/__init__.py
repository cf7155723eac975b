"""Sequences of unequal length: conversion, batches, cuts in time."""

from rnnfast.data.batches import AlignedData as AlignedData
from rnnfast.data.batches import Batch as Batch
from rnnfast.data.batches import VectorData as VectorData
from rnnfast.data.order import batch_indices as batch_indices
from rnnfast.data.padding import from_left_padded as from_left_padded
from rnnfast.data.pairs import PairBatch as PairBatch
from rnnfast.data.pairs import PairData as PairData
from rnnfast.data.pairs import framed as framed
from rnnfast.data.sequences import Sequences as Sequences
from rnnfast.data.sequences import as_id_sequences as as_id_sequences
from rnnfast.data.sequences import as_real_sequences as as_real_sequences
from rnnfast.data.sequences import check_finite as check_finite
from rnnfast.data.sequences import check_finite_rows as check_finite_rows
from rnnfast.data.sequences import check_steps as check_steps
from rnnfast.data.sequences import joined as joined
from rnnfast.data.split import check_fraction as check_fraction
from rnnfast.data.split import hold_out as hold_out
from rnnfast.data.steps import step_count as step_count
from rnnfast.data.steps import step_values as step_values
from rnnfast.data.streams import as_one as as_one
from rnnfast.data.streams import as_streams as as_streams
