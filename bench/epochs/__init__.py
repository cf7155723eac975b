"""Whole epochs of training beside the same loop in PyTorch; run ``python -m bench.epochs``.

``problems`` has the data and the settings of both sides, ``ours`` trains by ``fit``, ``theirs`` by a loop as a PyTorch
user writes it, and ``parts`` says what an epoch of ours is made of. Both sides begin with the same weights and read the
same batches in the same order, so that in float64 their losses are equal.
"""
