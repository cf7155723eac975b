from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy.typing as npt

Array = npt.NDArray[Any]
Gradients = Sequence[Array | None]

__version__: str

def num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def thread_source() -> str: ...
def set_thread_source(name: str) -> None: ...
def describe_thread_source() -> str: ...
def processor_quota() -> int: ...
def isa() -> str: ...
def isas() -> list[str]: ...

class _Cell(TypedDict):
    name: str
    family: str
    gates: int
    gate_names: tuple[str, ...]
    states: int
    peepholes: int
    activations: tuple[str, ...]
    options: tuple[str, ...]

class _Activation(TypedDict):
    name: str
    numbers: tuple[float, ...]
    required: str

class _Loss(TypedDict):
    name: str
    targets: str

class _Optimizer(TypedDict):
    name: str
    options: tuple[str, ...]
    buffers: tuple[str, ...]

def cells() -> list[_Cell]: ...
def activations() -> list[_Activation]: ...
def losses() -> list[_Loss]: ...
def optimizers() -> list[_Optimizer]: ...

class Weights:
    def __init__(
        self,
        cell: str,
        activations: Sequence[tuple[str, float, float]],
        clip: float,
        leak: float,
        recurrent_dropout: bool,
        w: Array,
        r: Array,
        b_w: Array | None,
        b_r: Array | None,
        peepholes: Array | None,
        projection: Array | None,
        zoneout: Array | None,
        norm: tuple[Array | None, Array | None, Array | None, Array | None] | None,
        eps: float,
    ) -> None: ...
    @property
    def cell(self) -> str: ...

class Tape:
    @property
    def nbytes(self) -> int: ...
    @property
    def used(self) -> bool: ...

# x (N, T, C); h0 (L*D, N, P), c0 (L*D, N, H); lengths int64 (N,); resets uint8 (N, T)  ->  y (N, T, D*P), hn, cn, tape
# With offsets int64 (N,) x is (M, C), and step t of sequence n is its row offsets[n] + t; resets (R,), y (R, D*P), and
# dy and dx of backward then hold the R = sum(lengths) rows of the sequences, one sequence after another.
def forward(
    layers: list[Weights],
    directions: int,
    x: Array,
    h0: Array | None,
    c0: Array | None,
    reset_state: tuple[Array | None, Array | None] | None,
    lengths: Array | None,
    resets: Array | None,
    time_major: bool,
    save: str,
    random: tuple[tuple[float, ...], int, int] | None,
    offsets: Array | None = None,
) -> tuple[Array, Array, Array | None, Tape | None]: ...

# of every layer h (None: the last one's, which is y), c or None, gates; all (N, T, D*H)
def trace(tape: Tape) -> list[tuple[Array | None, Array | None, list[Array]]]: ...

# prepare: makes an x that step cannot read into one that it can; table (V, C), or V where ids are unit vectors;
# head (K, H), head_bias (K,)
class Stream:
    def __init__(
        self,
        layers: list[Weights],
        batch_size: int,
        prepare: Callable[[Any], Array],
        table: Array | int | None,
        head: Array | None,
        head_bias: Array | None,
    ) -> None: ...
    def step(self, x: Any, /, *, out: Array | None = None) -> Array: ...
    def _process(self, x: Array, time_major: bool) -> Array: ...
    def _read_state(self) -> tuple[Array, Array | None]: ...
    def _step_from(self, x: Array, h: Array | None, c: Array | None) -> tuple[Array, Array | None]: ...
    def _write_state(self, h: Array | None, c: Array | None, mask: Array | None) -> None: ...

# dy (N, T, D*P); dh (L*D, N, P), dc (L*D, N, H); adds into gradients (dW, dR, db_w, db_r, dP, dHr,
# dgamma_ih, dgamma_hh, dgamma_c, dbeta_c); writes into norms, zeros (L*D, N, T)
#   ->  dx (N, T, C), dh0, dc0
def backward(
    tape: Tape,
    dy: Array | None,
    dh: Array | None,
    dc: Array | None,
    gradients: list[Gradients],
    need_dx: bool,
    norms: Array | None,
) -> tuple[Array | None, Array, Array | None, Array | None, Array | None]: ...

# x, dx (M, K); W, dW (N, K); b, db (N,); y, dy (M, N); ids int64 (M,); E, dE (V, D)
def linear(x: Array, W: Array, b: Array | None) -> Array: ...
def linear_backward(dy: Array, x: Array, W: Array, dW: Array, db: Array | None, need_dx: bool) -> Array | None: ...
def dropout(x: Array, p: float, seed: int, call: int) -> Array: ...
def embedding(ids: Array, E: Array) -> Array: ...
def embedding_backward(ids: Array, dy: Array, dE: Array) -> None: ...
def softmax(x: Array, log: bool) -> Array: ...
def tanh(x: Array) -> Array: ...

