"""The runner's code, compiled once by the sandbox's own interpreter, sent to each sandbox.

Nothing of it lies in a file inside, and no sandbox compiles it again.
"""

from __future__ import annotations

import base64
import fcntl
import functools
import json
import os
import threading
from pathlib import Path

from .bwrap import SandboxLimits, SandboxUnavailable, run_python
from .tree import Tree

PACKAGE = "whittle_inside"
FOLDER = Path(__file__).with_name("inside")

# Where a sandbox finds the descriptor of the bundle.
FD = 8

_COMPILE = """
import base64, json, marshal
codes = {name: marshal.dumps(compile(text, "<" + name + ">", "exec", dont_inherit=True, optimize=2))
         for name, text in json.loads(SOURCES).items()}
index, at = {}, 0
for name, code in codes.items():
    index[name] = at, len(code)
    at += len(code)
head = marshal.dumps(index)
whole = len(head).to_bytes(4, "big") + head + b"".join(codes.values())
print(base64.b64encode(whole).decode())
"""

# Makes the bundle's modules importable, hands over. Kept short: it is compiled each time.
BOOT = f"""
import sys, posix, marshal, gc
gc.disable()
if sys.argv[1] != "{FD}":
    posix.dup2(int(sys.argv[1]), {FD}, False)
size = int.from_bytes(posix.pread({FD}, 4, 0), "big")
index = marshal.loads(posix.pread({FD}, size, 4))
Spec = sys.modules["_frozen_importlib"].ModuleSpec
class Bundle:
    def find_spec(name, path=None, target=None):
        if name in index:
            return Spec(name, Bundle, is_package=name == "{PACKAGE}")
    def create_module(spec):
        return None
    def exec_module(module):
        at, length = index[module.__name__]
        exec(marshal.loads(posix.pread({FD}, length, 4 + size + at)), module.__dict__)
sys.meta_path.insert(0, Bundle)
from {PACKAGE}.runner import main
main()
"""


_lock = threading.Lock()


def bundle(tree: Tree) -> int:
    """A descriptor of the bundle for a tree, which nobody can write to any more.

    The same one for all threads. SandboxUnavailable where it cannot be compiled.
    """
    with _lock:
        return _bundle(tree)


@functools.cache
def _bundle(tree: Tree) -> int:
    sources = {PACKAGE: ""}
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem != "__init__":
            sources[f"{PACKAGE}.{path.stem}"] = path.read_text()
    program = f"SOURCES = {json.dumps(sources)!r}\n{_COMPILE}"
    done = run_python(program, [], SandboxLimits(), tree=tree)
    try:
        raw = base64.b64decode(done.stdout.strip(), validate=True)
    except ValueError:
        raw = b""
    if done.returncode != 0 or not raw:
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SandboxUnavailable(f"the runner does not compile: {why[-1:] or done.returncode}")
    fd = os.memfd_create("bundle", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, raw)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd
