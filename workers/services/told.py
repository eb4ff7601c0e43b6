"""What a part that works on other people's programs and models is told of our environment.

A list of what it may know, not of what it may not: a key may stand in a variable of any name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

# Where programs and files are, how words and times are written, how many threads to use.
SYSTEM = (
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TMP|TEMP|VIRTUAL_ENV"
    r"|LD_LIBRARY_PATH|SSL_CERT_FILE|SSL_CERT_DIR"
    r"|PYTHON(PATH|HOME|UNBUFFERED|DONTWRITEBYTECODE|WARNINGS|HASHSEED|UTF8|FAULTHANDLER)"
    r"|(OMP|MKL|OPENBLAS|NUMEXPR|RAYON|VECLIB)_NUM_THREADS"
)
OURS = (
    r"WHITTLE_(HOME|VERIFIER_SOCKET|SANDBOX_CGROUP|SANDBOX_TREE|SERVICE_USER)"
    r"|VERIFIER_WORKERS|LOG_LEVEL|DJANGO_SETTINGS_MODULE|PORT"
)
# Which accelerator, and where libraries of models keep their files; never a hub's token.
MODELS = (
    r"(CUDA|NVIDIA|NCCL|HIP|ROCR|TORCH|PYTORCH|TRITON|TOKENIZERS|TRANSFORMERS)_[A-Z0-9_]+"
    r"|HF_(HOME|HUB_OFFLINE|HUB_CACHE|DATASETS_OFFLINE|DATASETS_CACHE)|XDG_CACHE_HOME"
)
SECRET = re.compile(r"TOKEN$|PASSWORD|SECRET|CREDENTIAL|_KEY$|_KEY_")


def told_to_verifier(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The part of an environment that the verifier service may know."""
    return _kept(given, rf"{SYSTEM}|{OURS}")


def told_to_models(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The same for the demo teacher and the trainer, which also use an accelerator."""
    return _kept(given, rf"{SYSTEM}|{OURS}|{MODELS}")


def _kept(given: Mapping[str, str], names: str) -> dict[str, str]:
    return {
        name: value
        for name, value in given.items()
        if re.fullmatch(names, name) and not SECRET.search(name)
    }