# outputs (M, K), targets int64 (M,) or (M, K), weight (M,)  ->  loss, doutputs
def mean_loss(loss: str, outputs: Array, targets: Array, weight: Array | None) -> tuple[float, Array]: ...

# lists of arrays, entry i of each of one shape; a list for each buffer; step int64 (1,)
def update(
    optimizer: str,
    values: list[Array],
    grads: list[Array],
    buffers: list[list[Array]],
    options: dict[str, float],
    step: Array,
) -> None: ...
def squared_norm(arrays: list[Array]) -> float: ...
def scale_(arrays: list[Array], factor: float) -> None: ...

# query (N, T, A), keys (N, S, A), memory (N, S, M), v (A,)  ->  context (N, T, M), weights (N, T, S)
def attend(
    query: Array,
    keys: Array,
    memory: Array,
    v: Array | None,
    lengths: Array | None,
    source_lengths: Array | None,
) -> tuple[Array, Array]: ...
def attend_backward(
    dcontext: Array,
    weights: Array,
    query: Array,
    keys: Array,
    memory: Array,
    v: Array | None,
    lengths: Array | None,
    source_lengths: Array | None,
    dv: Array | None,
) -> tuple[Array, Array, Array]: ...

# table (V, C), or V where ids are unit vectors, head (K, H), bias (K,), h0, c0 (L, R, H), prefix int64 (R, P)
#   ->  ids int64 (R, length) or vectors (R, length, K), counts int64 (R,), log p float64 (R, length or 0)
# attention: keys (R, S, A), memory (R, S, M), source lengths (R,), v (A,), query (A, H) and bias, combine (H, M + H)
# and bias
def generate(
    layers: list[Weights],
    table: Array | int | None,
    head: Array,
    bias: Array | None,
    attention: tuple[Array | None, ...] | None,
    h0: Array,
    c0: Array | None,
    element: str,
    length: int,
    stop: int,
    temperature: float,
    top_k: int,
    top_p: float,
    greedy: bool,
    seed: int,
    prefix: Array | None,
    log_probability: bool,
) -> tuple[Array, Array, Array]: ...

# the same  ->  ids int64 (R, length), counts int64 (R,), scores float64 (R,)
def beam_search(
    layers: list[Weights],
    table: Array | int | None,
    head: Array,
    bias: Array | None,
    attention: tuple[Array | None, ...] | None,
    h0: Array,
    c0: Array | None,
    length: int,
    beams: int,
    stop: int,
    length_penalty: float,
) -> tuple[Array, Array, Array]: ...

class testing:
    @staticmethod
    def isas() -> list[str]: ...
    @staticmethod
    def known_isas() -> list[str]: ...
    @staticmethod
    def get_isa() -> str: ...
    @staticmethod
    def set_isa(name: str) -> None: ...
    @staticmethod
    def one_way_panels() -> bool: ...
    @staticmethod
    def set_one_way_panels(value: bool) -> None: ...
    @staticmethod
    def forced_split() -> bool | None: ...
    @staticmethod
    def forced_lanes() -> bool | None: ...
    @staticmethod
    def best_isa(available: list[str], cap: str) -> str: ...
    @staticmethod
    def cgroup_quota(root: str) -> int: ...
    @staticmethod
    def num_threads() -> int: ...
    @staticmethod
    def oversubscribe(value: bool) -> None: ...
    @staticmethod
    def force_split(units: bool | None) -> None: ...
    @staticmethod
    def force_lanes(lanes: bool | None) -> None: ...
    @staticmethod
    def stands_back(calls: list[tuple[float, float, float, float, int, bool, bool]]) -> list[bool]: ...
    @staticmethod
    def spells_alone() -> int: ...
    @staticmethod
    def wavefront_threads(cell: str, sizes: list[int], N: int, T: int, threads: int) -> int: ...
    @staticmethod
    def unary(isa: str, name: str, x: Array) -> Array: ...
    @staticmethod
    def gemm(isa: str, a: Array, b: Array, bias: Array | None) -> Array: ...
    @staticmethod
    def gemm_tn(isa: str, a: Array, b: Array, c: Array) -> Array: ...
    # limits of the machine: hertz, flop/s, bytes/s, seconds; a (M, K), b (K, N), c (M, N) float32
    @staticmethod
    def clock_rate(seconds: float) -> float: ...
    @staticmethod
    def issue_rate(threads: int, seconds: float) -> float: ...
    @staticmethod
    def fma_rate(threads: int, seconds: float) -> float: ...
    @staticmethod
    def read_rate(threads: int, bytes: int, seconds: float) -> float: ...
    @staticmethod
    def together(threads: int) -> tuple[float, float]: ...
    @staticmethod
    def barrier_time(threads: int, waits: int) -> float: ...
    @staticmethod
    def gemm_times(a: Array, b: Array, c: Array, threads: int, repeats: int) -> list[float]: ...
