"""A whole epoch of training beside the same loop in PyTorch: ``python -m bench.epochs``.

An epoch is all that a user waits for: batches, loss, accuracy over the validation data, gradient, clipping, Adam. Each
contestant runs in a process of its own; they take turns, and the medians of their epochs count.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import rnnfast as rf
from bench.accuracy.readers import found

Epoch = Callable[[], object]
HIDDEN = 64  # units of the classifier
STREAMS, STEPS, UNITS, LAYERS = 50, 50, 128, 2  # of the character model


def vowels() -> tuple[list[Any], Any, list[Any], Any]:
    """JapaneseVowels, official split: sequences (T_i, 12) and class ids."""
    train, test = (
        rf.data.read_ts(found("japanese_vowels", f"JapaneseVowels_{part}.ts.gz")) for part in ("TRAIN", "TEST")
    )
    return train.x, train.y, test.x, test.y


def characters() -> Any:
    """The first nine tenths of tinyshakespeare as ids."""
    with gzip.open(found("shakespeare", "tinyshakespeare.txt.gz"), "rt", encoding="utf-8") as file:
        text = file.read()
    return rf.text.Vocabulary(text).encode(text)[: len(text) * 9 // 10]


def vowels_rnnfast() -> Epoch:
    x, y, x_test, y_test = vowels()
    model = rf.ManyToOne(12, 9, cell="gru", hidden_size=HIDDEN, seed=0)
    optimizer = rf.Adam(lr=1e-3)

    def epoch() -> None:
        model.fit(
            x, y, epochs=1, batch_size=16, optimizer=optimizer, clip_norm=1.0, validation_data=(x_test, y_test), seed=0
        )

    return epoch


def vowels_torch() -> Epoch:
    import torch
    from torch.nn.utils import rnn

    x, y, x_test, y_test = vowels()
    train = [(torch.from_numpy(np.asarray(a, np.float32)), int(b)) for a, b in zip(x, y, strict=True)]
    test = [(torch.from_numpy(np.asarray(a, np.float32)), int(b)) for a, b in zip(x_test, y_test, strict=True)]

    def together(items: list[Any]) -> Any:
        lengths = torch.tensor([len(a) for a, _ in items])
        padded = rnn.pad_sequence([a for a, _ in items], batch_first=True)
        return padded, lengths, torch.tensor([b for _, b in items])

    def loader(data: list[Any], size: int, *, shuffle: bool) -> Any:
        return torch.utils.data.DataLoader(data, size, shuffle=shuffle, collate_fn=together)

    gru, head = torch.nn.GRU(12, HIDDEN, batch_first=True), torch.nn.Linear(HIDDEN, 9)
    params = [*gru.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(params, lr=1e-3)

    def outputs(padded: Any, lengths: Any) -> Any:
        packed = rnn.pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        return head(gru(packed)[1][0])

    def epoch() -> None:
        total = 0.0
        for padded, lengths, labels in loader(train, 16, shuffle=True):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(outputs(padded, lengths), labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            optimizer.step()
            total += float(loss.detach())
        right, validation = 0, 0.0
        with torch.no_grad():
            for padded, lengths, labels in loader(test, 256, shuffle=False):
                y = outputs(padded, lengths)
                validation += float(torch.nn.functional.cross_entropy(y, labels))
                right += int((y.argmax(1) == labels).sum())

    return epoch


def shakespeare_rnnfast() -> Epoch:
    ids = characters()
    model = rf.OneToMany(int(ids.max()) + 1, hidden_size=UNITS, num_layers=LAYERS, embedding=UNITS, seed=0)
    optimizer = rf.Adam(lr=2e-3)

    def epoch() -> None:
        model.fit(ids, epochs=1, batch_size=STREAMS, tbptt=STEPS, optimizer=optimizer, clip_norm=5.0, shuffle=False)

    return epoch


def shakespeare_torch() -> Epoch:
    import torch

    ids = torch.from_numpy(characters())
    classes = int(ids.max()) + 1
    steps = (len(ids) - 1) // STREAMS
    inputs = ids[: STREAMS * steps].reshape(STREAMS, steps)
    targets = ids[1 : STREAMS * steps + 1].reshape(STREAMS, steps)
    embedding = torch.nn.Embedding(classes, UNITS)
    lstm = torch.nn.LSTM(UNITS, UNITS, LAYERS, batch_first=True)
    head = torch.nn.Linear(UNITS, classes)
    params = [p for module in (embedding, lstm, head) for p in module.parameters()]
    optimizer = torch.optim.Adam(params, lr=2e-3)

    def epoch() -> None:
        state, total = None, 0.0
        for first in range(0, steps, STEPS):
            optimizer.zero_grad()
            h, (hn, cn) = lstm(embedding(inputs[:, first : first + STEPS]), state)
            wanted = targets[:, first : first + STEPS]
            loss = torch.nn.functional.cross_entropy(head(h).flatten(0, 1), wanted.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(params, 5.0)
            optimizer.step()
            state = hn.detach(), cn.detach()
            total += float(loss.detach())

    return epoch


CASES: dict[str, dict[str, Callable[[], Epoch]]] = {
    "vowels": {"torch": vowels_torch, "rnnfast": vowels_rnnfast},
    "shakespeare": {"torch": shakespeare_torch, "rnnfast": shakespeare_rnnfast},
}


def seconds(case: str, contestant: str, threads: int, epochs: int) -> list[float]:
    """Seconds of each epoch after a first one, in this process."""
    if contestant == "torch":
        import torch

        torch.set_num_threads(threads)
    rf.set_num_threads(threads)
    epoch = CASES[case][contestant]()
    epoch()
    times = []
    for _ in range(epochs):
        begin = time.perf_counter()
        epoch()
        times.append(time.perf_counter() - begin)
    return times


def child(case: str, contestant: str, threads: int, epochs: int) -> list[float]:
    """The same in a process of its own."""
    options = ["--here", contestant, "--threads", str(threads), "--epochs", str(epochs)]
    command = [sys.executable, "-m", "bench.epochs", case, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: list[float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a process, after one that does not count")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each contestant")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(seconds(arguments.cases[0], arguments.here, arguments.threads[0], arguments.epochs)))
        return
    for case in arguments.cases:
        for threads in arguments.threads:
            times: dict[str, list[float]] = {name: [] for name in CASES[case]}
            for _ in range(arguments.rounds):
                for name, own in times.items():
                    own += child(case, name, threads, arguments.epochs)
            medians = {name: statistics.median(own) for name, own in times.items()}
            shown = ", ".join(f"{name} {own:.3f} s" for name, own in medians.items())
            ratio = medians["torch"] / medians["rnnfast"]
            print(f"{case}, {threads} threads: {shown} an epoch, {ratio:.2f} times as fast", flush=True)


if __name__ == "__main__":
    main()
