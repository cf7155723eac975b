"""What rnnfast's models reach on fourteen tasks, from real training runs; run ``python -m bench accuracy``.

``rows`` lists the rows, each a task and its one recorded configuration; ``tasks``, ``forecasts`` and ``agents`` hold
data, model, metric and floor of each task, made by ``readers`` (real data), ``words`` and ``synthetic``; ``task`` says
what a task is; ``metrics`` and ``floors`` hold the scores of models and of simple methods; ``training`` trains one
model, ``run`` measures a row, ``table`` presents. To add a row, write it in ``rows.ROWS``; a new task also needs its
line in ``tasks.TASKS``. Configurations are chosen with ``--choose``, which does not read the test part.
"""
