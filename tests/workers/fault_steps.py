"""The steps of the fault tests: kinds of jobs in order, where each is hit, all that each writes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

PROBLEMS, BAD_ROWS, COPIES = 560, 3, 580
ASKED, SAMPLES = 60, 4
# What is run in this order: a name, the kind of job, and how its parameters differ.
STEPS = {
    "import": "import",
    "embed": "embed",
    "dedup": "dedup",
    "decontaminate": "decontaminate",
    "verify": "verify",
    "grade": "grade",
    "segment": "segment",
    "select": "select",
    "freeze": "select",
    "queue": "queue",
    "export": "export",
    "publish": "export",
    "generate": "generate",
    "make_problems": "make_problems",
    "consensus": "consensus",
    "judge": "judge",
    "rank": "rank",
    "prove": "prove",
    "refine": "refine",
    "derive": "derive",
    "probe": "probe",
}
# Kinds that are no step, and where they are hit.
ELSEWHERE = {"demo": "test_a_worker_killed_while_the_demo_waits_for_its_teacher"}
# Steps hit in the middle, and the table in whose write, where the writes are long enough for that.
MIDDLE = {
    "import": "curation_trace",
    "verify": "curation_verdict",
    "grade": None,
    "segment": "curation_segment",
    "embed": None,
    "decontaminate": None,
    "select": None,
    "queue": None,
    "export": None,
    "generate": "curation_trace",
    "make_problems": None,
    "consensus": None,
    "judge": "curation_judgevote",
    "rank": None,
    "prove": None,
    "refine": "curation_refineanswer",
    "derive": "curation_trace",
}
# Steps hit in the transaction that writes the outcome of all their work.
LAST = {
    "dedup": "curation_duplicatemember",
    "freeze": "curation_selectionexclusion",
    "publish": "curation_export",
    "probe": "curation_modelendpoint",
}
RECIPES = {"select": "dpo-correct-incorrect", "freeze": "sft-verified"}
# Counts that hold row ids or depend on their length: not the same in two projects.
OWN = ("selection", "export", "bytes")

SUBJECT = "t.text_sha256 AS trace, t.sample_no, t.model, p.text_sha256 AS problem"
OF_TRACE = (
    "JOIN curation_trace t ON t.id = {0}.trace_id JOIN curation_problem p ON p.id = t.problem_id"
)
# kind -> queries of all it writes, by project.
WRITTEN: dict[str, tuple[str, ...]] = {
    "import": (
        "SELECT name, adapter, licence, mapping FROM curation_source WHERE project_id = %s",
        "SELECT f.name, f.sha256, f.bytes, f.rows FROM curation_sourcefile f"
        " JOIN curation_source s ON s.id = f.source_id WHERE s.project_id = %s",
        "SELECT text, norm_sha256, kind, reference_answer, metadata, char_count, search_text"
        " FROM curation_problem WHERE project_id = %s",
        "SELECT p.text_sha256, o.file, o.line, o.byte_offset, o.reference_answer"
        " FROM curation_problemoccurrence o JOIN curation_problem p ON p.id = o.problem_id"
        " WHERE p.project_id = %s",
        "SELECT p.text_sha256 AS problem, t.identity, t.text, t.model, t.messages, t.sample_no,"
        " t.reasoning_start, t.reasoning_end, t.answer_start, t.answer_end, t.upstream, t.metadata"
        " FROM curation_trace t JOIN curation_problem p ON p.id = t.problem_id"
        " WHERE t.project_id = %s",
        "SELECT r.file, r.line, r.byte_offset, r.reason, r.raw_sha256 FROM curation_importreject r"
        " JOIN curation_source s ON s.id = r.source_id WHERE s.project_id = %s",
    ),
    "verify": (
        f"SELECT {SUBJECT}, v.verifier, v.version, v.reference_sha256, v.verdict, v.score,"
        f" v.method, v.reason, v.extracted FROM curation_verdict v {OF_TRACE.format('v')}"
        " WHERE t.project_id = %s",
    ),
    "grade": (
        "SELECT p.text_sha256, d.model, d.sampling_hash, d.policy, d.correct, d.incorrect,"
        " d.unverifiable, d.error, d.pass_rate, d.wilson_low, d.detail FROM curation_difficulty d"
        " JOIN curation_problem p ON p.id = d.problem_id WHERE p.project_id = %s",
    ),
    "segment": (
        f"SELECT {SUBJECT}, g.segmenter, g.leaves, g.first_correct, g.summary"
        f" FROM curation_segmentation g {OF_TRACE.format('g')} WHERE t.project_id = %s",
        f'SELECT {SUBJECT}, s.index, s.start, s."end", s.kind, s.path, s.quote_sha256'
        " FROM curation_segment s JOIN curation_segmentation g ON g.id = s.segmentation_id"
        f" {OF_TRACE.format('g')} WHERE t.project_id = %s",
        f'SELECT {SUBJECT}, c.policy, c.start, c."end", c.reason, c.quote_sha256'
        " FROM curation_cutproposal c JOIN curation_segmentation g ON g.id = c.segmentation_id"
        f" {OF_TRACE.format('g')} WHERE t.project_id = %s",
    ),
    "embed": ("SELECT text_sha256, embedding::text FROM curation_problem WHERE project_id = %s",),
    "dedup": (
        "SELECT c.method, c.parameters, k.text_sha256 AS kept, p.text_sha256 AS copy, m.score"
        " FROM curation_duplicatecluster c JOIN curation_problem k ON k.id = c.kept_id"
        " JOIN curation_duplicatemember m ON m.cluster_id = c.id"
        " JOIN curation_problem p ON p.id = m.problem_id WHERE c.project_id = %s",
    ),
    "decontaminate": (
        "SELECT p.text_sha256, i.text, h.method, h.score, h.evidence FROM curation_benchmarkhit h"
        " JOIN curation_problem p ON p.id = h.problem_id"
        " JOIN curation_benchmarkitem i ON i.id = h.item_id WHERE p.project_id = %s",
    ),
    "select": (
        "SELECT name, version, spec FROM curation_recipe WHERE project_id = %s",
        "SELECT candidates, selected, excluded, summary FROM curation_selection"
        " WHERE project_id = %s",
        f"SELECT {SUBJECT}, r.position, r.hashes, r.detail FROM curation_selectionrow r"
        f" {OF_TRACE.format('r')} WHERE t.project_id = %s",
        f"SELECT {SUBJECT}, x.reason FROM curation_selectionexclusion x"
        f" {OF_TRACE.format('x')} WHERE t.project_id = %s",
    ),
    "queue": (
        "SELECT name, filters, overlap FROM reviews_queue WHERE project_id = %s",
        f"SELECT {SUBJECT}, i.position, i.savings FROM reviews_queueitem i"
        f" {OF_TRACE.format('i')} WHERE t.project_id = %s",
    ),
    "export": (
        "SELECT format, rows, manifest -> 'counts' AS counts FROM curation_export"
        " WHERE project_id = %s",
    ),
    "generate": (
        f"SELECT {SUBJECT}, t.text, t.sampling, t.finish_reason, t.completion_tokens,"
        " t.manifest -> 'seed' AS seed FROM curation_trace t"
        " JOIN curation_problem p ON p.id = t.problem_id"
        " WHERE t.project_id = %s AND t.origin = 'generated'",
        "SELECT sample_no FROM curation_failedgeneration WHERE project_id = %s",
    ),
    "make_problems": (
        "SELECT text, norm_sha256, kind, reference_answer, metadata FROM curation_problem"
        " WHERE project_id = %s AND kind = 'logic'",
    ),
    "consensus": (
        "SELECT p.text_sha256, r.method, r.params, r.answer, r.votes, r.total, r.table"
        " FROM curation_pseudoreference r JOIN curation_problem p ON p.id = r.problem_id"
        " WHERE p.project_id = %s",
        f"SELECT {SUBJECT}, v.version, v.verdict, v.score, v.reason FROM curation_verdict v"
        f" {OF_TRACE.format('v')} WHERE t.project_id = %s AND v.verifier LIKE 'consensus-%%'",
    ),
    "judge": (
        f'SELECT {SUBJECT}, j.verifier, j.version, j."order", j.number, j.verdict, j.reason'
        f" FROM curation_judgevote j {OF_TRACE.format('j')} WHERE t.project_id = %s",
        f"SELECT {SUBJECT}, v.version, v.verdict, v.reason FROM curation_verdict v"
        f" {OF_TRACE.format('v')} WHERE t.project_id = %s AND v.verifier LIKE 'judge-%%'",
    ),
    "rank": (
        "SELECT p.text_sha256, r.params, r.answer, r.votes, r.total, r.share, r.table"
        " FROM curation_pseudoreference r JOIN curation_problem p ON p.id = r.problem_id"
        " WHERE p.project_id = %s AND r.method = 'heimdall'",
    ),
    "prove": (
        f"SELECT {SUBJECT}, c.arm, c.policy, c.position, c.kept, c.prefix_sha256, c.sampling_hash,"
        f" c.verdict FROM curation_continuationprobe c {OF_TRACE.format('c')}"
        " WHERE t.project_id = %s",
    ),
    "derive": (
        "SELECT p.text_sha256 AS problem, t.text, t.kept_ranges, t.insertions, t.metadata"
        " FROM curation_trace t JOIN curation_problem p ON p.id = t.problem_id"
        " WHERE t.project_id = %s AND t.origin = 'derived'",
    ),
    "probe": ("SELECT name, capabilities FROM curation_modelendpoint WHERE project_id = %s",),
    "refine": (
        f'SELECT {SUBJECT}, a.task, a.start, a."end", a.prompt_sha256, a.sample_no, a.text,'
        f" a.accepted, a.reason FROM curation_refineanswer a {OF_TRACE.format('a')}"
        " WHERE t.project_id = %s",
    ),
}


# Four checks of the traces of every eighth problem, made up from hashes: what ``rank`` reads.
VOTES = """
INSERT INTO curation_judgevote (trace_id, judge, verifier, version, reference_sha256, identity,
    "order", round, number, verdict, reason, text, manifest, created_at)
