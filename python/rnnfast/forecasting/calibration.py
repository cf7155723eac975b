"""Quantiles that are right in the validation: those of the training are too near, for the network has seen it."""

from __future__ import annotations

import numpy as np

from rnnfast.arrays import Array, Float64
from rnnfast.forecasting.network import Network
from rnnfast.forecasting.windows import Windows
from rnnfast.losses import Quantile

# Windows of the validation below which it says too little: they overlap, and neighbours err alike.
LEAST = 100


def calibrate(network: Network, validation: Windows) -> None:
    """Shift every quantile but the median so that the share of the validation below it is its level.

    Each of H steps has a shift of its own where the network has a bias for each, else all steps have one. It is the
    asymmetric form of conformalised quantile regression (Romano et al. 2019), put into the network's biases. Without
    ``LEAST`` windows, or with another likelihood, nothing is done.

    References
    ----------
    Y. Romano, E. Patterson and E. Candès, "Conformalized quantile regression", NeurIPS (2019).
    """
    loss = network.loss_of_numbers
    if not isinstance(loss, Quantile) or len(validation.origins) < LEAST:
        return
    bias = network.bias
    steps, errors = bias.value.size // loss.width, []
    for batch in validation.batches():
        outputs = network.batch_loss(batch).outputs[""]
        found = loss.rearranged(outputs.reshape(-1, loss.width * steps))
        error = batch.targets[""].reshape(found.shape[:2])[..., None] - found
        if batch.weights is not None:
            error[batch.weights.reshape(found.shape[:2]) == 0] = np.nan
        errors.append(error)
    whole = np.concatenate(errors)
    shifts = np.stack([_quantile(whole[..., p], level) for p, level in enumerate(loss.quantiles)], axis=1)
    shifts[:, np.abs(loss.quantiles - 0.5) < 1e-9] = 0
    bias[...] = bias.value + shifts.ravel().astype(bias.dtype)


def _quantile(errors: Array, level: float) -> Float64:
    """Return a quantile of errors (W, H) of each step, 0 where a step has none."""
    empty = np.isnan(errors).all(axis=0)
    found: Float64 = np.nanquantile(np.where(empty, 0.0, errors), level, axis=0)
    return found
