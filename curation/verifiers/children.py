"""How the pool's children are started, and what they may do. Imported only with the pool."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import signal
import sys
import threading
import types
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext, ForkServerProcess

PR_SET_PDEATHSIG = 1


def limit_child(memory: int) -> None:
    """Runs first in each child: limits, default signals, and death with the fork server.

    ``memory`` is bytes of address space. An expression needs no files and no core; pebble's own
    SIGTERM handler is replaced, because a big-integer loop in C never lets a handler run.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


_main_lock = threading.Lock()


@contextlib.contextmanager
def hidden_main() -> Iterator[None]:
    """Keep a child from importing ``__main__``: a script without a guard would start itself again.

    multiprocessing reads the main module's file while it starts a child; for that moment an empty
    module stands in its place.
    """
    with _main_lock:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


class ChildProcess(ForkServerProcess):
    """A child that does not import the caller's main module."""

    def start(self) -> None:
        """Start the process; see :func:`hidden_main`."""
        with hidden_main():
            super().start()


class ChildContext(ForkServerContext):
    """The fork-server context with :class:`ChildProcess`."""

    Process = ChildProcess


def child_context() -> ChildContext:
    """Children are forked from a server that has the libraries loaded: in milliseconds."""
    context = ChildContext()
    context.set_forkserver_preload(["curation.verifiers.preload"])
    return context
