"""What every model has: parts with parameters, heads and their tasks, the loss and gradient of a batch, a file."""

from __future__ import annotations

import inspect
import json
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, NoReturn, TypeVar

import numpy as np

from rnnfast import checkpoint, checks
from rnnfast.arrays import Array, DType
from rnnfast.atomic import StrPath
from rnnfast.data import AlignedData, BatchSource, VectorData, Weights, class_weighted
from rnnfast.describe import changed_options, option_list, required_arguments
from rnnfast.layers import BlockTape, Dropout, Linear, State
from rnnfast.metadata import Metadata
from rnnfast.metrics import Metric
from rnnfast.models.config import VOCABULARIES, HeadConfig
from rnnfast.models.reporting import Reporting
from rnnfast.outline import outlines
from rnnfast.params import Module, Parameter
from rnnfast.stepping import BatchLoss, Shares
from rnnfast.tasks import Task
from rnnfast.train import History
from rnnfast.training_state import TrainingState, split_tensors

Outputs = Mapping[str, Array]
V = TypeVar("V")
D = TypeVar("D", bound=VectorData | AlignedData | BatchSource)
M = TypeVar("M", bound="Model")

# Layers without parameters that a file may ask for: no tensor in the file shows that they are meant.
BARE_LAYERS = 1000


@dataclass(frozen=True, eq=False)
class HeadsTape:
    """What ``Heads.backward`` needs: the tapes of all parts, and where the rows of h came from."""

    dropout: BlockTape | None
    heads: dict[str, BlockTape]
    target_rows: Array | None
    count: int


