"""Kind of job -> the domain function that does it, and the queue it waits in."""

from __future__ import annotations

from importlib import import_module

from curation.jobs import Handler, JobContext, JobError

# kind: (module:function, queue). "llm" holds work that mostly waits for a model.
HANDLERS: dict[str, tuple[str, str]] = {
    "import": ("curation.ingest:run_import", "default"),
    "dedup": ("curation.dedup:run_dedup", "default"),
    "decontaminate": ("curation.decontamination:run_decontaminate", "default"),
    "generate": ("curation.generation:run_generate", "llm"),
    "verify": ("curation.verification:run_verify", "default"),
    "grade": ("curation.difficulty.grade:run_grade", "default"),
    "make_problems": ("curation.puzzles:run_make_problems", "default"),
    "consensus": ("curation.consensus:run_consensus", "default"),
    "judge": ("curation.judging.run:run_judge", "llm"),
    "rank": ("curation.heimdall:run_rank", "default"),
    "segment": ("curation.segments:run_segment", "default"),
    "prove": ("curation.proofs:run_prove", "llm"),
    "refine": ("curation.refine:run_refine", "llm"),
    "derive": ("curation.derivations:run_derive", "default"),
    "select": ("curation.selection.run:run_select", "default"),
    "export": ("curation.exports.run:run_export", "default"),
    "embed": ("curation.search:run_embed", "default"),
    "probe": ("curation.generation:run_probe", "llm"),
    "queue": ("reviews.filling:run_fill", "default"),
    "demo": ("workers.demo:run_demo", "llm"),
}


def handler_for(kind: str) -> Handler:
    """The function for ``kind``; JobError ``unknown_kind`` when there is none."""
    if kind not in HANDLERS:
        raise JobError("unknown_kind", f"no such kind of job: {kind}")
    module, function = HANDLERS[kind][0].split(":")
    handler: Handler = getattr(import_module(module), function)
    return handler


def queue_for(kind: str) -> str:
    return HANDLERS[kind][1] if kind in HANDLERS else "default"


def run(context: JobContext) -> None:
    """Do the job of ``context``; an unknown kind fails it with its reason."""
    handler_for(context.job.kind)(context)
