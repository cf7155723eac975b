"""The commands ``demo``, ``convert`` and ``info``."""

from __future__ import annotations

import argparse

from rnnfast.cli.command import Command, at_least_0


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    from rnnfast.demo.tasks import TASKS

    parser.add_argument("--task", action="append", choices=list(TASKS), help="only this task; may be repeated")
    parser.add_argument("--output", default="rnnfast-demo", metavar="FOLDER", help="for the reports (%(default)s)")
    parser.add_argument("--seed", type=at_least_0, default=0, help="of data split, training and text (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few seconds on little data; does not beat anything")
    parser.add_argument("--no-progress", action="store_true", help="without progress bars")


def _demo(options: argparse.Namespace) -> int:
    from rnnfast import demo

    settings = demo.Settings(seed=options.seed, quick=options.quick, progress=not options.no_progress)
    results = demo.main(settings, tasks=options.task or (), output=options.output)
    return 0 if options.quick or all(r.beats_all for r in results) else 1


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a model's file, to show what is in it")


def _info(options: argparse.Namespace) -> int:
    from rnnfast import load, show_config
    from rnnfast.cli.recipes import Recipe

    if options.model is None:
        show_config()
        return 0
    model = load(options.model)
    print(model.summary())
    if Recipe.stands_in(model):
        print(Recipe.of(model, options.model).described())
    return 0


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help=".safetensors, .pt, .onnx, .keras, .h5 or RTNeural's .json")
    parser.add_argument("destination", metavar="DST", help="the file to write, in the format of its ending")
    parser.add_argument("--layer", action="append", default=[], metavar="NAME", help="read this recurrent layer alone")
    parser.add_argument("--model", choices=["many-to-one", "many-to-many"], help="of a state dictionary with a head")
    parser.add_argument("--task", default="classification", help="of a state dictionary with a head (%(default)s)")
    parser.add_argument("--activation", default="tanh", help="of an RNN in a state dictionary (%(default)s)")


def _convert(options: argparse.Namespace) -> int:
    from rnnfast.convert import convert

    chosen = {name: getattr(options, name) for name in ("layer", "model", "task", "activation")}
    module = convert(options.source, options.destination, **chosen)
    described = module.summary() if hasattr(module, "summary") else repr(module)
    print(f"{options.destination}: {described}")
    return 0


DEMO = Command("train and judge models on data that every Python carries", _demo_arguments, _demo)
CONVERT = Command("write a layer or model in the format of another library", _convert_arguments, _convert)
INFO = Command("show version, instruction set and threads, or what a model's file holds", _info_arguments, _info)
