"""The page *What is asked*: a form over the review schema, the same as JSON, and a preview."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from curation import access
from curation.models import Project
from curation.models.project import Role
from reviews import asking, tokens
from reviews.schema import MOST, BadSchema, ReviewSchema, examine, schema_of
from reviews.views.common import login_required, page

INCOMPLETE = "The form did not arrive whole; nothing was changed."


@dataclass
class Draft:
    """What the page holds between two requests; nothing of it is stored yet."""

    rows: list[dict[str, Any]]
    parts: dict[str, str]
    seen: str
    text: str = ""  # the JSON field as typed; "" when it should say what the fields say
    said: str = ""
    focus: str = ""  # id of the field or button that gets the focus
    faults: list[BadSchema] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    losses: list[asking.Loss] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    whole: bool = True


@login_required
def schema_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What reviewers are asked. POST: save the form or the JSON, or change rows and store nothing.

    ``action``: save, json, preview, add, or up-N, down-N, remove-N for the row N.
    """
    project = access.access_project(request.user, slug, Role.REVIEWER)
    role = access.require(request.user, project, Role.REVIEWER)
    stored = asking.stored_of(project)
    draft = Draft(asking.rows_of(stored), asking.parts_of(stored), asking.stamp_of(stored))
    if request.method != "POST":
        return shown(request, project, role, draft)
    access.require(request.user, project, Role.CURATOR)
    action = request.POST.get("action") or ("json" if "schema" in request.POST else "save")
    if action == "json":
        done = save_json(request, project, draft)
    else:
        draft = typed(request.POST)
        done = action == "save" and save_form(request, project, draft)
        if action not in ("save", "preview"):
            change_rows(draft, action)
    if done:
        messages.success(request, "Saved")
        return redirect("review_schema", slug)
    return shown(request, project, role, draft, part=request.headers.get("HX-Request") == "true",
                 action=action)  # fmt: skip


def typed(post: Mapping[str, Any]) -> Draft:
    """The form as it was sent, each field as typed."""
    rows = asking.QuestionSet(post, prefix=asking.PREFIX)
    parts = asking.PartsForm(post)
    parts.is_valid()  # no field refuses anything; this cuts off spaces
    whole = rows.management_form.is_valid() and {"spans", "cut_reasons"} <= set(post)
    found = []
    for row in rows.forms if whole else []:
        row.is_valid()
        found.append({name: row.cleaned_data.get(name, "") for name in row.fields})
    said = {name: parts.cleaned_data.get(name, "") for name in parts.fields}
    return Draft(found, said, str(post.get("seen", "")), whole=whole)


def change_rows(draft: Draft, action: str) -> None:
    """Add, move or remove a row; says what was done and where the focus goes."""
    kind, _, place = action.partition("-")
    rows, i = draft.rows, int(place) if place.isdecimal() else -1
    if kind == "add" and len(rows) < MOST:
        rows.append({"was": "", "title": "", "name": "", "choices": "", **asking.NEW})
        draft.said, draft.focus = f"Question {len(rows)} added", f"id_q-{len(rows) - 1}-title"
    elif kind == "add":
        draft.said = f"There are {MOST} questions, which is the most"
    if not 0 <= i < len(rows):
        return
    title = rows[i]["title"] or rows[i]["name"] or f"question {i + 1}"
    if kind == "remove":
        del rows[i]
        draft.said, draft.focus = f"{title} removed; not saved yet", "asked-add"
    to = i + {"up": -1, "down": 1}.get(kind, 0)
    if kind in ("up", "down") and 0 <= to < len(rows):
        rows.insert(to, rows.pop(i))
        edge = {0: "down", len(rows) - 1: "up"}.get(to, kind)
        draft.said = f"{title} is question {to + 1} of {len(rows)} now"
        draft.focus = f"q-{to}-{edge}"


def examined(project: Project, draft: Draft) -> tuple[dict[str, Any], ReviewSchema]:
    """The form's JSON and what of it can be used; faults and losses go into the draft."""
    stored = asking.stored_of(project)
    data, draft.places = asking.data_of(draft.rows, draft.parts, stored)
    draft.renamed = {
        draft.rows[place]["was"]: label["name"]
        for place, label in zip(draft.places, data.get("labels") or [], strict=True)
        if draft.rows[place]["was"] not in ("", label["name"])
    }
    return data, weighed(project, draft, data)


def weighed(project: Project, draft: Draft, data: Any) -> ReviewSchema:
    """Check a schema against the stored one: faults, and answers that lose their question."""
    schema, draft.faults = examine(data, keep=asking.stored_of(project))
    if not draft.faults:
        draft.losses = asking.losses(project, schema_of(project), schema, draft.renamed)
    return schema


