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

    for command in (demo, info):
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
