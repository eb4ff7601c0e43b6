"""The guideline: its text, its versions and what differs between them, and the editor."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from curation import access
from curation.models import Project
from curation.models.project import Role
from reviews import guidelines
from reviews.guideline_form import Reach, RuleForm, initial_of, reach_of
from reviews.guideline_text import MAX_TEXT, compared
from reviews.guideline_text import render as drawn
from reviews.models import Guideline
from reviews.submission import BadReview
from reviews.views.common import login_required, page

MOST_VERSIONS = 50


@login_required
def guideline_page(request: HttpRequest, slug: str) -> HttpResponse:
    """The guideline; ``?v=`` another version, ``?against=`` what differs from that one.

    POST ``action``: publish a version; preview it; json, to take the rule that was pasted into
    the fields. The last two store nothing.
    """
    project = access.access_project(request.user, slug)
    role = access.require(request.user, project, Role.VIEWER)
    context = {"form": {}, "rule_form": RuleForm(project), "rule_json": "{}"}
    if request.method == "POST":
        access.require(request.user, project, Role.CURATOR)
        context, published = edited(request, project)
        if published:
            return redirect("guidelines", slug)
    versions = list(guidelines.history(project).select_related("author")[:MOST_VERSIONS])
    current = versions[0] if versions else None
    shown = chosen(project, versions, request.GET.get("v")) or current
    against = chosen(project, versions, request.GET.get("against"))
    context["form"] = context["form"] or {"text": current.text if current else ""}
    return page(
        request,
        project,
        role,
        "guidelines",
        current=current,
        shown=shown,
        html=drawn(shown.text) if shown else "",
        against=against,
        base=against.version if against else shown.version - 1 if shown else 0,
        changes=compared(against.text, shown.text) if against and shown else [],
        versions=versions,
        most=MAX_TEXT,
        stale=guidelines.stale(project),
        **context,
    )


def chosen(project: Project, versions: list[Guideline], number: Any) -> Guideline | None:
    """The version of that number, or None."""
    if not str(number or "").isdecimal() or len(str(number)) > 9:
        return None
    there = next((v for v in versions if v.version == int(number)), None)
    return there or guidelines.history(project).filter(version=int(number)).first()


def edited(request: HttpRequest, project: Project) -> tuple[dict[str, Any], bool]:
    """(what the editor shows then, whether a version was published)."""
    action = request.POST.get("action") or "publish"
    form = {name: request.POST.get(name, "") for name in ("text", "summary")}
    rule_form = RuleForm(project, request.POST)
    rule, fault, field = rule_form.rule(), "", ""
    pasted = request.POST.get("affects", "")
    if action == "json":
        rule, fault = pasted_rule(pasted)
        field = "affects" if fault else ""
        rule_form = RuleForm(project, initial=initial_of(project, rule))
    else:
        fault = fault_of(rule)
        field = "rule" if fault else ""
    if action == "publish" and not fault:
        fault, field = publish(request, project, form, rule)
        if not fault:
            return {}, True
    previews = action == "preview" and not fault
    return {
        "form": form,
        "rule_form": rule_form,
        "rule_json": pasted if field == "affects" else written(rule),
        "fault": fault,
        "fault_field": field,
        "reach": None if fault else reach_of(project, rule),
        "preview": drawn(form["text"]) if previews else "",
    }, False


def publish(
    request: HttpRequest, project: Project, form: dict[str, str], rule: dict[str, Any]
) -> tuple[str, str]:
    """Publish a version; (what was wrong or "", its field)."""
    try:
        row, count = guidelines.publish(project, request.user, form["text"], form["summary"], rule)
    except BadReview as error:
        return str(error), "text" if error.code == "bad_text" else "rule"
    many = f"{count} current decision{'' if count == 1 else 's'}"
    messages.success(request, f"Version {row.version} published; {many} will be asked again")
    return "", ""


def pasted_rule(text: str) -> tuple[dict[str, Any], str]:
    """(the checked rule of a JSON text, what is wrong with it or "")."""
    try:
        return guidelines.check_rule(json.loads(text or "{}")), ""
    except ValueError as error:
        return {}, f"Not JSON: {error}"
    except BadReview as error:
        return {}, str(error)


def fault_of(rule: dict[str, Any]) -> str:
    try:
        guidelines.check_rule(rule)
    except BadReview as error:
        return str(error)
    return ""


def written(rule: dict[str, Any]) -> str:
    return json.dumps(rule, ensure_ascii=False)


@login_required
@require_POST
def guideline_preview(request: HttpRequest, slug: str) -> HttpResponse:
    """For the editor's htmx: how the text will look, or (``part=rule``) what a rule would do."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    if request.POST.get("part") != "rule":
        text = request.POST.get("text", "")[:MAX_TEXT]
        return render(request, "reviews/_guide_preview.html", {"preview": drawn(text)})
    rule = RuleForm(project, request.POST).rule()
    fault = fault_of(rule)
    context = {
        "fault": fault,
        "reach": Reach() if fault else reach_of(project, rule),
        "rule_json": written(rule),
        "live": True,
    }
    return render(request, "reviews/_guide_reach.html", context)
