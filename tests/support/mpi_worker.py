"""One of the processes that an MPI starts: ``python -m tests.support.mpi_worker bits | long | raise | full ...``.

- ``bits [problem ...]`` trains and prints the hash of each problem, once all processes have the same;
- ``long folder`` trains with a checkpoint after every step, and writes its number in the system to the folder;
- ``raise`` fails in the data of process 1;
- ``full`` fails in a callback.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

# Of process i of a job: instruction set i, where several are given.
_isas = os.environ.get("WORKER_ISAS", "").split(",")
_rank = int(os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", "0")))
if _isas != [""]:
    os.environ["RNNFAST_MAX_ISA"] = _isas[_rank % len(_isas)]

import numpy as np  # noqa: E402

import rnnfast as rf  # noqa: E402
from tests.support.distributed import PROBLEMS, N, bits, trained  # noqa: E402

LONG: dict[str, Any] = {"epochs": 6, "batch_size": 4}


def long_training(folder: Path, **options: Any) -> rf.ManyToMany:
    """Return a model whose training can be killed and resumed at any step."""
    path = folder / "state.safetensors"
    own = {**LONG, "callbacks": rf.Checkpoint(path, every_steps=1), "resume": path if path.exists() else None}
    found: rf.ManyToMany = trained("many_to_many", shards=8, **own, **options)
    return found


class _Failing(rf.Callback):
    def on_step_end(self, run: rf.Run) -> None:
        raise OSError("the disk is full")


def _print_bits(world: Any, problems: list[str]) -> None:
    for problem in problems:
        model = trained(problem, communicator=world)
        own = (bits(model), rf.cpu.isa(), platform.node())
        every = world.allgather(own)
        if world.Get_rank() == 0:
            assert {found for found, _, _ in every} == {own[0]}, every
            print(problem, own[0], *sorted({isa for _, isa, _ in every}), flush=True)


def main() -> None:
    """Do what is asked for."""
    from mpi4py import MPI

    world, what, *more = MPI.COMM_WORLD, *sys.argv[1:]
    if what == "bits":
        _print_bits(world, more or list(PROBLEMS))
    elif what == "raise" and world.Get_rank() == 1:
        x = np.full((N, 4, 3), np.nan)
        rf.ManyToOne(3, 2, seed=0).fit(x, np.arange(N) % 2, epochs=2, communicator=world)
    elif what == "raise":
        trained("many_to_one", communicator=world)
    elif what == "full":
        trained("many_to_one", communicator=world, callbacks=_Failing())
    else:
        folder = Path(more[0])
        (folder / f"pid-{world.Get_rank()}").write_text(str(os.getpid()))
        model = long_training(folder, communicator=world)
        if world.Get_rank() == 0:
            print(bits(model), flush=True)


if __name__ == "__main__":
    main()