class Heads(Module):
    """``outputs = W h + b`` for every head, under dropout of h in training.

    Parameters
    ----------
    heads : dict of str to HeadConfig
        Task, size and loss weight by name; a single head has the name "".
    features : int
        F, the numbers of h.
    dtype : numpy dtype
    rng : numpy.random.Generator
        Draws the initial values.
    dropout : float
        Probability that an element of h is dropped in training; the others are scaled by 1 / (1 - p) (Srivastava et
        al. 2014). All heads read the same h.
    """

    def __init__(
        self,
        heads: Mapping[str, HeadConfig],
        features: int,
        dtype: DType,
        rng: np.random.Generator,
        *,
        dropout: float,
    ) -> None:
        self.configs = dict(heads)
        self.shares = {name: head.loss_weight for name, head in heads.items()}
        self.dtype = dtype
        self.parts = {
            name: Linear(features, head.task.outputs(head.size), dtype=dtype, seed=rng) for name, head in heads.items()
        }
        self.dropout = Dropout(dropout, seed=rng.spawn(1)[0])

    @property
    def prefix(self) -> str:
        """What stands before the parameters' names: head, or heads where there are several."""
        return "head" if list(self.parts) == [""] else "heads"

    def parameters(self) -> dict[str, Parameter]:
        """Return weight and bias, of several heads ``<name>.weight`` and ``<name>.bias``."""
        return {
            f"{head}.{name}" if head else name: p
            for head, part in self.parts.items()
            for name, p in part.parameters().items()
        }

    def random_state(self) -> dict[str, Any]:
        """Return the state of the dropout's random numbers."""
        return self.dropout.random_state()

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Set the state of the dropout's random numbers."""
        self.dropout.set_random_state(state)

    @property
    def is_random(self) -> bool:
        """Whether the dropout acts in training."""
        return self.dropout.is_random

    def reseed(self, rng: np.random.Generator) -> None:
        """Let the dropout be a function of ``rng`` from now on."""
        self.dropout.reseed(rng)

    def infer(self, h: Array, rows: Array | None = None) -> dict[str, Array]:
        """Return the outputs (M, K) of h (R, F) at ``rows`` (M,), or at all."""
        read = h if rows is None else h[rows]
        return {name: part(read) for name, part in self.parts.items()}

    def forward(self, h: Array, rows: Array | None = None) -> tuple[dict[str, Array], HeadsTape]:
        """Return what ``infer`` does, under dropout, and the tape for ``backward``."""
        read = h if rows is None else h[rows]
        dropped = None
        if self.dropout.p:
            read, dropped = self.dropout.forward(read)
        found = {name: part.forward(read) for name, part in self.parts.items()}
        tape = HeadsTape(dropped, {name: tape for name, (_, tape) in found.items()}, rows, len(h))
        return {name: outputs for name, (outputs, _) in found.items()}, tape

    def backward(self, tape: HeadsTape, doutputs: Outputs) -> Array:
        """Add the gradients of all parameters; return that of h (R, F), zero at rows that were not read."""
        each = [part.backward(tape.heads[name], doutputs[name]) for name, part in self.parts.items()]
        dread: Array = sum(each[1:], each[0])
        if tape.dropout is not None:
            dread = self.dropout.backward(tape.dropout, dread)
        if tape.target_rows is None:
            return dread
        dh = np.zeros((tape.count, dread.shape[1]), dread.dtype)
        dh[tape.target_rows] = dread
        return dh

    def loss(
        self, outputs: Outputs, targets: Outputs, weights: Weights
    ) -> tuple[float, dict[str, float], dict[str, float], dict[str, Array]]:
        """Return the weighted sum of the heads' losses, each by itself, their weights, and the outputs' gradients."""
        total, losses, gradients = 0.0, {}, {}
        for name, head in self.configs.items():
            own = weights.get(name) if isinstance(weights, dict) else weights
            loss, gradient = head.task.loss(outputs[name], targets[name], own)
            total += loss * head.loss_weight
            losses[name] = loss
            gradients[name] = gradient if head.loss_weight == 1 else gradient * gradient.dtype.type(head.loss_weight)
        return total, losses, self.totals(targets, weights), gradients

    def totals(self, targets: Outputs, weights: Weights) -> dict[str, float]:
        """Return the number of each head's target elements, or the sum of their weights."""
        return {
            name: head.task.total(targets[name], weights.get(name) if isinstance(weights, dict) else weights)
            for name, head in self.configs.items()
        }

    def decide(self, outputs: Outputs) -> dict[str, Array]:
        """Return the predictions of all heads."""
        return {name: head.task.decide(outputs[name]) for name, head in self.configs.items()}

    def probabilities(self, outputs: Outputs) -> dict[str, Array]:
        """Return the probabilities of all heads that have some; ValueError where none has."""
        able = self._able("predict_proba", "probabilities", lambda task: task.has_probabilities)
        return {name: task.probabilities(outputs[name]) for name, task in able.items()}

    def quantiles(self, outputs: Outputs, levels: Any) -> dict[str, Array]:
        """Return the quantiles of all heads that predict some; ValueError where none does."""
        able = self._able("predict_quantiles", "quantiles", lambda task: task.has_quantiles)
        return {name: task.quantiles(outputs[name], levels) for name, task in able.items()}

    def distributions(self, outputs: Outputs) -> dict[str, dict[str, Array]]:
        """Return the parameters of the distributions of all heads that predict some; ValueError where none does."""
        able = self._able("predict_distribution", "a distribution", lambda task: task.has_distribution)
        return {name: task.distribution(outputs[name]) for name, task in able.items()}

    def _able(self, called: str, wanted: str, has: Callable[[Task], bool]) -> dict[str, Task]:
        """Return the tasks that have what is wanted, or the only one, which says what it lacks."""
        tasks = {name: head.task for name, head in self.configs.items()}
        found = {name: task for name, task in tasks.items() if has(task) or list(tasks) == [""]}
        if not found:
            raise ValueError(f"{called}: a head whose task has {wanted} is required, got none")
        return found

    def side_by_side(self) -> tuple[Array, Array]:
        """Return weight (K, F) and bias (K,) of all heads in one, as a stream reads them."""
        biases = [part.bias.value for part in self.parts.values() if part.bias is not None]
        weights = [part.weight.value for part in self.parts.values()]
        return (weights[0], biases[0]) if len(weights) == 1 else (np.concatenate(weights), np.concatenate(biases))


