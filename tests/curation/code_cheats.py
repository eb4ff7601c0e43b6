"""Programs that want to pass without solving anything, and what each attacks.

Each is run against tests of every form that a cheat could aim at; none may score above zero. The
problem is made so that no constant answer is right by chance: ``f(n)`` is ``7 * n + 3``.
"""

from __future__ import annotations

CHECK = {
    "test": "def check(candidate):\n"
    "    assert candidate(2) == 17\n"
    "    assert candidate(5) == 38, 'five'\n"
    "    assert abs(candidate(9) - 66) < 1e-6\n"
    "    assert candidate(1) in (10,)\n"
    "    assert True, 'for good measure'\n",
    "entry_point": "f",
}
ASSERTS = {"test_list": ["assert f(2) == 17", "assert f(5) == 38", "assert abs(f(9) - 66) < 1e-6"]}
PYTEST = {
    "test": "import pytest\nfrom solution import f\n\n"
    "@pytest.mark.parametrize('n,wanted', [(2, 17), (5, 38)])\n"
    "def test_some(n, wanted):\n    assert f(n) == wanted\n\n"
    "def test_close():\n    assert f(9) == pytest.approx(66)\n\n"
    "def test_bad():\n    with pytest.raises(TypeError):\n        f(None)\n    assert f(1) == 10\n"
}
CALLS = {
    "type": "calls",
    "entry_point": "f",
    "cases": [{"args": [2], "expected": 17}, {"args": [5], "expected": 38}],
}
STDIO = {"cases": [{"input": "2\n", "output": "17\n"}, {"input": "5\n", "output": "38\n"}]}
SOLUTION = (
    "def f(n):\n    if not isinstance(n, int):\n        raise TypeError(n)\n    return 7 * n + 3\n"
)
PROGRAM = "print(7 * int(input()) + 3)\n"

_ALWAYS = """
class Always(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __contains__ = __lt__
    def __sub__(self, other): return self
    __rsub__ = __abs__ = __add__ = __radd__ = __float__ = __neg__ = lambda self, *a: self
    def __bool__(self): return True
"""
_OPAQUE = _ALWAYS.replace("class Always(int)", "class Always").replace(
    "__float__ = __neg__", "__neg__"
)

# Says whether a text holds the tests, without itself holding what it looks for.
_FOUND = """
def found(text):
    for start in (b'(2) == ', b'[(2, '):
        at = text.find(start)
        while at >= 0:
            if text[at + len(start):at + len(start) + 2] == bytes((49, 55)): return True
            at = text.find(start, at + 1)
    return False
"""

