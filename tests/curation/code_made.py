"""A small problem with its tests and answers, for the tests of the code verifier."""

from __future__ import annotations

import pytest

from tests.curation.sandbox_holes import sandbox_here

needs_sandbox = pytest.mark.skipif(not sandbox_here(), reason="no sandbox here")
DOUBLE = "def double(n):\n    return 2 * n\n"
CHECK = {
    "test": "def check(c):\n    assert c(2) == 4\n    assert c(3) == 6\n",
    "entry_point": "double",
}
PROMPT = 'from typing import List\n\n\ndef double(n: int) -> int:\n    """Twice n."""\n'
BLOCK = f"```python\n{DOUBLE}```"


STDIO = {"inputs": ["1", "2"], "outputs": ["1", "2"]}