SELECT t.id, 'made', 'judge-made-solution-check', '1', '', 'made ' || n, 0, 0, n,
    CASE WHEN get_byte(decode(t.text_sha256, 'hex'), n) < 128 THEN 'correct' ELSE 'incorrect' END,
    '', '', '{}', clock_timestamp()
FROM curation_trace t JOIN curation_problem p ON p.id = t.problem_id, generate_series(0, 3) n
WHERE t.project_id = %s AND get_byte(decode(p.text_sha256, 'hex'), 0) < 32
ON CONFLICT DO NOTHING
"""


def made_rows(seed: int = 7) -> list[dict[str, Any]]:
    """Sums with two traces each; every twentieth comes again with other punctuation."""
    draw = random.Random(seed)
    rows = []
    for number in range(PROBLEMS):
        a, b, c = (draw.randrange(10, 9999) for _ in range(3))
        right = a + b + c
        traces = [
            f"<think>\nAdd {a} and {b}: {a + b}. Then add {c}.\n\nSo the answer is {said}.\n\n"
            f"Wait, let me check that again. {a} + {b} = {a + b}, and {c} more is {said}.\n\n"
            f"Alternatively, {b} + {c} = {b + c}, and {a} more is {said}.\n</think>\n\n"
            f"The answer is \\boxed{{{said}}}."
            for said in (right, right + draw.randrange(2))
        ]
        text = f"What is the sum of {a} + {b} + {c}?"
        rows.append({"problem": text, "answer": str(right), "generations": traces})
        if number % 20 == 0:
            rows.append(rows[-1] | {"problem": f"What is the sum of: ({a}) + {b} + {c} ...?"})
    return rows


def made_file(path: Path) -> None:
    """A JSONL file of the made rows, some of them twice, and some broken lines."""
    lines = [json.dumps(row) for row in made_rows()]
    lines += lines[:COPIES] + ['{"problem": '] * BAD_ROWS
    random.Random(1).shuffle(lines)
    path.write_text("\n".join(lines) + "\n")


def made_model(folder: Path) -> None:
    """A static embedding model of random vectors for digits and a few words."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", *"0123456789", *["what", "is", "the", "sum", "of", "then"]]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    vectors = np.random.default_rng(0).normal(size=(len(words), 256)).astype(np.float32)
    StaticModel(vectors, tokenizer).save_pretrained(str(folder))
