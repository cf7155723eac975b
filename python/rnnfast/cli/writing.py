"""The command ``generate``: a model of a text writes on."""

from __future__ import annotations

import argparse

from rnnfast.cli.command import Command, above_0, at_least_0, at_least_1
from rnnfast.cli.recipes import Recipe
from rnnfast.cli.sources import encoded
from rnnfast.models import load


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a file that rnnfast train wrote for a text")
    add("--prompt", metavar="TEXT", help="what to go on from (by default the start of a line)")
    add("--length", type=at_least_0, default=400, metavar="N", help="characters to write (%(default)s)")
    add("--temperature", type=above_0, default=1.0, metavar="T", help="below 1 safer, above 1 bolder (%(default)s)")
    add("--top-k", type=at_least_1, metavar="K", help="draw from the K most probable characters")
    add("--top-p", type=above_0, metavar="P", help="draw from the most probable characters that have P together")
    add("--greedy", action="store_true", help="always take the most probable character")
    add("--seed", type=at_least_0, metavar="N", help="the same text for the same seed (by default another each time)")


def _run(options: argparse.Namespace) -> int:
    model = load(options.model)
    recipe = Recipe.of(model, options.model)
    if recipe.vocabulary is None:
        raise ValueError(f"{options.model}: a model of a text is required, got one that predicts: rnnfast predict")
    letters = recipe.vocabulary
    prompt = ("\n" if "\n" in letters else letters.characters[0]) if options.prompt is None else options.prompt
    if not prompt:
        raise ValueError("--prompt: at least one character is required, got none")
    drawn = {name: getattr(options, name) for name in ("temperature", "top_k", "top_p", "greedy", "seed")}
    written = model.generate(encoded("--prompt", prompt, letters), options.length, **drawn)
    print((options.prompt or "") + letters.decode(written))
    return 0


GENERATE = Command("write on from a prompt with a model of a text", _arguments, _run)
