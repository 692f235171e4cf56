"""The command line: `python -m numbarnn COMMAND`. Exit status: 0 done, 1 could not be done, 2 wrong usage."""

import argparse
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path


def build_parser():
    """The parser of every command; each leaves its function in `run`."""
    parser = argparse.ArgumentParser(prog="numbarnn", description="Fast recurrent networks on NumPy arrays.")
    parser.add_argument("--version", action="version", version=version("numbarnn"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="pronounce English with a trained GRU network",
        description="Pronounce English with g2p-en's trained GRU network, against a plain NumPy loop.",
    )
    source = demo.add_mutually_exclusive_group()
    source.add_argument("text", nargs="?", metavar="TEXT", help="or - for stdin (default: the Zen of Python)")
    source.add_argument("--file", type=Path, metavar="F", help="say what a UTF-8 text file holds")
    demo.set_defaults(run=_demo, parser=demo)

    info = commands.add_parser(
        "info",
        help="what this installation is and runs on",
        description="Versions, threads, CPU, cache and environment: what a report of a fault should include.",
    )
    info.set_defaults(run=_info, parser=info)

    warmup = commands.add_parser(
        "warmup",
        help="compile before it is needed",
        description="Compile, or load from the cache, what the built-in cells need with default activations.",
    )
    warmup.add_argument("--cells", metavar="A,B", help="of simple_rnn, lstm, gru, ... (default: lstm,gru)")
    warmup.add_argument("--dtypes", metavar="A,B", help="of float32, float64 (default: float32)")
    warmup.add_argument("--all", action="store_true", help="every cell, both dtypes")
    warmup.set_defaults(run=_warmup, parser=warmup)

    bench = commands.add_parser(
        "bench",
        help="measure the speed here, beside other libraries",
        description="Time a few LSTM and GRU layers on this machine, in turn with other libraries.",
    )
    bench.add_argument("--quick", action="store_true", help="three points, in a few seconds")
    bench.add_argument(
        "--against",
        metavar="A,B",
        help="of numpy, torch, onnxruntime, openvino, ... (default: "
        "numpy, and torch and onnxruntime where they are installed)",
    )
    bench.set_defaults(run=_bench, parser=bench)

    check = commands.add_parser(
        "check",
        help="test this installation on this machine",
        description="Compare the kernels with NumPy, the promises about bits, the functions, threads, cache.",
    )
    check.set_defaults(run=_check, parser=check)

    cache = commands.add_parser(
        "cache",
        help="show or clear the cache of compiled functions",
        description="Show where compiled functions are kept, how many, and which cannot be read.",
    )
    cache.add_argument(
        "action",
        nargs="?",
        choices=("path", "clear"),
        help="print the directory alone; or remove what is cached, of every version",
    )
    cache.set_defaults(run=_cache, parser=cache)

    for command in (demo, info, warmup, bench, check, cache):
        command.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return parser


def _demo(arguments):
    from numbarnn import demo

    text = _read(arguments)
    if text is None:
        text = demo.default_text()
    try:
        report = demo.run(text)
    except ModuleNotFoundError as error:
        if error.name != "g2p_en":
            raise
        sys.stderr.write(f"numbarnn demo: {error}\n")
        return 1
    if arguments.json:
        print(json.dumps(report))
    else:
        demo.show(text, report)
    return 0


def _read(arguments):
    """The text that the arguments name, or None where they name none."""
    if arguments.text not in (None, "-"):
        return arguments.text
    try:
        if arguments.text == "-":
            return sys.stdin.buffer.read().decode("utf-8-sig")
        return arguments.file and arguments.file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        arguments.parser.error(f"cannot read {arguments.file or 'standard input'}: {error}")


def _info(arguments):
    from numbarnn import info

    facts = info.collect()
    print(json.dumps(facts) if arguments.json else info.render(facts))
    return 0


def _warmup(arguments):
    from numbarnn import precompile

    if arguments.all and (arguments.cells or arguments.dtypes):
        arguments.parser.error("--all means every cell and dtype; expected it alone")
    every = arguments.all
    cells = _names(arguments, "cells", precompile.CELLS, precompile.DEFAULT_CELLS, every)
    dtypes = _names(arguments, "dtypes", precompile.DTYPES, precompile.DEFAULT_DTYPES, every)
    report = precompile.run(cells, dtypes)
    if arguments.json:
        print(json.dumps(report))
    else:
        precompile.show(report)
    return 1 if report["not_kept"] else 0


def _names(arguments, option, known, default, every):
    """The names that an option lists; one that is not known ends the program."""
    if every:
        return tuple(known)
    given = getattr(arguments, option)
    names = default if given is None else tuple(dict.fromkeys(given.split(",")))
    for name in names:
        if name not in known:
            arguments.parser.error(f"--{option}: {name!r} is unknown; expected some of {','.join(known)}")
    return names


def _bench(arguments):
    from numbarnn import bench_command
    from numbarnn.benchmarks import missing

    against = _names(arguments, "against", bench_command.RIVALS, bench_command.installed(), False)
    for name in against:
        if absent := missing(name):
            install = f"pip install {' '.join(absent)}"
            sys.stderr.write(f"numbarnn bench: {name} needs {', '.join(absent)}; to install it: {install}\n")
            return 1
    try:
        report = bench_command.run(against, arguments.quick)
    except RuntimeError as error:
        sys.stderr.write(f"numbarnn bench: {error}\n")
        return 1
    if arguments.json:
        print(json.dumps(report))
    else:
        bench_command.show(report, against)
    return 0


def _check(arguments):
    from numbarnn import selfcheck

    report = selfcheck.run()
    if arguments.json:
        print(json.dumps(report))
    else:
        selfcheck.show(report)
    return 0 if report["ok"] else 1


def _cache(arguments):
    from numbarnn import info
    from numbarnn.kernels import store

    if arguments.action and store.root() is None:
        sys.stderr.write("numbarnn cache: it is off: NUMBARNN_CACHE is 0, or there is no home directory\n")
        return 1
    if arguments.action == "clear":
        try:
            report = store.clear()
        except OSError as error:
            sys.stderr.write(f"numbarnn cache: cannot remove everything: {error}\n")
            return 1
    elif arguments.action == "path":
        report = {"directory": store.cache_info()["directory"]}
    else:
        store.examine()
        report = store.cache_info()
    if arguments.json:
        print(json.dumps(report))
    else:
        print(report["directory"] if arguments.action == "path" else info.render(report))
    return 0


def main(argv=None):
    """Run the command that `argv` (default: the process's arguments) names; the exit status."""
    arguments = build_parser().parse_args(argv)
    # A terminal that cannot show a letter of the text should show its code, not end the run.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has what it wants. Python flushes once more at exit: that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