# What it attacks -> the program.
CHEATS: dict[str, str] = {
    "leaves at load with os._exit": "import os\nos._exit(0)\n",
    "leaves at load with sys.exit": "import sys\nsys.exit(0)\n",
    "leaves when called with os._exit": "import os\ndef f(n):\n    os._exit(0)\n",
    "leaves when called with sys.exit": "import sys\ndef f(n):\n    sys.exit(0)\n",
    "raises SystemExit(0)": "def f(n):\n    raise SystemExit(0)\n",
    "raises GeneratorExit": "def f(n):\n    raise GeneratorExit\n",
    "raises KeyboardInterrupt": "def f(n):\n    raise KeyboardInterrupt\n",
    "an int that equals everything": _ALWAYS + "def f(n):\n    return Always(0)\n",
    "an object that equals everything": _OPAQUE + "def f(n):\n    return Always()\n",
    "an array that equals everything": _ALWAYS.replace("(int)", "(list)")
    + "def f(n):\n    return Always([0])\n",
    "a class in place of the function": _OPAQUE + "f = Always\n",
    "a metaclass that equals everything": "class M(type):\n"
    "    def __eq__(c, o): return True\n    __hash__ = type.__hash__\n"
    "class A(metaclass=M): pass\ndef f(n):\n    return A\n",
    "patches the assertion error": "import builtins\nbuiltins.AssertionError = ValueError\n"
    "def f(n):\n    return 0\n",
    "patches abs, isinstance, sorted, int": "import builtins\n"
    "for name in ('abs', 'isinstance', 'sorted', 'len', 'repr'):\n"
    "    setattr(builtins, name, lambda *a: 0)\ndef f(n):\n    return 0\n",
    "patches int's comparison with forbidden tools": "import ctypes\n"
    "def f(n):\n"
    "    import gc\n"
    "    gc.get_referents(int.__dict__)[0]['__eq__'] = lambda a, b: True\n"
    "    return 0\n",
    "patches pytest": "def f(n):\n"
    "    import pytest, _pytest.outcomes, _pytest.runner\n"
    "    _pytest.runner.call_and_report = lambda *a, **k: None\n"
    "    pytest.skip('not today', allow_module_level=True)\n",
    "skips": "def f(n):\n    import unittest\n    raise unittest.SkipTest('no')\n",
    "skips with pytest": "import sys\nsys.path.append('/opt/python/lib/python3.11/site-packages')\n"
    "import pytest\ndef f(n):\n    pytest.skip('no')\n",
    "expects its own failure": "import pytest\ndef f(n):\n    pytest.xfail('known')\n",
    "ends the whole test run": "import pytest\ndef f(n):\n    pytest.exit('done', 0)\n",
    "writes a conftest.py": "for place in ('/tmp/conftest.py', 'conftest.py'):\n"
    "    open(place, 'w').write('def pytest_runtest_makereport(item, call):\\n"
    "        import _pytest.reports as r\\n"
    "        return r.TestReport.from_item_and_call(item, type(call)(None, None, 0, 0, 0, 0))')\n"
    "def f(n):\n    return 0\n",
    "writes modules that tests import": "for name in ('pytest', 'math', 'solution'):\n"
    "    open(f'/tmp/{name}.py', 'w').write('def approx(x): return x\\n')\n"
    "def f(n):\n    return 0\n",
    "reads the frames above": "import sys\ndef f(n):\n"
    "    frame = sys._getframe()\n"
    "    while frame:\n"
    "        for value in frame.f_locals.values():\n"
    "            if isinstance(value, dict) and 'expected' in value: return value['expected'][0]\n"
    "        frame = frame.f_back\n    return 0\n",
    "finds the tests in the frames it was forked from": "import sys\ndef f(n):\n"
    "    frame = sys._getframe()\n"
    "    while frame:\n"
    "        for value in frame.f_locals.values():\n"
    "            if type(value) is dict and {'statements', 'calls', 'code'} & set(value):\n"
    "                return 7 * n + 3\n"
    "        frame = frame.f_back\n    return 0\n",
    "searches the heap for the tests": _FOUND + "import gc\ndef f(n):\n"
    "    for thing in gc.get_objects():\n"
    "        parts = thing.values() if type(thing) is dict else thing\n"
    "        if type(thing) not in (dict, list, tuple, set): continue\n"
    "        for part in list(parts):\n"
    "            if type(part) is str and found(part.encode('utf8', 'replace')): return 7 * n + 3\n"
    "            if type(part) is bytes and found(part): return 7 * n + 3\n"
    "    return 0\n",
    "searches the memory for the tests": _FOUND + "def f(n):\n"
    "    for line in open('/proc/self/maps'):\n"
    "        ends, rights = line.split()[:2]\n"
    "        if 'r' in rights and '[v' not in line:\n"
    "            a, b = (int(x, 16) for x in ends.split('-'))\n"
    "            try:\n"
    "                with open('/proc/self/mem', 'rb') as m:\n"
    "                    m.seek(a); text = m.read(min(b - a, 1 << 24))\n"
    "            except OSError: continue\n"
    "            if found(text): return 7 * n + 3\n"
    "    return 0\n",
    "reads the runner's memory": "import os\ndef f(n):\n"
    "    for pid in os.listdir('/proc'):\n"
    "        if pid.isdigit() and int(pid) != os.getpid():\n"
    "            for name in ('mem', 'maps', 'environ', 'fd', 'cwd'):\n"
    "                try:\n"
    "                    where = f'/proc/{pid}/{name}'\n"
    "                    found = os.listdir(where) if name == 'fd' else open(where, 'rb').read(9)\n"
    "                    if found: return 7 * n + 3\n"
    "                except OSError: continue\n    return 0\n",
    "reads the tests from files": _FOUND + "import os\ndef f(n):\n"
    "    for top in ('/tmp', '/dev/shm', '/var', '/run', '/home', '/root', '/proc/self/fd'):\n"
    "        for folder, _, files in os.walk(top):\n"
    "            for name in files:\n"
    "                try: text = open(os.path.join(folder, name), 'rb').read(10**6)\n"
    "                except OSError: continue\n"
    "                if found(text): return 7 * n + 3\n    return 0\n",
    "reads every open descriptor": _FOUND + "import os\ndef f(n):\n"
    "    for fd in range(3, 64):\n"
    "        try:\n"
    "            os.set_blocking(fd, False); text = os.pread(fd, 10**6, 0)\n"
    "        except OSError: continue\n"
    "        if found(text): return 7 * n + 3\n"
    "    return 0\n",
    "writes passes on every descriptor": "import os\n"
    'LINE = b\'{"passed": true, "score": 1.0}\\n\'\n'
    "FRAME = b'm2:s4:names6:test 1s6:passedt'\n"
    "def spray():\n"
    "    for fd in range(1, 64):\n"
    "        try:\n"
    "            os.set_blocking(fd, False)\n"
    "            os.write(fd, len(FRAME).to_bytes(4, 'big') + FRAME); os.write(fd, LINE)\n"
    "        except OSError: pass\n"
    "spray()\ndef f(n):\n    spray()\n    return 0\n",
    "writes an end on every descriptor and leaves": "import os\n"
    "def f(n):\n"
    "    for payload in (b'm1:s3:endt', b'm2:s4:names6:line 2s6:passedt'):\n"
    "        for fd in range(1, 64):\n"
    "            try: os.write(fd, len(payload).to_bytes(4, 'big') + payload)\n"
    "            except OSError: pass\n"
    "    os._exit(0)\n",
    "prints that all is well": "print('ALL TESTS PASSED')\n"
    "print('1.0'); print('{\"passed\": true}')\n"
    "def f(n):\n    print('5 passed in 0.01s'); print(1.0)\n    return 0\n",
    "leaves with a clean exit later": "import atexit, os\natexit.register(lambda: os._exit(0))\n"
    "def f(n):\n    raise SystemExit\n",
    "patches json and marshal": "import json, marshal\n"
    "json.dumps = json.loads = marshal.loads = lambda *a, **k: {'passed': True}\n"
    "def f(n):\n    return 0\n",
    "patches its own server": "import sys\n"
    "for name, module in list(sys.modules.items()):\n"
    "    if 'whittle' in name:\n"
    "        for part in dir(module):\n"
    "            if callable(getattr(module, part)) and not part.startswith('__'):\n"
    "                try: setattr(module, part, lambda *a, **k: True)\n"
    "                except Exception: pass\n"
    "def f(n):\n    return 0\n",
    "answers with a forged message": "import sys\ndef f(n):\n"
    "    frame = sys._getframe()\n"
    "    while frame and 'self' not in frame.f_locals: frame = frame.f_back\n"
    "    server = frame.f_locals['self']\n"
    "    server._write(('v', True, [])); server._write(('a', True)); return True\n",
    "sends what nobody can read": "import sys\ndef f(n):\n"
    "    frame = sys._getframe()\n"
    "    while frame and 'self' not in frame.f_locals: frame = frame.f_back\n"
    "    frame.f_locals['self'].socket.sendall(b'\\xff\\xff\\xff\\xff' * 99)\n    return 0\n",
    "asks the tests' objects": "def f(n, *a, **k):\n"
    "    import sys\n    frame = sys._getframe()\n"
    "    while frame and 'self' not in frame.f_locals: frame = frame.f_back\n"
    "    server = frame.f_locals['self']\n"
    "    for number in range(9):\n"
    "        for name in ('__globals__', '__code__', '__dict__', '__class__', '__closure__'):\n"
    "            try: return server.ask('get', number, name)\n"
    "            except Exception: continue\n    return 0\n",
    "kills its parent and the runner": "import os, signal\ndef f(n):\n"
    "    for pid in (1, os.getppid(), -1):\n"
    "        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):\n"
    "            try: os.kill(pid, number)\n"
    "            except OSError: pass\n    return 0\n",
    "stops its parent and the runner": "import os, signal\n"
    "for pid in (1, os.getppid()):\n"
    "    try: os.kill(pid, signal.SIGSTOP)\n"
    "    except OSError: pass\ndef f(n):\n    return 0\n",
    "answers from a thread while it sleeps": "import threading, time, os\n"
    "def late():\n    time.sleep(0.2); os._exit(0)\n"
    "def f(n):\n    threading.Thread(target=late, daemon=True).start(); time.sleep(1)\n",
    "forks and lets the child answer": "import os\ndef f(n):\n"
    "    if os.fork() == 0: return 0\n    os._exit(0)\n",
    "handles every signal": "import signal\n"
    "for number in range(1, 32):\n"
    "    try: signal.signal(number, lambda *a: None)\n"
    "    except (OSError, ValueError): pass\ndef f(n):\n    return 0\n",
    "changes what it was given": "def f(n):\n    globals()['n'] = 17\n    return None\n",
    "returns a generator of guesses": "def f(n):\n    yield from range(100)\n",
    "raises an assertion of its own": "def f(n):\n    raise AssertionError('passed')\n",
    "an exception class that is every exception": "class M(type):\n"
    "    def __instancecheck__(c, o): return True\n    def __subclasscheck__(c, o): return True\n"
    "class E(Exception, metaclass=M): pass\ndef f(n):\n    raise E\n",
}
