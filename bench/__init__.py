"""Benchmarks of rnnfast against its peers and against the machine; run ``python -m bench``.

``shapes`` holds the rows and ``problem`` their numbers; ``peers`` the protocol that every library implements and the
registry of those that do; ``process`` runs each in a process and an environment of its own; ``run`` compares, then
times; ``limits`` measures the machine and says how fast it allows a row to be; ``gemm`` times large products alone;
``report``, ``chart`` and ``markdown`` present. To add a row, write a line in ``shapes.USERS_ROWS``. To add a library,
write a class with ``load``, ``run`` and ``results``, and a line in ``peers.PEERS``.

The NumPy model (``peer_numpy``) and bare BLAS (``blas``) are tuned for each case before they are timed. Single calls
are timed, with weights packed and buffers warm, after their results were found to agree. A row's ratio is of medians.
"""
