"""Judges: their prompts with every version, and how their votes and verdicts turned out."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from curation import access
from curation.judges.prompts import PROMPTS, JudgePrompt
from curation.judging.prompts import store_prompt
from curation.models import JudgePrompt as StoredPrompt
from curation.models import JudgeVote, Project, Verdict
from curation.models.project import Role
from curation.views.common import page
from curation.views.forms import JsonField

SAMPLE = {
    "problem": "(the problem's text)",
    "reference answer": "(the reference answer)",
    "response": "(the response: hostile text stays between its fences)",
    "solution": "(the solution)",
    "response A": "(one response)",
    "response B": "(the other response)",
    "steps": "Step 0:\n(the first paragraph)",
}


class PromptForm(forms.Form):
    """A prompt as JSON; a name that exists gets a new version."""

    spec = JsonField(
        widget=forms.Textarea({"rows": 14, "class": "code", "spellcheck": "false"}),
        help_text="name, mode (answer, solution, rubric, pair, steps), task, max_chars, part.",
    )


@login_required
def judges(request: HttpRequest, slug: str) -> HttpResponse:
    """All prompts, built in and the project's own, and what judges said so far."""
    project = access.access_project(request.user, slug)
    own = StoredPrompt.objects.filter(project=project).order_by("name", "-version")
    return page(
        request,
        project,
        "judges/list.html",
        prompts=PROMPTS.values(),
        own=own[:200],
        verifiers=verdict_counts(project),
        votes={row["verifier"]: row for row in vote_counts(project)},
    )


def verdict_counts(project: Project) -> list[dict[str, Any]]:
    """Verdicts of judges and reward models by verifier and version."""
    rows = Verdict.objects.filter(trace__project=project)
    rows = rows.filter(
        Q(verifier__startswith="judge-")
        | Q(verifier__startswith="reward-")
        | Q(verifier__startswith="prm-")
    )
    counts = {value: Count("pk", filter=Q(verdict=value)) for value in Verdict.Value.values}
    disagree = Count("pk", filter=Q(reason="orders_disagree"))
    found: Any = rows.values("verifier", "version").annotate(
        total=Count("pk"), orders_disagree=disagree, **counts
    )
    return list(found.order_by("verifier", "version")[:200])


def vote_counts(project: Project) -> list[dict[str, Any]]:
    rows: Any = JudgeVote.objects.filter(trace__project=project).values("verifier")
    unread = Count("pk", filter=Q(verdict="error"))
    return list(rows.annotate(n=Count("pk"), unread=unread)[:200])


@login_required
def judge_prompt(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """One prompt as a judge gets it, with its versions."""
    project = access.access_project(request.user, slug)
    versions = list(StoredPrompt.objects.filter(project=project, name=name).order_by("-version"))
    if versions:
        prompt = JudgePrompt.from_dict(versions[0].spec)
    elif name in PROMPTS:
        prompt = PROMPTS[name]
    else:
        return redirect("judges", slug)
    return page(
        request,
        project,
        "judges/detail.html",
        prompt=prompt,
        versions=versions[:50],
        rendered=[prompt.render(SAMPLE, order).messages for order in prompt.orders],
    )


@login_required
def judge_prompt_add(request: HttpRequest, slug: str) -> HttpResponse:
    """Write a prompt; versions never change."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    start = PROMPTS.get(request.GET.get("from", ""), next(iter(PROMPTS.values()))).as_dict()
    del start["version"]
    text = json.dumps(start | {"name": f"own-{start['name']}"[:40]}, indent=2)
    form = PromptForm(request.POST or None, initial={"spec": text})
    if request.method == "POST" and form.is_valid():
        try:
            stored = store_prompt(project, form.cleaned_data["spec"], request.user)
            return redirect("judge_prompt", slug, stored.name)
        except ValueError as problem:
            form.add_error("spec", str(problem))
    return page(request, project, "judges/add.html", form=form, prompts=PROMPTS)
