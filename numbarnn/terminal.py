"""What a person sees, lines and progress: by rich on a terminal where it is installed, else plain text."""

import importlib.util
import sys
import time

QUIET_SECONDS = 2.0  # work shorter than this shows no progress, and plain progress lines are this far apart


def _rich_for(stream):
    return stream.isatty() and importlib.util.find_spec("rich") is not None


def write(text, style=None, stream=None):
    """Write a line to `stream` (standard output); `style`, such as "bold", is for rich only."""
    stream = stream or sys.stdout
    if _rich_for(stream):
        from rich.console import Console

        Console(file=stream).print(text, style=style, markup=False, highlight=False, soft_wrap=True)
    else:
        stream.write(text + "\n")


def table(title, rows, stream=None):
    """Write a table to `stream` (standard output): the first column on the left, all others on the right."""
    stream = stream or sys.stdout
    if _rich_for(stream):
        from rich.console import Console
        from rich.table import Table

        shown = Table()
        for place, head in enumerate(title):
            shown.add_column(head, justify="right" if place else "left")
        for row in rows:
            shown.add_row(*row)
        Console(file=stream, markup=False).print(shown)
        return
    widths = [max(map(len, column)) for column in zip(title, *rows, strict=True)]
    for first, *others in (title, *rows):
        cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
        stream.write("  ".join(cells) + "\n")


def track(batches, label, stream=None):
    """Yield the batches of a list; after two seconds, tell `stream` (standard error) how far it is."""
    stream = stream or sys.stderr
    total, done, bar, reported = sum(map(len, batches)), 0, None, time.monotonic()
    try:
        for batch in batches:
            yield batch
            done += len(batch)
            if bar:
                bar.update(0, completed=done)
            elif time.monotonic() - reported >= QUIET_SECONDS:
                reported = time.monotonic()
                if _rich_for(stream):
                    bar = _bar(label, total, done, stream)
                else:
                    stream.write(f"{label}: {done:,} of {total:,} ({done / total:.0%})\n")
    finally:
        if bar:
            bar.stop()


def _bar(label, total, done, stream):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=Console(file=stream))
    bar.add_task(label, total=total, completed=done)
    bar.start()
    return bar
