"""A recurrent policy and its value: it acts step by step, and learns from whole sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rnnfast import checkpoint, checks
from rnnfast.arrays import Array
from rnnfast.atomic import StrPath
from rnnfast.checks import names_arguments
from rnnfast.copies import CopiedWhole
from rnnfast.layers import BlockTape, Linear, State, Stream, Tape
from rnnfast.models.config import CELLS, checked_cell_options, make_layer
from rnnfast.params import Module, Parameter
from rnnfast.rl.advantages import as_flags, shaped
from rnnfast.rl.policies import Categorical, Gaussian, Policy

AgentState: TypeAlias = tuple[State, ...]
"""The states of the actor's layers and, where it has its own, of the critic's."""

LARGEST_SEED = 2**63
FIRST_POLICY_SCALE = 0.01  # the first policy is nearly the same for all observations (Andrychowicz et al. 2021)


@dataclass(frozen=True, eq=False)
class Decision(CopiedWhole):
    """What ``ActorCritic.act`` returns for one step of N environments.

    Attributes
    ----------
    actions : int64 array (N,), or array (N, D) of a Gaussian policy
    log_probs : array (N,)
    values : array (N,)
        Of the observations before the step.
    """

    actions: Array
    log_probs: Array
    values: Array


@dataclass(frozen=True, eq=False)
class Evaluation(CopiedWhole):
    """What ``ActorCritic.evaluate`` returns for T steps of N environments.

    Attributes
    ----------
    log_probs : array (T, N)
        Of the actions that were given.
    entropies : array (T, N)
    values : array (T, N)
    state : AgentState
        After the last step.
    """

    log_probs: Array
    entropies: Array
    values: Array
    state: AgentState


@dataclass(frozen=True, eq=False)
class AgentTape:
    """What ``ActorCritic.backward`` needs."""

    layers: tuple[Tape, ...]
    policy_head: BlockTape
    value_head: BlockTape
    policy: Policy
    actions: Array


class ActorCritic(Module):
    """A policy and a value that remember: recurrent layers, read by two affine heads.

    ``policy(t) = P(W_p h(t) + b_p)`` and ``V(t) = W_v h(t) + b_v``, where h is that of the same layers or, unless
    ``shared``, of two stacks. Episodes begin where ``begins`` is True: the state of that environment then is the
    initial one. First policies hardly depend on observations: W_p is drawn a hundred times smaller than by ``Linear``.

    Parameters
    ----------
    observation_size : int
        C, the numbers of an observation.
    action_size : int
        K, the number of actions; of a Gaussian policy D, the numbers of an action.
    policy : {"categorical", "gaussian"}
        One of K actions, or D independent normal numbers.
    predict_std : bool
        Whether the head of a Gaussian policy also returns the logarithms of the standard deviations. By default they
        are a parameter ``log_std``, the same for all observations and 0 at first.
    cell : {"lstm", "gru", "rnn"}
        The recurrent cell.
    hidden_size : int
        Units H of a layer.
    num_layers : int
        Layers L of a stack.
    shared : bool
        Whether policy and value read the same layers.
    cell_options : dict or None
        Further options of the layers, as ``{"layer_norm": True}``; see ``rf.RNN``, ``rf.LSTM`` and ``rf.GRU``. Nothing
        random acts here: dropout and noise are left out.
    dtype : {"float32", "float64"}
        Dtype of the parameters; observations are converted to it.
    seed : int or None
        Source of the initial parameters, of actions and of the order of minibatches. None draws other ones every time.

    Attributes
    ----------
    config : dict
        The constructor's arguments.
    rng : numpy.random.Generator
        Draws actions and minibatches.

    Raises
    ------
    ValueError, TypeError
        An argument outside its range or of another type.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnfast.rl import ActorCritic
    >>> agent = ActorCritic(3, 2, cell="gru", hidden_size=8, seed=0)
    >>> decision = agent.act(np.zeros((4, 3)), begins=np.ones(4, bool))
    >>> decision.actions.shape, decision.values.shape
    ((4,), (4,))
    """

    @names_arguments
    def __init__(
        self,
        observation_size: int,
        action_size: int,
        *,
        policy: str = "categorical",
        predict_std: bool = False,
        cell: str = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        shared: bool = True,
        cell_options: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        self.observation_size = checks.as_size("observation_size", observation_size)
        self.action_size = checks.as_size("action_size", action_size)
        self.gaussian = checks.as_choice("policy", policy, ("categorical", "gaussian")) == "gaussian"
        if checks.as_flag("predict_std", predict_std) and not self.gaussian:
            raise ValueError("predict_std: False is required of a categorical policy, got True")
        self.dtype, self.shared = checks.as_dtype(dtype), checks.as_flag("shared", shared)
        cell = checks.as_choice("cell", cell, CELLS)
        options = checked_cell_options({"cell": cell, "cell_options": cell_options})
        sizes: dict[str, int] = {"hidden_size": hidden_size, "num_layers": num_layers}
        self.config: dict[str, Any] = {
            "observation_size": self.observation_size, "action_size": self.action_size, "policy": policy,
            "predict_std": bool(predict_std), "cell": cell, **sizes, "shared": self.shared, "cell_options": options,
            "dtype": self.dtype.name, "seed": checks.as_seed(seed),
        }  # fmt: skip
        self.rng = np.random.default_rng(seed)
        self.layers = _layers(self.config, self.rng)
        features = next(iter(self.layers.values())).output_size
        outputs = self.action_size * (2 if predict_std else 1)
        self.policy_head = Linear(features, outputs, dtype=self.dtype, seed=self.rng)
        self.policy_head.weight.assign(self.policy_head.weight.value * FIRST_POLICY_SCALE)
        self.value_head = Linear(features, 1, dtype=self.dtype, seed=self.rng)
        fixed = self.gaussian and not predict_std
        self.log_std = Parameter(np.zeros(self.action_size, self.dtype)) if fixed else None
        self._streams: tuple[Stream, ...] = ()
        self._versions: tuple[int, ...] = ()
        self._resting: AgentState | None = None

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters: of the layers ``rnn.*``, or ``actor.*`` and ``critic.*``, and of both heads."""
        parts = {**self.layers, "policy": self.policy_head, "value": self.value_head}
        named = {f"{prefix}.{name}": p for prefix, part in parts.items() for name, p in part.parameters().items()}
        return named if self.log_std is None else {**named, "log_std": self.log_std}

    def random_state(self) -> dict[str, Any]:
        """Return the state of the generator of actions and minibatches."""
        return {"rng": self.rng.bit_generator.state}

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Set the state of the generator."""
        self.rng.bit_generator.state = state["rng"]

    @property
    def state(self) -> AgentState | None:
        """A copy of the states of all environments, each (L, N, H), after the last ``act``; None before the first.

        Setting it replaces them.
        """
        return tuple(s.state for s in self._streams) if self._streams else _copied(self._resting)

    @state.setter
    def state(self, state: AgentState | None) -> None:
        self._require_state(state)
        self._streams, self._resting = (), _copied(state)

    def act(self, observation: npt.ArrayLike, begins: npt.ArrayLike, *, greedy: bool = False) -> Decision:
        """Take one step of N environments, whose states are kept for the next one.

        Parameters
        ----------
        observation : array (N, C)
            What the environments show.
        begins : bool (N,)
            Whether an episode begins with this observation. N may change where all do.
        greedy : bool
            Whether the most probable actions are taken, not drawn ones.

        Returns
        -------
        Decision
            Actions, their log-probabilities, and the values of the observations: the bits of ``evaluate`` over all
            steps.

        Raises
        ------
        ValueError
            If a shape does not fit.
        TypeError
            If observations are no real numbers, or begins not bool.
        """
        x, greedy = self._observed("observation", observation, "(N, C)", 2), checks.as_flag("greedy", greedy)
        policy, values = self._step(x, as_flags("begins", begins, "(N,)", x.shape[:1]))
        actions = policy.mode() if greedy else policy.sample(self.rng)
        return Decision(actions, policy.log_prob(actions), values)

    def value(self, observation: npt.ArrayLike, begins: npt.ArrayLike) -> Array:
        """Return the values (N,) of observations that follow the last ``act``; the states stay as they are.

        Parameters
        ----------
        observation, begins
            As for ``act``.

        Returns
        -------
        array (N,)

        Raises
        ------
        ValueError, TypeError
            As from ``act``.
        """
        x = self._observed("observation", observation, "(N, C)", 2)
        flags = as_flags("begins", begins, "(N,)", x.shape[:1])
        before, kept = self.state, self._streams
        values = self._step(x, flags)[1]
        if before is None or self._streams is not kept:
            self.state = before
        else:
            for stream, state in zip(self._streams, before, strict=True):
                stream.state = state
        return values

    def evaluate(
        self,
        observations: npt.ArrayLike,
        begins: npt.ArrayLike,
        state: AgentState | None,
        actions: npt.ArrayLike,
    ) -> Evaluation:
        """Return log-probabilities, entropies and values of steps that were taken; nothing is kept.

        Parameters
        ----------
        observations : array (T, N, C)
            What the environments showed.
        begins : bool (T, N)
            Whether an episode begins with the observation.
        state : AgentState or None
            Before the first step, each (L, N, H); None for the initial one.
        actions : integers (T, N), or array (T, N, D)
            What was done.

        Returns
        -------
        Evaluation

        Raises
        ------
        ValueError
            If a shape does not fit.
        TypeError
            If a dtype does not fit.
        """
        x, flags, states = self._steps(observations, begins, state)
        found = [layer(x, s, resets=flags) for layer, s in zip(self.layers.values(), states, strict=True)]
        policy = self._policy(self.policy_head(found[0][0]))
        values = self.value_head(found[-1][0])[..., 0]
        return Evaluation(policy.log_prob(actions), policy.entropy(), values, tuple(last for _, last in found))

    def forward(
        self,
        observations: npt.ArrayLike,
        begins: npt.ArrayLike,
        state: AgentState | None,
        actions: npt.ArrayLike,
    ) -> tuple[Evaluation, AgentTape]:
        """Return what ``evaluate`` does, to the bit, and the tape for ``backward``; arguments are the same."""
        x, flags, states = self._steps(observations, begins, state)
        found = [
            layer.forward(x, s, resets=flags, training=False)
            for layer, s in zip(self.layers.values(), states, strict=True)
        ]
        outputs, policy_tape = self.policy_head.forward(found[0][0])
        values, value_tape = self.value_head.forward(found[-1][0])
        policy, chosen = self._policy(outputs), checks.as_array("actions", actions)
        last = tuple(state for _, state, _ in found)
        result = Evaluation(policy.log_prob(chosen), policy.entropy(), values[..., 0], last)
        return result, AgentTape(tuple(tape for *_, tape in found), policy_tape, value_tape, policy, chosen)

    def backward(
        self,
        tape: AgentTape,
        dlog_probs: npt.ArrayLike,
        dentropies: npt.ArrayLike,
        dvalues: npt.ArrayLike,
        *,
        need_dx: bool = False,
    ) -> Array:
        """Back-propagate through time: add dL/dp to every parameter's ``grad``. No gradient passes a beginning.

        Parameters
        ----------
        tape : AgentTape
            From ``forward``; used up.
        dlog_probs, dentropies, dvalues : array (T, N)
            dL/d of what ``forward`` returned.
        need_dx : bool
            Whether dL/d(observations) is computed, for whatever made them.

        Returns
        -------
        array (T, N, C)
            dL/d(observations); (T, N, 0) without ``need_dx``.

        Raises
        ------
        RuntimeError
            If the tape was used before, or a parameter changed since ``forward``.
        ValueError, TypeError
            If a shape or dtype does not fit.
        """
        if not isinstance(tape, AgentTape):
            raise TypeError(f"tape: what forward returned is required, got {checks.shown(tape)}")
        named = {"dlog_probs": dlog_probs, "dentropies": dentropies, "dvalues": dvalues}
        shape, need_dx = tape.value_head.shape[:-1], checks.as_flag("need_dx", need_dx)
        dlog, dent, dvalue = (
            shaped(name, checks.as_reals(name, given, self.dtype), "(T, N)", shape) for name, given in named.items()
        )
        found = tape.policy.gradient(tape.actions, dlog, dent)
        outputs: tuple[Array, ...] = found if isinstance(found, tuple) else (found,)
        read = outputs[:1] if self.log_std is not None else outputs
        with self._adding:
            dh_value = self.value_head.backward(tape.value_head, dvalue[..., None])
            dh_policy = self.policy_head.backward(tape.policy_head, np.concatenate(read, axis=-1))
            dh = (dh_policy + dh_value,) if self.shared else (dh_policy, dh_value)
            parts = zip(self.layers.values(), tape.layers, dh, strict=True)
            dx = [layer.backward(own, gradient, need_dx=need_dx)[0] for layer, own, gradient in parts]
            if self.log_std is not None:
                self.log_std.grad += outputs[1]
        return np.asarray(sum(dx[1:], dx[0]))

    def save(self, path: StrPath) -> None:
        """Write parameters and configuration to a safetensors file, completely or not at all.

        Raises
        ------
        OSError
            The file cannot be written.
        TypeError
            ``path`` is no path.
        """
        checkpoint.write(path, self.state_dict(), {"class": type(self).__name__, "config": self.config})

    @classmethod
    def load(cls, path: StrPath) -> ActorCritic:
        """Return the agent that ``save`` wrote to ``path``; its environments begin anew.

        Raises
        ------
        OSError
            The file cannot be read, or is no regular file.
        ValueError
            It is no agent's file, or is damaged.
        """
        tensors, saved = checkpoint.read(path)
        if saved.get("class") != "ActorCritic":
            raise ValueError(f"path: the file of an ActorCritic is required, got that of {saved.get('class')}")
        agent = cls(**saved["config"])
        agent.load_state_dict(tensors)
        return agent

    def _observed(self, name: str, value: npt.ArrayLike, letters: str, axes: int) -> Array:
        x = checks.as_reals(name, value, self.dtype)
        if x.ndim != axes or x.shape[-1] != self.observation_size or not x.size:
            wanted = f"shape {letters} with C = {self.observation_size}"
            raise ValueError(f"{name}: {wanted}, not empty, is required, got {x.shape}")
        return x

    def _steps(
        self, observations: npt.ArrayLike, begins: npt.ArrayLike, state: AgentState | None
    ) -> tuple[Array, Array, tuple[Any, ...]]:
        """Check the arguments of ``evaluate`` but for the actions."""
        x = self._observed("observations", observations, "(T, N, C)", 3)
        flags = as_flags("begins", begins, "(T, N)", x.shape[:2])
        self._require_state(state)
        return x, flags, (None,) * len(self.layers) if state is None else state

    def _require_state(self, state: Any) -> None:
        if state is not None and (not isinstance(state, tuple) or len(state) != len(self.layers)):
            wanted = f"a tuple of the states of {' and '.join(self.layers)}, or None,"
            raise TypeError(f"state: {wanted} is required, got {checks.shown(state)}")

    def _policy(self, outputs: Array) -> Policy:
        if not self.gaussian:
            return Categorical(outputs)
        if self.log_std is not None:
            return Gaussian(outputs, self.log_std.value)
        mean, log_std = np.split(outputs, 2, axis=-1)
        return Gaussian(mean, log_std)

    def _step(self, x: Array, begins: Array) -> tuple[Policy, Array]:
        """Move the streams on by one step."""
        self._stream(len(x), every=bool(begins.all()))
        for stream in self._streams if begins.any() else ():
            stream.reset(begins)
        h = [stream.step(x) for stream in self._streams]
        return self._policy(self.policy_head(h[0])), self.value_head(h[-1])[:, 0]

    def _stream(self, environments: int, *, every: bool) -> None:
        """Make new streams where there are none, parameters changed, or the number of environments did."""
        versions = tuple(p.version for p in self.parameters().values())
        fits = bool(self._streams) and self._streams[0].batch_size == environments
        if fits and versions == self._versions:
            return
        states: tuple[Any, ...] = (None,) * len(self.layers)
        if not every:
            states = self.state or states
        made = tuple(layer.stream(environments, s) for layer, s in zip(self.layers.values(), states, strict=True))
        self._streams, self._versions, self._resting = made, versions, None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_streams": (), "_versions": (), "_resting": self.state}

    def __repr__(self) -> str:
        policy, cell = self.config["policy"], self.config["cell"]
        sizes = f"{self.observation_size}, {self.action_size}"
        return f"ActorCritic({sizes}, policy={policy}, cell={cell}, dtype={self.dtype})"


def _layers(config: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return the recurrent layers by their names in ``parameters``: one stack for policy and value, or two."""
    sizes = {name: config[name] for name in ("hidden_size", "num_layers", "dtype")}
    return {
        name: make_layer(
            config["cell"],
            config["cell_options"],
            input_size=config["observation_size"],
            time_major=True,
            seed=int(rng.integers(LARGEST_SEED)),
            **sizes,
        )
        for name in (("rnn",) if config["shared"] else ("actor", "critic"))
    }


def _copied(state: AgentState | None) -> AgentState | None:
    if state is None:
        return None
    return tuple(tuple(p.copy() for p in s) if isinstance(s, tuple) else np.array(s) for s in state)
