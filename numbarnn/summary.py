"""The table of a model's layers, as Keras prints it."""

from collections import Counter

LEAST_WIDTHS = 31, 22, 13


def summary_of(name, layers, params, weights):
    """The table as a text.

    Parameters
    ----------
    name : str
    layers : list of Adapted
    params : int
    weights : list of ndarray

    Examples
    --------
    >>> print(summary_of("empty", [], 0, []).splitlines()[0])
    Model: "empty"
    """
    header = ("Layer (type)", "Output Shape", "Param #")
    rows = [
        (f"{shown} ({layer.kind})", _shape(layer.output_shape), _params(layer))
        for shown, layer in zip(_numbered([layer.name for layer in layers]), layers, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    widths = [max(*pair) for pair in zip(widths, LEAST_WIDTHS, strict=True)]
    lines = [f'Model: "{name}"', _rule("┏┳┓", "━", widths), _line("┃", header, widths)]
    for k, row in enumerate(rows):
        lines += [_rule("├┼┤" if k else "┡╇┩", "─" if k else "━", widths), _line("│", row, widths)]
    lines.append(_rule("└┴┘", "─", widths))
    lines.append(f" Total params: {params:,} ({_size(sum(array.nbytes for array in weights))})")
    return "\n".join(lines)


def _numbered(names):
    """Names told apart: dense, dense_1, ..."""
    seen, shown = Counter(), []
    for name in names:
        shown.append(f"{name}_{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return shown


def _shape(shape):
    return "?" if shape is None else str(shape)


def _params(layer):
    params = layer.count_params()
    unbuilt = layer.output_shape is None and not params
    return "0 (unbuilt)" if unbuilt else f"{params:,}"


def _rule(corners, dash, widths):
    left, middle, right = corners
    return left + middle.join(dash * (width + 2) for width in widths) + right


def _line(bar, cells, widths):
    name, shape, params = (f"{{:{side}{width}}}" for side, width in zip("<<>", widths, strict=True))
    columns = name.format(cells[0]), shape.format(cells[1]), params.format(cells[2])
    return f"{bar} " + f" {bar} ".join(columns) + f" {bar}"


def _size(count):
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024:
            return f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} TB"