def by_head(y: Any, heads: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Return what messages call the targets of each head, and the targets.

    Raises
    ------
    TypeError
        Several heads, and y is no dict.
    ValueError
        Several heads, and y has other keys.
    """
    if list(heads) == [""]:
        return {"": ("y", y)}
    if not isinstance(y, Mapping):
        raise TypeError(f"y: a dict with the keys {', '.join(heads)} is required, got {checks.shown(y)}")
    if set(y) != set(heads):
        raise ValueError(f"y: the keys {', '.join(heads)} are required, got {', '.join(map(str, y)) or 'none'}")
    return {name: (f"y[{name!r}]", y[name]) for name in heads}


def only(values: dict[str, V]) -> V | dict[str, V]:
    """Return the value of a single head, or the dict of several."""
    return values[""] if list(values) == [""] else values


class Model(Reporting, Module):
    """A composition of parts with heads at its end.

    A subclass says how outputs come from a batch (``_outputs``) and how gradients go back (``_backward``); it
    offers ``fit`` and the other methods in terms of its own data.

    Attributes
    ----------
    config : dict
        The constructor's arguments.
    history : History
        The history of the last ``fit``, also of one that an exception ended; not saved.
    metadata : dict of str to str
        Kept in the model's file; free for the user (a vocabulary, the names of classes). TypeError for anything else.
    known : dict of str to class
        A class attribute: the models that a file may name.
    later_options : dict
        A class attribute: options that files of earlier versions lack, and the values they stand for.
    """

    known: ClassVar[dict[str, type[Model]]] = {}
    later_options: ClassVar[dict[str, Any]] = {
        "output_dropout": 0.0,
        "outputs": None,
        "loss_weights": None,
        "activity_l2": 0.0,
        **dict.fromkeys(VOCABULARIES),
    }

    def __init__(self, config: dict[str, Any], parts: dict[str, Any], heads: Heads) -> None:
        self.config = config
        self._metadata = Metadata()
        self.history = History()
        self.heads = heads
        self.dtype = np.dtype(config["dtype"])
        self._parts = {**parts, heads.prefix: heads}

    @property
    def head(self) -> Linear:
        """The affine map of a model with one head; AttributeError for several, which are in ``heads.parts``."""
        if list(self.heads.parts) != [""]:
            raise AttributeError(f"head: one head is required, got several ({', '.join(self.heads.parts)}); see heads")
        return self.heads.parts[""]

    @property
    def task(self) -> Task:
        """The task of a model with one head; AttributeError for several."""
        if list(self.heads.parts) != [""]:
            raise AttributeError(f"task: one head is required, got several ({', '.join(self.heads.parts)})")
        return self.heads.configs[""].task

    @property
    def loss_shares(self) -> dict[str, float]:
        """The weight of each head's loss in the sum; a single head has the name ""."""
        return self.heads.shares

    @property
    def tasks(self) -> dict[str, Task]:
        """The task of each head; a single head has the name ""."""
        return {name: head.task for name, head in self.heads.configs.items()}

    @property
    def metadata(self) -> Metadata:
        """What the user wants kept in the model's file."""
        return self._metadata

    @metadata.setter
    def metadata(self, items: Mapping[str, str]) -> None:
        self._metadata = Metadata(items)

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters under their names, ``part.name``."""
        return {
            f"{prefix}.{name}" if prefix else name: p
            for prefix, part in self._parts.items()
            for name, p in part.parameters().items()
        }

    def random_state(self) -> dict[str, Any]:
        """Return the states of all random numbers that training draws, in a form that JSON can hold."""
        return {prefix: part.random_state() for prefix, part in self._parts.items()}

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Set the states that ``random_state`` returned."""
        for prefix, part in self._parts.items():
            part.set_random_state(state.get(prefix, {}))

    @property
    def is_random(self) -> bool:
        """Whether a part draws random numbers in training."""
        return any(part.is_random for part in self._parts.values())

    def reseed(self, rng: np.random.Generator) -> None:
        """Let what all parts draw in training be a function of ``rng`` from now on."""
        for part in self._parts.values():
            part.reseed(rng)

    def metrics(self) -> dict[str, list[Metric]]:
        """Return new accumulators of each head's metrics; a single head has the name ""."""
        return {name: task.metrics() for name, task in self.tasks.items()}

    @abstractmethod
    def _outputs(self, batch: Any, state: State | None, *, keep: bool) -> tuple[dict[str, Array], State | None, Any]:
        """Return the outputs (M, K) of each head, the final state and, if ``keep``, what ``_backward`` needs."""

    @abstractmethod
    def _backward(self, tape: Any, doutputs: dict[str, Array]) -> None:
        """Add the gradients of all parameters, given those of the outputs (M, K)."""

    def batch_weights(self, batch: Any) -> dict[str, float]:
        """Return the number of each head's target elements in a batch, or the sum of their weights."""
        return self.heads.totals(batch.targets, batch.weights)

    def batch_loss(
        self,
        batch: Any,
        state: State | None = None,
        *,
        gradient: bool = False,
        shares: Shares | None = None,
    ) -> BatchLoss:
        """Return the loss of a batch; with ``gradient``, use dropout and add the parameters' gradients.

        ``shares`` multiply the gradients of the heads' losses and of penalties. A batch without any target only moves
        the state on.
        """
        keep = gradient and batch.count > 0
        outputs, last, tape = self._outputs(batch, state, keep=keep)
        loss, losses, weights, doutputs = self.heads.loss(outputs, batch.targets, batch.weights)
        if keep:
            if shares is not None:
                doutputs = {name: d * d.dtype.type(shares.heads[name]) for name, d in doutputs.items()}
            for part in tape.backbones:
                loss += part.penalty
                if shares is not None and part.dpenalty is not None:
                    part.dpenalty *= part.dpenalty.dtype.type(shares.sequences)
            self._backward(tape, doutputs)
        return BatchLoss(loss=loss, losses=losses, weights=weights, outputs=outputs, state=last)

    def _class_weighted(self, data: D, given: Any) -> D:
        """Return data with the weights of their classes, which users call ``class_weight``."""
        heads = {name: (task, self.heads.parts[name].output_size) for name, task in self.tasks.items()}
        return class_weighted(data, heads, self.dtype, given)

    def _no_outputs(self) -> Array:
        """Return outputs (0, K) of a single head, of which a task says at once whether it has what is asked for."""
        return np.zeros((0, self.head.output_size), self.dtype)

    def _all_outputs(self, data: Any, *, training: bool = False) -> dict[str, Array]:
        """Return the outputs of all batches, one below the other, of each head; those of a ``training`` are random."""
        found = [self._outputs(batch, None, keep=training)[0] for batch in data.batches()]
        if not found:
            sizes = {name: part.output_size for name, part in self.heads.parts.items()}
            return {name: np.zeros((0, size), self.dtype) for name, size in sizes.items()}
        return {name: np.concatenate([outputs[name] for outputs in found]) for name in self.heads.parts}

    def __repr__(self) -> str:
        constructor = self._known_class() or type(self)
        given = {name: value for name, value in self.config.items() if value != {}}
        sizes = {name: value for name, value in given.items() if name in required_arguments(constructor)}
        changed = changed_options(constructor, given)
        untitled = {n: v for n, v in (sizes | changed).items() if n not in ("cell", "task", "dtype")}
        return f"<{self._title()}{option_list(untitled)}>"

    def _known_class(self) -> type[Model] | None:
        """Return the class that a file names: the model's own, or the one that it is a subclass of."""
        return next((kept for kept in type(self).__mro__ if self.known.get(kept.__name__) is kept), None)

    def _title(self) -> str:
        task = ", ".join(f"{name}: {task.title}" if name else task.title for name, task in self.tasks.items())
        return f"{type(self).__name__}: cell={self.config['cell']}, task={task}, dtype={self.dtype}"

    def split_outputs(self, outputs: Array) -> dict[str, Array]:
        """Return the outputs (..., K) of each head by its name, of all heads side by side, as a stream returns them.

        Examples
        --------
        >>> import numpy as np
        >>> import rnnfast as rf
        >>> model = rf.ManyToMany(3, outputs={"policy": 2, "value": 1}, hidden_size=4, seed=0)
        >>> outputs = model.stream().step(np.zeros(3))
        >>> {name: values.shape for name, values in model.split_outputs(outputs).items()}
        {'policy': (2,), 'value': (1,)}
        """
        sizes = [part.output_size for part in self.heads.parts.values()]
        parts = np.split(outputs, np.cumsum(sizes)[:-1], axis=-1)
        return dict(zip(self.heads.parts, parts, strict=True))

    def summary(self) -> str:
        """Return a table of the parameters.

        Examples
        --------
        >>> import rnnfast as rf
        >>> print(rf.ManyToOne(3, 2, cell="rnn", hidden_size=4).summary())
        ManyToOne: cell=rnn, task=classification, dtype=float32
        rnn.weight_ih_l0  (4, 3)  12
        rnn.weight_hh_l0  (4, 4)  16
        rnn.bias_ih_l0    (4,)     4
        rnn.bias_hh_l0    (4,)     4
        head.weight       (2, 4)   8
        head.bias         (2,)     2
        46 parameters, 184 bytes
        """
        params = self.parameters()
        rows = [(name, str(p.shape), f"{p.value.size:,}") for name, p in params.items()]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        total = sum(p.value.size for p in params.values())
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        last = f"{total:,} parameters, {total * self.dtype.itemsize:,} bytes"
        return "\n".join([self._title(), *lines, last])

    def save(self, path: StrPath, *, training: TrainingState | None = None) -> None:
        """Write parameters, configuration and metadata to a safetensors file, completely or not at all.

        An existing file keeps its permissions, and a link stays a link. The file of a subclass of a model names the
        model, which is what ``rf.load`` returns: methods and attributes of the subclass are not part of a file.

        Parameters
        ----------
        path : str or path
            The file.
        training : TrainingState or None
            The state of a training, which the file then keeps beside the model: ``fit(resume=path)`` goes on from it,
            and ``rf.load`` leaves it out.

        Raises
        ------
        OSError
            The file cannot be written, or ``path`` is a folder, a device or a FIFO. An older file is whole then.
        ValueError
            ``rf.load`` would refuse the file: the configuration does not describe the parameters, such as those that
            a subclass adds; or configuration and metadata have more than 16 MB of text.
        TypeError
            The loss is a function, which no file can keep.
        """
        cls = self._known_class()
        if cls is None:
            known = ", ".join(self.known)
            raise TypeError(f"model: {known} or a subclass of one is required, got {type(self).__name__}")
        if not isinstance(training, TrainingState | None):
            raise TypeError(f"training: a TrainingState or None is required, got {checks.shown(training)}")
        tensors = self.state_dict()
        cls.require_described(self.config, tensors)
        saved = {"class": cls.__name__, "config": self.config, "metadata": self.metadata}
        if training is not None:
            beside, saved["training"] = training.beside(tensors)
            tensors |= beside
        checkpoint.write(path, tensors, saved)

    def to_onnx(self, path: StrPath, *, lengths: bool = False) -> list[str]:
        """Write the model to an ONNX file, or to two.

        ``ManyToOne`` and ``ManyToMany`` are a graph from ``x``, (N, T, C) or int64 ids (N, T), to ``outputs``, the
        numbers before the decision, to ``prediction``, what ``predict`` returns and, where the task has them, to
        ``probabilities``. With several heads each name begins with its head's, as ``policy_outputs``.

        A model that writes becomes one step: ``x`` (N, C) or ids (N,) and ``initial_h`` (L, N, H), for an LSTM also
        ``initial_c``, lead to the same outputs and to ``h`` and ``c``, from which the next step starts. A
        ``OneToMany`` with a context has a second file, ``<name>.context.onnx``, from ``context`` (N, K) to the first
        ``h`` and ``c``. An ``EncoderDecoder`` is ``<name>.encoder.onnx``, from ``x`` to ``h``, ``c`` and, with
        attention, ``memory`` and ``keys``, which the step in ``<name>.decoder.onnx`` takes as inputs.

        Parameters
        ----------
        path : str or path
            The file; an older one is replaced as a whole.
        lengths : bool
            Whether graphs that read sequences have an input ``lengths``, int32 (N,); past a length outputs have no
            meaning. With attention the step then has the same input, the lengths of the sources.

        Returns
        -------
        list of str
            The paths of the files.

        Raises
        ------
        ImportError
            The package onnx is not installed.
        ValueError
            ONNX cannot express an option of the layers, see ``rf.RNN.to_onnx``, a custom cell or a task of your own;
            or a model that writes has a learned initial state.
        OSError
            A file cannot be written.
        """
        saved: list[str] = import_module("rnnfast.interop.onnx").to_onnx(self, path, lengths=lengths)
        return saved

    @classmethod
    def restored(cls: type[M], config: dict[str, Any], metadata: dict[str, Any], tensors: Mapping[str, Array]) -> M:
        """Build a model from what ``save`` wrote; any contradiction raises before memory is claimed."""
        options = inspect.signature(cls).parameters
        config = {name: value for name, value in cls.later_options.items() if name in options} | config
        kept = Metadata({name: str(value) for name, value in metadata.items()})
        with checks.no_warnings():  # those of the constructor came when the model was made
            cls.require_described(config, tensors)
            model = cls(**config)
        model.load_state_dict(tensors)
        model.metadata = kept
        return model

    @classmethod
    def require_described(cls, config: dict[str, Any], tensors: Mapping[str, Array]) -> None:
        """Raise ValueError unless the configuration is that of a model with parameters like ``tensors``.

        The model is only outlined, so that a size without a tensor of that size claims no memory.
        """
        with outlines(layers=len(tensors) + BARE_LAYERS):
            model = cls(**config)
        if _text(model.config) != _text(config):
            raise ValueError(f"config: {str(model.config)[:2000]} is required, got {str(config)[:2000]}")
        expected = model.parameters()
        if expected.keys() != tensors.keys():
            missing, unexpected = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
            raise ValueError(
                f"parameters: those that config describes are required, got {unexpected[:5]} instead of {missing[:5]}"
            )
        for name, p in expected.items():
            if 0 in p.shape:
                raise ValueError(f"{name}: at least one element is required, got shape {p.shape}")
            if (tensors[name].shape, tensors[name].dtype) != (p.shape, p.dtype):
                wanted, got = f"{p.shape} of {p.dtype}", f"{tensors[name].shape} of {tensors[name].dtype}"
                raise ValueError(f"{name}: shape {wanted} is required, as config describes it, got {got}")


def load(path: StrPath) -> Any:
    """Return the model that ``save`` wrote to ``path``.

    Raises
    ------
    OSError
        The file cannot be read, or is no regular file.
    ValueError
        It is no model file, or is damaged.

    Examples
    --------
    >>> import os, tempfile
    >>> import rnnfast as rf
    >>> model = rf.ManyToOne(3, 2, hidden_size=4, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     same = rf.load(path)
    >>> bool((same.head.weight.value == model.head.weight.value).all())
    True
    """
    tensors, saved = checkpoint.read(path)
    if saved.get("class") == "TrainingState":
        raise ValueError(f"{os.fsdecode(path)}: a model file is required, got a state, which TrainingState.read reads")
    if saved.get("class") == "Forecaster":
        raise ValueError(f"{os.fsdecode(path)}: a model file is required, got one that Forecaster.load reads")
    try:
        cls = Model.known[saved["class"]]
        own = split_tensors(tensors)[0] if "training" in saved else tensors
        return cls.restored(saved["config"], saved["metadata"], own)
    except MemoryError:
        raise
    except Exception as error:
        got = f"{error!r:.2000}"
        raise ValueError(f"{os.fsdecode(path)}: a file of a known model required, got {got}") from error


def _text(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True, default=_refuse)


def _refuse(loss: Any) -> NoReturn:
    wanted = "a loss that a file can name is required (a subclass of rf.losses.Loss with a name)"
    raise TypeError(f"loss: {wanted}, got {checks.shown(getattr(loss, 'function', loss))}")
