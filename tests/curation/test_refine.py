"""The optional pass of a model over traces: taken when faithful, refused with a reason when not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from curation.jobs import JobError
from curation.models import ModelEndpoint, Problem, RefineAnswer, Segmentation, Source, Trace
from curation.refine import run_refine
from curation.segmentation import llm
from tests.curation.granting import granted
from tests.fakes.openai_server import Reply, ScriptedServer, completion

pytestmark = pytest.mark.django_db

TEXT = (
    "<think>\nI need 3 · 4 + 2. First 3 · 4 = 12.\n\nThen $12 + 2 = 14$.\n\n"
    "So the answer is 14.\n\nWait, let me check: 12 + 2 = 14. Yes, that is right. 𝑥 🎉\n\n"
    "Therefore, the answer is 14.\n</think>\n\nThe answer is \\boxed{14}."
)
FINER = [
    "I need 3 · 4 + 2.", "First 3 · 4 = 12.", "Then $12 + 2 = 14$.", "So the answer is 14.",
    "Wait, let me check: 12 + 2 = 14.", "Yes, that is right. 𝑥 🎉", "Therefore, the answer is 14.",
]  # fmt: skip


def asked_text(body: dict[str, Any]) -> str:
    prompt: str = body["messages"][0]["content"]
    return prompt.partition("<text>\n")[2].rpartition("\n</text>")[0]


def says(make: Callable[[dict[str, Any]], str]) -> Callable[[dict[str, Any]], Reply]:
    return lambda body: completion(body, [make(body)])


def labels(body: dict[str, Any]) -> str:
    lines = body["messages"][0]["content"].splitlines()[1:]
    return json.dumps({line.partition(":")[0]: "plan" for line in lines})


@pytest.fixture
def server() -> Any:
    with ScriptedServer(fallback=says(lambda body: json.dumps(FINER))) as running:
        yield running


@pytest.fixture
def trace(project: Any, server: ScriptedServer) -> Trace:
    source = Source.objects.create(project=project, name="made")
    granted(project, server.url)
    ModelEndpoint.objects.create(
        project=project, name="helper", base_url=server.url, model="fake", sampling={"seed": 1}
    )
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    problem = Problem.objects.create(
        project=project, source=source, text="3 · 4 + 2?", kind="math", text_sha256=digest,
        norm_sha256=digest, reference_answer="14",
    )  # fmt: skip
    return Trace.objects.create(
        project=project, problem=problem, source=source, origin="imported", identity=digest,
        text=TEXT, text_sha256=digest, char_count=len(TEXT),
    )  # fmt: skip


def leaves_of(trace: Trace, by: str) -> list[tuple[str, str]]:
    row = Segmentation.objects.get(trace=trace, segmenter__endswith=by)
    parts = row.segments.order_by("index").values_list("start", "end", "kind")
    return [(TEXT[start:end], kind) for start, end, kind in parts]


def test_a_faithful_split_becomes_a_segmentation_beside_the_rules(
    trace: Trace, run_job: Callable[..., Any]
) -> None:
    job = run_job(run_refine, "refine", teacher="helper", task="split")
    leaves = leaves_of(trace, "+split:helper")
    assert "".join(leaf for leaf, _ in leaves) == TEXT
    assert [leaf.strip() for leaf, kind in leaves if kind != "tag"][:-1] == FINER
    assert (job.counts["asked"], job.counts["accepted"], job.counts["made"]) == (1, 1, 1)
    row = Segmentation.objects.get()
    assert row.summary["model"] == {"endpoint": "helper", "parts": 1, "accepted": 1}
    assert row.first_correct is not None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (json.dumps([*FINER[:-1], "Therefore, the answer is 15."]), llm.INVENTED),
        (json.dumps([*FINER, "I hope this helps!"]), llm.INVENTED),
        (json.dumps(FINER[:-1]), llm.LOST),
        (json.dumps([FINER[1], FINER[0], *FINER[2:]]), llm.REORDERED),
        ("", llm.EMPTY),
        ("Sure! Here are the steps.", llm.NOT_JSON),
        (json.dumps({"steps": FINER}), llm.WRONG_SHAPE),
        (json.dumps([*FINER[:2], "Then $12", "+ 2 = 14$.", *FINER[3:]]), llm.INSIDE_FORMULA),
        (json.dumps([*FINER, "a" * 100_000]), "unreadable"),
    ],
)
def test_an_unfaithful_split_changes_nothing_and_says_why(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any], answer: str, code: str
) -> None:
    server.fallback = says(lambda body: answer)
    job = run_job(run_refine, "refine", teacher="helper", task="split", tries=2)
    assert job.counts["refused_reasons"] == {code: 2}
    assert (job.counts["made"], job.counts["kept_rules"]) == (0, 1)
    assert not Segmentation.objects.exists()
    rows = RefineAnswer.objects.order_by("sample_no")
    assert [(row.reason, row.accepted, row.sample_no) for row in rows] == [
        (code, False, 0), (code, False, 1),
    ]  # fmt: skip
    assert all(row.detail for row in rows)
    assert Trace.objects.get().text == TEXT


def test_an_answer_cut_off_by_its_limit_is_refused_as_such(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any]
) -> None:
    server.fallback = lambda body: completion(body, [json.dumps(FINER)], finish="length")
    job = run_job(run_refine, "refine", teacher="helper", task="split", tries=1)
    assert job.counts["refused_reasons"] == {"truncated": 1}


def test_a_refused_answer_is_asked_for_again_with_another_seed_and_then_never(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any]
) -> None:
    answers = iter(["[]", json.dumps(FINER)])
    server.fallback = says(lambda body: next(answers))
    job = run_job(run_refine, "refine", teacher="helper", task="split", tries=3)
    assert (job.counts["refused"], job.counts["accepted"], job.counts["made"]) == (1, 1, 1)
    assert len({chat.body["seed"] for chat in server.chats}) == 2
    again = run_job(run_refine, "refine", teacher="helper", task="split", tries=3)
    assert (again.counts["asked"], len(server.chats)) == (0, 2)
    assert RefineAnswer.objects.count() == 2
    assert Segmentation.objects.count() == 1


def test_labels_of_a_model_replace_the_kinds_of_the_rules_but_not_firm_answers(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any]
) -> None:
    server.fallback = says(labels)
    run_job(run_refine, "refine", teacher="helper", task="label")
    kinds = {kind for _, kind in leaves_of(trace, "+label:helper")}
    assert kinds == {"tag", "plan", "final_answer"}


def test_a_label_for_too_few_steps_is_refused(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any]
) -> None:
    server.fallback = says(lambda body: '{"0": "plan"}')
    job = run_job(run_refine, "refine", teacher="helper", task="label", tries=1)
    assert job.counts["refused_reasons"] == {llm.MISSING_STEP: 1}


def test_a_bridge_over_a_seam_is_an_insertion_of_a_derived_trace(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any]
) -> None:
    server.fallback = says(lambda body: "That settles it.")
    job = run_job(run_refine, "refine", teacher="helper", task="smooth")
    derived = Trace.objects.get(parent=trace)
    assert "So the answer is 14.\n\nThat settles it. Therefore" in derived.text
    assert any("That settles it." in put for _, put in derived.insertions)
    assert derived.metadata["bridges"]["endpoint"] == "helper"
    assert derived.metadata["cuts"][-1]["text"] == "That settles it."
    assert job.counts["made"] == 1
    run_job(run_refine, "refine", teacher="helper", task="smooth")
    assert Trace.objects.filter(parent=trace).count() == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [("So it is 17.", llm.NEW_NUMBER), ("Wait, yes.", llm.DANGLING), ("\\(x\\)", llm.MARKUP)],
)
def test_a_bridge_that_says_something_new_is_refused(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any], answer: str, code: str
) -> None:
    server.fallback = says(lambda body: answer)
    job = run_job(run_refine, "refine", teacher="helper", task="smooth", tries=1)
    assert job.counts["refused_reasons"] == {code: 1}
    assert not Trace.objects.filter(parent=trace).exists()


def test_an_empty_bridge_leaves_the_seam_as_the_rules_join_it(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any]
) -> None:
    server.fallback = says(lambda body: " ")
    job = run_job(run_refine, "refine", teacher="helper", task="smooth", tries=1)
    assert (job.counts["accepted"], job.counts["made"]) == (1, 0)


def test_no_bridge_is_asked_for_before_a_closing_tag(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any]
) -> None:
    text = TEXT.replace("Therefore, the answer is 14.", "It matches.")
    Trace.objects.update(text=text, char_count=len(text))
    job = run_job(run_refine, "refine", teacher="helper", task="smooth")
    assert (job.counts["traces"], job.counts["asked"]) == (1, 0)


def test_a_failed_request_is_counted_and_asked_again_by_the_next_run(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any]
) -> None:
    server.script.append(Reply(status=400, parts=[b'{"error": "no"}']))
    job = run_job(run_refine, "refine", teacher="helper", task="split", tries=1)
    assert (job.counts["failed"], job.counts["made"]) == (1, 0)
    again = run_job(run_refine, "refine", teacher="helper", task="split", tries=1)
    assert (again.counts["accepted"], again.counts["made"]) == (1, 1)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"task": "rewrite"}, "bad_parameters"),
        ({}, "bad_parameters"),
        ({"task": "smooth", "policy": "all of it"}, "unknown_policy"),
        ({"task": "split", "tries": "many"}, "bad_parameters"),
        ({"task": "split", "sampling": {"temperature": -1}}, "bad_parameters"),
        ({"task": "split", "teacher": "nobody"}, "unknown_teacher"),
    ],
)
def test_bad_parameters_are_named(
    trace: Trace, run_job: Callable[..., Any], given: dict[str, Any], code: str
) -> None:
    with pytest.raises(JobError) as raised:
        run_job(run_refine, "refine", **({"teacher": "helper"} | given))
    assert raised.value.code == code


def test_refusals_are_read_over_rest_by_their_reason(
    trace: Trace, server: ScriptedServer, run_job: Callable[..., Any], client: Any, user: Any
) -> None:
    server.fallback = says(lambda body: "Sure!")
    run_job(run_refine, "refine", teacher="helper", task="split", tries=1)
    client.force_login(user)
    answer = client.get("/api/v1/refine-answers/", {"reason": "not_json"})
    (row,) = answer.json()["results"]
    assert (row["trace"], row["task"], row["text"]) == (trace.pk, "split", "Sure!")
    assert client.get("/api/v1/refine-answers/", {"reason": "lost_text"}).json()["results"] == []
    assert client.get("/api/v1/probes/").json()["results"] == []
