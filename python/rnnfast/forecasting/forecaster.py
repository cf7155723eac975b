"""Forecasts of series: a recurrent network with everything that stands around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnfast import checks
from rnnfast.atomic import StrPath
from rnnfast.checks import names_arguments
from rnnfast.copies import CopiedWhole
from rnnfast.describe import changed_options, option_list
from rnnfast.forecasting import frames, options, saving, workers
from rnnfast.forecasting.backtest import Backtest, backtest
from rnnfast.forecasting.fitted import Fitted, fit
from rnnfast.forecasting.network import Network
from rnnfast.forecasting.series import Panel, read_panel
from rnnfast.layers import CustomCell
from rnnfast.train import Callback, History


class Forecaster(CopiedWhole):
    """Forecast series: a recurrent network with scales, differences, covariates, gaps and intervals around it.

    The network reads a window of T steps and forecasts the H steps behind it, of one series or of many (a global
    model). A forecast is ``y = base + centre + scale (W h + V z)``: ``base`` is the last value of the same phase where
    there are differences, centre and scale are the series', h is the network's state and z the window itself, from
    which a linear forecast comes that is fitted by least squares before training.

    Parameters
    ----------
    window : int
        T, the steps that a forecast reads.
    horizon : int
        H, the steps to forecast.
    cell : {"gru", "lstm", "rnn"}, or a CustomCell by its class or name
        The recurrent cell.
    hidden_size : int
        Units of a layer.
    num_layers : int
        Layers of the stack.
    strategy : {"direct", "recursive", "encoder_decoder"}
        "direct": the last state of the window gives all steps. "encoder_decoder": it is the first state of a second
        stack, which reads what is known of each step ahead. "recursive": each step is forecast from the one before it,
        so that paths hang together and go on beyond H; its quantiles are those of paths that are drawn.
    likelihood : {"quantile", "gaussian", "student_t", "negative_binomial"}
        What is learned of each step: quantiles by their pinball loss, or the parameters of a distribution. The last is
        one of counts, which are divided by their mean before the network reads them.
    quantiles : numbers (Q,)
        The levels that are learned, and those that ``backtest`` returns. Others lie between them, see ``predict``.
    scale : bool, "window" or "mean"
        True: every series has mean 0 and deviation 1. "window": every window has. "mean": every series is divided by
        its mean magnitude, so that zero stays zero. False: nothing is done.
    difference : int
        0, or the lag of differences that the network reads: 1, or the steps of a season. Forecasts are then relative to
        the last value, or to that of a season before, and so are their quantiles.
    transform : {"sqrt", "log", "log1p"} or None
        A function of the values under which all else is done; forecasts are transformed back. Quantiles stay quantiles,
        and the mean of a likelihood becomes the median of a skewed distribution.
    calendar : str, or several
        Places within cycles, as sine and cosine, that join the covariates known ahead: "minute", "hour",
        "day_of_week", "day_of_month", "day_of_year", "week_of_year", "month" or "quarter". Series need an index of
        dates.
    linear : bool
        Whether the outputs have the linear forecast of the window beside the network's, from which training starts.
    ridge : float or None
        Its penalty, ``min |Z w - y|^2 + ridge |w|^2`` over all windows. None: of 0.1, 1, 10, ... 10,000 the one that
        does best in the validation, or 1 without one.
    calibrate : bool
        Whether quantiles, but the median, are shifted after training so that they are right in the validation, where
        that has at least 100 windows. Not for other likelihoods.
    ensemble : int
        Networks, which are trained one after the other, or by a client's workers. Points and quantiles are their means.
    epochs : int
        Passes over all windows, at most.
    batch_size : int
        Windows in a step of the optimiser.
    optimizer : {"adam", "adamw", "nadam", "rmsprop", "sgd"}
        The rule of the steps.
    lr : float
        Learning rate.
    clip_norm : float or None
        Largest norm of the gradient; None does not clip.
    validation : float
        Share of each series, its end, whose forecasts are judged after every epoch and not learned from. 0 for none.
    patience : int or None
        Epochs without a better validation after which training ends, with the best parameters. None goes on.
    dropout : float
        Probability that an output of a layer is dropped before the next layer reads it, in training.
    output_dropout : float
        Probability that an element of what the head reads is dropped, in training.
    cell_options : dict or None
        Further options of the layers, see ``rf.GRU``, ``rf.LSTM`` and ``rf.RNN``.
    dtype : {"float32", "float64"}
        Of the network. All else is float64.
    seed : int or None
        Source of everything random; a seed gives the same bits on any number of threads.

    Raises
    ------
    ValueError, TypeError
        An argument outside its range or of another type.

    Notes
    -----
    A series is an array (T,), or a Series of pandas or polars. Several are a list of these, or the columns of an array
    (T, N) or of a frame. NaN is a missing value: it is out of the loss, and the network reads the last known value (of
    the same phase) and that it is not known. Times that an index of pandas lacks are missing, too. Forecasts come in
    the form of the series, and an index goes on.

    References
    ----------
    R. J. Hyndman and G. Athanasopoulos, "Forecasting: principles and practice", 3rd ed. (2021);
    D. Salinas et al., "DeepAR: probabilistic forecasting with autoregressive recurrent networks", Int. J. Forecasting
    36 (2020);
    R. Wen et al., "A multi-horizon quantile recurrent forecaster", arXiv:1711.11053 (2017);
    S. Ben Taieb et al., "A review and comparison of strategies for multi-step ahead time series forecasting", Expert
    Systems with Applications 39 (2012).

    Examples
    --------
    >>> import numpy as np
    >>> import rnnfast as rf
    >>> rng = np.random.default_rng(0)
    >>> t = np.arange(400)
    >>> series = 50 + 10 * np.sin(2 * np.pi * t / 12) + rng.normal(size=400)
    >>> model = rf.Forecaster(window=24, horizon=6, hidden_size=8, epochs=5, seed=0)
    >>> model = model.fit(series[:320], progress=False)
    >>> model.predict().shape, model.predict(quantiles=[0.1, 0.9]).shape, model.predict(num_samples=100).shape
    ((6,), (6, 2), (6, 100))
    >>> scores = model.backtest(series, start=320, season=12).scores()
    >>> scores["model"]["mase"] < scores["seasonal_naive"]["mase"] < scores["naive"]["mase"]
    True
    """

    @names_arguments
    def __init__(
        self,
        *,
        window: int = 24,
        horizon: int = 1,
        cell: str | type[CustomCell] = "gru",
        hidden_size: int = 32,
        num_layers: int = 1,
        strategy: str = "direct",
        likelihood: str = "quantile",
        quantiles: npt.ArrayLike = (0.1, 0.5, 0.9),
        scale: bool | str = True,
        difference: int = 0,
        transform: str | None = None,
        calendar: str | Sequence[str] = (),
        linear: bool = True,
        ridge: float | None = None,
        calibrate: bool = True,
        ensemble: int = 1,
        epochs: int = 30,
        batch_size: int = 64,
        optimizer: str = "adam",
        lr: float = 1e-3,
        clip_norm: float | None = 1.0,
        validation: float = 0.1,
        patience: int | None = 5,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        cell_options: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        self.options = options.checked(locals())
        self._fitted: Fitted | None = None

    @names_arguments
    def fit(
        self,
        series: Any,
        past: Any = None,
        future: Any = None,
        static: Any = None,
        *,
        freq: str | None = None,
        callbacks: Callback | Sequence[Callback] = (),
        progress: bool | None = None,
        client: Any = None,
    ) -> Forecaster:
        """Fit to one series, or to several, which then share one network (a global model).

        Parameters
        ----------
        series : array (T,) or (T, N), Series, DataFrame, or a list of arrays (T_i,) or Series
            One series, or N: the columns of an array or of a frame, or the items of a list. NaN is missing.
        past : array (T,) or (T, P), frame, a list of these by series, or None
            Covariates known up to the last value; all but a list belong to every series.
        future : array (M,) or (M, K), M >= T, frame, a list of these by series, or None
            Covariates known ahead, of the series' steps and further ones; all but a list belong to every series. With
            an index of pandas, covariates are put where their times say.
        static : array (S,), of several series (N, S), or None
            Numbers that do not change.
        freq : str or None
            Frequency of an index of dates, where it has gaps or too few times to see it.
        callbacks : Callback or several of them
            Called at every event of the training.
        progress : bool or None
            Whether to show a bar. None shows one where stderr is a terminal, and in a notebook. A client has none.
        client : distributed.Client, concurrent.futures.Executor or None
            Whose workers train the networks of the ensemble, each with one thread; the result is the same bits. Any
            object with ``map(function, items)`` and ``gather(futures)`` will do. Without callbacks.

        Returns
        -------
        Forecaster
            The object itself.

        Raises
        ------
        ValueError, TypeError
            Series or covariates of other shapes or kinds, too short, infinite, or without values.
        FloatingPointError
            The loss is not finite.
        RuntimeError
            A training by a client's worker failed; the error names its network.

        Notes
        -----
        A series that is shorter than a window and a horizon has one window, whose missing start counts as gaps.
        """
        self._fit(read_panel(series, past, future, static, freq=freq), callbacks, progress, client)
        return self

    @names_arguments
    def fit_many(
        self,
        frame: Any,
        *,
        id: str = "unique_id",
        time: str = "ds",
        value: str = "y",
        past: Sequence[str] = (),
        future: Sequence[str] = (),
        static: Sequence[str] = (),
        freq: str | None = None,
        callbacks: Callback | Sequence[Callback] = (),
        progress: bool | None = None,
        client: Any = None,
    ) -> Forecaster:
        """Fit to the series of a long frame, which has a row for each series and time, as one global model.

        Parameters
        ----------
        frame : DataFrame of pandas or polars
            Its rows are in any order. Times that a series lacks are missing; rows behind its last value hold what is
            known ahead.
        id, time, value : str
            Names of the columns that say which series a row belongs to, when it is, and what the value is.
        past, future, static : sequence of str
            Names of the columns of covariates: known up to the last value, known ahead, and fixed.
        freq : str or None
            Frequency of the times, where they have gaps or are too few to see it.
        callbacks, progress, client
            As in ``fit``.

        Returns
        -------
        Forecaster
            The object itself. ``predict`` returns a long frame; ``backtest`` takes one.

        Raises
        ------
        ValueError, TypeError, FloatingPointError, RuntimeError
            As from ``fit``; columns that are not there.

        Examples
        --------
        >>> import numpy as np
        >>> import pandas as pd
        >>> import rnnfast as rf
        >>> days = pd.date_range("2024-01-01", periods=60, name="ds")
        >>> parts = [pd.DataFrame({"unique_id": n, "ds": days, "y": np.arange(60.0) % 7}) for n in "ab"]
        >>> model = rf.Forecaster(window=14, horizon=2, hidden_size=4, epochs=1, calendar="day_of_week", seed=0)
        >>> found = model.fit_many(pd.concat(parts), progress=False).predict()
        >>> [(row.unique_id, f"{row.ds:%m-%d}") for row in found.itertuples()]
        [('a', '03-01'), ('a', '03-02'), ('b', '03-01'), ('b', '03-02')]
        """
        panel = frames.read_long(
            frame, id=id, time=time, value=value, past=past, future=future, static=static, freq=freq
        )
        self._fit(panel, callbacks, progress, client)
        return self

    def _fit(self, panel: Panel, callbacks: Callback | Sequence[Callback], progress: bool | None, client: Any) -> None:
        if client is None:
            self._fitted = fit(self.options, panel, callbacks, progress)
        else:
            self._fitted = workers.fit(self.options, panel, callbacks, client)

    @names_arguments
    def predict(
        self,
        horizon: int | None = None,
        future: Any = None,
        quantiles: Any = None,
        num_samples: int | None = None,
        *,
        series: Any = None,
        past: Any = None,
        static: Any = None,
        freq: str | None = None,
        seed: int | None = None,
    ) -> Any:
        """Return forecasts of the steps behind the end of the fitted series, or of others.

        Parameters
        ----------
        horizon : int or None
            H, the steps to forecast; None stands for the steps that were trained, which are the most that are possible,
            but with "recursive".
        future : array (H,) or (H, K), frame, a list of these by series, long frame, or None
            Covariates of the steps ahead. None: those that were known at ``fit``. Beside ``series``: of its steps and
            those ahead, as in ``fit``.
        quantiles : numbers (Q,) or None
            Levels within (0, 1) of the quantiles to return instead of points. They never cross. Levels that were not
            learned are interpolated between those that were, linearly in the normal quantiles of the levels; beyond
            the outermost the line goes on.
        num_samples : int or None
            S, the number of paths to draw instead. Steps of a path are drawn one by one; only a "recursive" forecast
            reads what it drew before.
        series, past, static
            Other series to forecast, as in ``fit``; a long frame where ``fit_many`` was given one. They are scaled by
            their own values.
        freq : str or None
            As in ``fit``, for ``series``.
        seed : int or None
            Of what is drawn; None stands for the forecaster's.

        Returns
        -------
        array (H,), of quantiles (H, Q), of samples (H, S); or Series or DataFrame
            Of one series: medians of quantiles, means of a likelihood. Of a list: a list. Of the N columns of an array
            (H, N) or (H, N, Q); of a frame: a frame with these columns. Of a long frame: a long frame.

        Raises
        ------
        RuntimeError
            Before ``fit``.
        ValueError, TypeError
            Arguments outside their ranges; covariates that do not reach to the end.
        """
        fitted, wanted = self.fitted, options.wanted_of(self.options, horizon, quantiles, num_samples)
        if series is None:
            for name, given in (("past", past), ("static", static), ("freq", freq)):
                if given is not None:
                    raise ValueError(f"{name}: None is required without series, got {checks.shown(given)}")
            panel = frames.with_future(fitted.panel, future, wanted.horizon)
        else:
            panel = frames.read_like(fitted.panel, series, past, future, static, freq)
            fitted.check(panel)
        for one in panel.series:
            ahead = len(one.future) - len(one)
            if one.future.shape[1] and ahead < wanted.horizon:
                steps = f"covariates of horizon = {wanted.horizon} steps ahead"
                raise ValueError(f"future: {steps} are required, got {ahead} steps")
        found = fitted.behind(panel, wanted, np.random.default_rng(self._seed(seed)))
        names = None if wanted.paths is None else range(wanted.paths)
        return frames.in_form(panel, found, names if wanted.levels is None else wanted.levels.tolist())

    @names_arguments
    def backtest(
        self,
        series: Any,
        past: Any = None,
        future: Any = None,
        static: Any = None,
        *,
        start: Any = None,
        stride: int = 1,
        horizon: int | None = None,
        quantiles: Any = None,
        season: int | None = None,
        freq: str | None = None,
        seed: int | None = None,
    ) -> Backtest:
        """Return forecasts from every origin of known series, without fitting again, beside what came true.

        A forecast reads nothing behind its origin. Series are scaled by their values before the first one, and all
        origins are computed together.

        Parameters
        ----------
        series, past, future, static, freq
            As in ``fit``, covariates of all steps included; a long frame where ``fit_many`` was given one.
        start : int, float, time or None
            The first origin: the number of steps known before, a share of the series within (0, 1), or the time of the
            first forecast. None: where the first window is complete.
        stride : int
            Steps from one origin to the next. The last origin has H steps behind it.
        horizon : int or None
            H; None stands for the steps that were trained.
        quantiles : numbers (Q,) or None
            Levels; None stands for those of the forecaster.
        season : int or None
            Steps of a season of the seasonal naive forecast and of MASE; None stands for ``difference``, or 1.
        seed : int or None
            Of what is drawn where forecasts are recursive; None stands for the forecaster's.

        Returns
        -------
        Backtest
            ``forecast``, ``truth``, ``quantiles``, and ``scores()`` beside those of naive forecasts.

        Raises
        ------
        RuntimeError
            Before ``fit``.
        ValueError, TypeError
            As from ``predict``; no origin with H steps behind it.
        """
        fitted, levels = self.fitted, self.options["quantiles"] if quantiles is None else quantiles
        wanted, step = options.wanted_of(self.options, horizon, levels), checks.as_size("stride", stride)
        lag = checks.as_size("season", max(self.options["difference"], 1) if season is None else season)
        panel = frames.read_like(fitted.panel, series, past, future, static, freq)
        fitted.check(panel)
        return backtest(fitted, panel, wanted, start, step, lag, self._seed(seed))

    @property
    def fitted(self) -> Fitted:
        """What ``fit`` left; RuntimeError before it."""
        if self._fitted is None:
            raise RuntimeError("Forecaster: fit is required before, or fit_many; got neither")
        return self._fitted

    @property
    def networks(self) -> list[Network]:
        """The trained networks: models with ``parameters``, ``summary`` and the like."""
        return self.fitted.networks

    @property
    def histories(self) -> list[History]:
        """The histories of the trainings, one of each network; none after ``load``."""
        return self.fitted.histories

    def _seed(self, given: int | None) -> int | None:
        seed = checks.as_seed(given)
        return self.options["seed"] if seed is None else seed

    def save(self, path: StrPath) -> None:
        """Write all that was fitted to a safetensors file, completely or not at all: ``Forecaster.load`` reads it.

        Of the series it keeps the ends that ``predict`` reads.

        Parameters
        ----------
        path : str or path
            The file.

        Raises
        ------
        RuntimeError
            Before ``fit``.
        OSError
            The file cannot be written. An older one is whole then.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np
        >>> import rnnfast as rf
        >>> model = rf.Forecaster(window=4, hidden_size=4, epochs=1, seed=0).fit(np.arange(30.0), progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "forecaster.safetensors")
        ...     model.save(path)
        ...     same = rf.Forecaster.load(path)
        >>> bool(same.predict() == model.predict())
        True
        """
        saving.write(path, self.fitted)

    @classmethod
    @names_arguments
    def load(cls, path: StrPath) -> Forecaster:
        """Return the forecaster that ``save`` wrote.

        Parameters
        ----------
        path : str or path
            The file.

        Raises
        ------
        OSError
            The file cannot be read, or is no regular file.
        ValueError
            It is no file of a forecaster, or is damaged.
        """
        found = cls.__new__(cls)
        found._fitted = saving.read(path, lambda config: cls(**config).options)
        found.options = found._fitted.options
        return found

    def __repr__(self) -> str:
        changed = changed_options(type(self), self.options)
        return f"Forecaster({option_list(changed).removeprefix(', ')})"
