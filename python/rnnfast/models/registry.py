"""The models that a file may hold."""

from __future__ import annotations

import os
from typing import Any

from rnnfast import checkpoint
from rnnfast.atomic import StrPath
from rnnfast.models.base import Model
from rnnfast.models.encoder_decoder import EncoderDecoder
from rnnfast.models.many_to_many import ManyToMany
from rnnfast.models.many_to_one import ManyToOne
from rnnfast.models.one_to_many import OneToMany

MODELS = Model.known
MODELS.update({model.__name__: model for model in (ManyToOne, ManyToMany, EncoderDecoder, OneToMany)})


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
    >>> (same.state_dict()["head.weight"] == model.state_dict()["head.weight"]).all()
    np.True_
    """
    tensors, saved = checkpoint.read(path)
    try:
        cls = MODELS[saved["class"]]
        return cls.restored(saved["config"], saved["metadata"], tensors)
    except MemoryError:
        raise
    except Exception as error:
        got = f"{error!r:.2000}"
        raise ValueError(f"{os.fsdecode(path)}: a file of a known model required, got {got}") from error
