"""Imported by the fork server before it forks: loads the algebra libraries for all children."""

from __future__ import annotations

import logging

from curation.verifiers import engine

# The library warns at each start that its timeouts are off; ours replace them.
logging.getLogger("math_verify").setLevel(logging.ERROR)
engine.warm_up()
