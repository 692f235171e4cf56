"""The README's Python runs as it stands, one block after another, and prints what its comments say."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_quick_start(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    shown = re.findall(r"^print\(.*?\) +# (.*?)(?:: .*)?$", "\n".join(blocks), re.MULTILINE)
    names = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert len(blocks) == 6 and len(shown) == 5
    assert capsys.readouterr().out.splitlines() == shown
