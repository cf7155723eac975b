"""Benchmarks of rnnfast against its peers and against the machine; run ``python -m bench``.

``shapes`` lists the rows, and ``problem`` makes their arrays; ``peers`` holds the protocol that every library
implements and the registry of libraries; ``process`` runs each library in its own process and environment; ``run``
compares results, then takes times; ``rounds`` makes a ratio and its interval of them; ``limits`` measures the machine
and says how fast it allows a row to be; ``restless`` measures beside ``neighbours``, other programs on the processors;
``gemm`` times large products alone; ``report``, ``chart`` and ``markdown`` present. ``accuracy`` is a benchmark of its
own: what models reach.

To add a row, write a line in ``shapes.USERS_ROWS``. To add a library, write a class with ``load``, ``run`` and
``results``, and a line in ``peers.PEERS``.

The NumPy model (``peer_numpy``) and bare BLAS (``blas``) are tuned for each case before they are timed. Single calls
are timed, with weights packed and buffers warm, after their results were found to agree. A row's ratio is the median of
rounds. ``epochs`` is a benchmark of its own: whole epochs of training.
"""
