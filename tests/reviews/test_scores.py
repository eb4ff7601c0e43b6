"""Step scores on the review screen: their states, and who sees them when."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from curation.judging.imported import import_steps
from curation.models import Membership, Trace, Verdict
from curation.segments import store_segmentation
from reviews import decisions, queues
from reviews.scores import scores_of, states
from reviews.screen import verdicts_by_trace
from tests.reviews.test_queues import make_queue, make_traces


def test_a_drop_is_where_a_score_falls_and_what_has_no_score_is_a_state_of_its_own() -> None:
    given = [0.3, 0.9, 0.75, None, 0.5, 0.45, 0.44, 0.95, 0.7]
    steps = [{"start": i, "end": i + 1, "score": score} for i, score in enumerate(given)]
    found = states(steps, 0.5)
    assert [s["state"] for s in found] == [
        "drop", "fine", "fine", "unchecked", "drop", "drop", "low", "fine", "drop",
    ]  # fmt: skip
    assert [s["fell"] for s in found][4] == 0.25, "from the last step that has a score"


def score(trace: Trace, model: str, *scores: float | None) -> None:
    size = trace.char_count // len(scores)
    steps = [{"start": i * size, "end": (i + 1) * size, "score": s} for i, s in enumerate(scores)]
    row = {"trace": trace.pk, "model": model, "steps": steps}
    assert import_steps(trace.project, [row])["stored"] == 1


@pytest.mark.django_db
def test_the_newest_scores_of_each_model_are_shown_the_newest_model_first(project: Any) -> None:
    (trace,) = make_traces(project, 1)
    Verdict.objects.create(
        trace=trace, verifier="prm-lost", version="1", reference_sha256="r", verdict="error"
    )
    score(trace, "a", 0.9, 0.1)
    score(trace, "b", 0.8)
    score(trace, "a", 0.7, 0.6)
    found = scores_of(trace)
    assert [m["verifier"] for m in found] == ["prm-a", "prm-b"]
    assert [s["score"] for s in found[0]["steps"]] == [0.7, 0.6]
    assert verdicts_by_trace([trace.pk]) == {}, "a score is no verdict of the trace"


@pytest.mark.django_db
def test_step_scores_stay_hidden_with_the_verdicts(project: Any, user: Any, client: Client) -> None:
    queue = make_queue(project, 1)
    queue.hide = ["verdict"]
    queue.save()
    assignment = queues.next_assignment(queue, user)
    assert assignment is not None
    score(assignment.item.trace, "a", 0.9, 0.1)
    client.force_login(user)
    address = f"/p/{project.slug}/review/{assignment.pk}/checks/steps/"
    assert client.get(address).json() == {"models": [], "hidden": True}
    decisions.commit(assignment, "sound", 1.0)
    assert client.get(address).json()["models"][0]["steps"][1]["state"] == "drop"


@pytest.mark.django_db
def test_compared_traces_have_their_evidence_and_only_reviewers_run_code(
    project: Any, user: Any, client: Client
) -> None:
    one, two = make_traces(project, 2)
    score(one, "a", 0.9, 0.1)
    store_segmentation(one, "2")
    base = f"/p/{project.slug}/compare/checks/"
    client.force_login(user)
    found = client.get(f"{base}?t={one.pk}&t={two.pk}").json()["columns"]
    assert [c["trace"] for c in found] == [one.pk, two.pk]
    assert found[0]["models"][0]["verifier"] == "prm-a" and not found[1]["models"]
    assert found[0]["answer"]["value"] == "2" and found[0]["answer"]["matches"] is True
    assert found[1]["answer"] is None, "what is not segmented has no answer with a place"
    assert client.get(f"{base}?t={one.pk}").status_code == 400
    assert client.get(f"{base}code/?t={one.pk}&t={two.pk}").json()["columns"][0]["code"] == []
    Membership.objects.filter(user=user).update(role="viewer")
    assert client.get(f"{base}?t={one.pk}&t={two.pk}").status_code == 200
    assert client.get(f"{base}code/?t={one.pk}&t={two.pk}").status_code in (403, 404)


@pytest.mark.django_db
def test_comparing_and_reading_hide_what_the_queue_hides(
    project: Any, user: Any, client: Client
) -> None:
    queue = make_queue(project, 2)
    queue.hide = ["verdict", "teacher"]
    queue.save()
    one, two = Trace.objects.order_by("pk")
    Trace.objects.update(model="secret-teacher")
    for trace in (one, two):
        Verdict.objects.create(
            trace=trace, verifier="math", version="1", reference_sha256="r", verdict="incorrect"
        )
        store_segmentation(trace, "2")
    score(one, "a", 0.9, 0.1)
    assignment = queues.next_assignment(queue, user)
    assert assignment is not None
    client.force_login(user)
    base = f"/p/{project.slug}"
    pair = f"?t={one.pk}&t={two.pk}"

    def seen() -> tuple[str, Any]:
        pages = [f"{base}/compare/{pair}", f"{base}/read/{one.pk}/"]
        html = "".join(client.get(page).content.decode() for page in pages)
        return html, client.get(f"{base}/compare/checks/{pair}").json()["columns"][0]

    html, column = seen()
    assert "secret-teacher" not in html and "incorrect" not in html and "data-first" not in html
    assert column["models"] == [] and column["answer"]["matches"] is None
    decisions.commit(assignment, "sound", 1.0)
    html, column = seen()
    assert "secret-teacher" in html and "incorrect" in html and "data-first" in html
    assert column["models"] and column["answer"]["matches"] is True