def agreed(request: HttpRequest, draft: Draft) -> bool:
    """Whether there is nothing to lose, or this very loss was agreed to."""
    return not draft.losses or request.POST.get("agreed") == named(draft.losses)


def named(lost: list[asking.Loss]) -> str:
    return ",".join(loss.name for loss in lost)


def save_form(request: HttpRequest, project: Project, draft: Draft) -> bool:
    if not draft.whole:
        messages.error(request, INCOMPLETE)
        return False
    data, _ = examined(project, draft)
    return saved(request, project, draft, data)


def save_json(request: HttpRequest, project: Project, draft: Draft) -> bool:
    """The pasted schema, through the same checks; the fields keep what is stored."""
    draft.text = request.POST.get("schema", "")
    try:
        data = json.loads(draft.text or "{}")
    except ValueError as error:
        draft.faults = [BadSchema(f"not JSON: {error}")]
        return False
    draft.seen = request.POST.get("seen", draft.seen)
    weighed(project, draft, data)
    return saved(request, project, draft, data)


def saved(request: HttpRequest, project: Project, draft: Draft, data: dict[str, Any]) -> bool:
    if draft.faults or not agreed(request, draft):
        return False
    try:
        asking.save(project, data, draft.seen)
    except BadSchema as error:
        draft.faults = [error]
        return False
    return True


def shown(
    request: HttpRequest, project: Project, role: Role, draft: Draft, part: bool = False,
    action: str = "",
) -> HttpResponse:  # fmt: skip
    """The page, or for htmx only the form and the preview (``part``)."""
    pasted = action == "json"
    data, schema = asking.stored_of(project), schema_of(project)
    if not pasted and draft.whole:
        known = draft.faults  # what saving objected to stays said
        data, schema = examined(project, draft)
        draft.faults = known or draft.faults
    at_fields = action in ("", "save")  # while rows are moved about nobody is told what is missing
    context = {
        "draft": draft,
        "schema": schema,
        "faults": [said_of(fault, draft) for fault in draft.faults],
        "text": draft.text or json.dumps(data, indent=2, ensure_ascii=False),
        "pasted": pasted,
        "at_fields": at_fields,
        "agreed": named(draft.losses),
        "no_tokenizer": bool(schema.tokenizer) and tokens.file_of(schema.tokenizer) is None,
        "address": reverse("review_schema", args=[project.slug]),
        "action": action,
        "most": MOST,
        **fields(draft, [] if pasted or not at_fields else draft.faults),
    }
    if part:
        return render(request, "reviews/_asked_part.html", context | {"can_curate": True})
    return page(request, project, role, "schema", **context)


def fields(draft: Draft, faults: list[BadSchema]) -> dict[str, Any]:
    """The fields as typed, with what is wrong bound to each: {"rows", "management", "parts"}."""
    rows = asking.QuestionSet(initial=draft.rows, prefix=asking.PREFIX)
    parts = asking.PartsForm(initial=draft.parts)
    for form in (parts, *rows.forms):
        form.cleaned_data = {}  # a form that is not bound to a request takes faults only with it
    for fault in faults:
        row, name = place_of(fault, draft)
        if name:
            (parts if row is None else rows.forms[row]).add_error(name, fault.why)
    for i, form in enumerate(rows.forms):
        if draft.focus.startswith(f"id_q-{i}-"):
            form.fields[draft.focus.rpartition("-")[2]].widget.attrs["autofocus"] = True
    return {"rows": rows.forms, "management": rows.management_form, "parts": parts}


def place_of(fault: BadSchema, draft: Draft) -> tuple[int | None, str]:
    """(row of the form or None, its field or "") that a fault belongs to."""
    if fault.part == "labels" and fault.row is not None and fault.row < len(draft.places):
        return draft.places[fault.row], fault.key or "title"
    return None, fault.part if fault.part in asking.PartsForm.base_fields else ""


def said_of(fault: BadSchema, draft: Draft) -> dict[str, str]:
    """A line of the summary: {"why", "where", "id"}; id "" when it belongs to no field."""
    row, name = place_of(fault, draft)
    if row is not None:
        words = str(asking.QuestionForm.base_fields[name].label or name)
        return {"why": fault.why, "where": f"Question {row + 1}, {words.lower()}",
                "id": f"id_q-{row}-{name}"}  # fmt: skip
    if not name:
        return {"why": str(fault), "where": "", "id": ""}
    words = str(asking.PartsForm.base_fields[name].label or name.replace("_", " "))
    return {"why": fault.why, "where": words, "id": f"id_{name}"}
