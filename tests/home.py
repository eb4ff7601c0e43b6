"""A pytest plugin loaded first (``-p tests.home``): the run's own home and short times.

Settings are read before any conftest, so this cannot stand in one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

SHORT = {
    "JOB_LEASE_SECONDS": "3",
    "JOB_HEARTBEAT_SECONDS": "0.5",
    "JOB_SWEEP_SECONDS": "1",
    "JOB_REWAKE_SECONDS": "2",
    "PROCESS_BEAT_SECONDS": "0.5",
    "PROCESS_DEAD_SECONDS": "3",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
}
for _name, _value in SHORT.items():
    os.environ.setdefault(_name, _value)


def clear(home: str) -> None:
    """End the servers of the run and remove its home."""
    from workers.services.ensure import stop_services

    try:
        stop_services()
    finally:
        shutil.rmtree(home, ignore_errors=True)


# Only the process that made the home ends it: with pytest-xdist its workers find it made.
if "WHITTLE_TEST_HOME" not in os.environ:
    os.environ["WHITTLE_TEST_HOME"] = tempfile.mkdtemp(prefix="whittle-test-")
    atexit.register(clear, os.environ["WHITTLE_TEST_HOME"])
os.environ["WHITTLE_HOME"] = os.environ["WHITTLE_TEST_HOME"]
