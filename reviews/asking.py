"""The form of what a project asks of its reviewers: rows of fields in, checked JSON out.

The form decides nothing about what is right: what it holds becomes the same JSON that can be
pasted, goes through ``reviews.schema.examine``, and what that objects to goes back to the field.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db import transaction
from django.db.models import Count, Q
from django.db.models.fields.json import KeyTransform

from curation.models import Project
from reviews.models import Review
from reviews.schema import (
    MOST,
    BadSchema,
    Label,
    ReviewSchema,
    examine,
    possible,
    schema_of,
)

KINDS = (
    ("choice", "one of several choices"),
    ("multi", "any of several choices"),
    ("rating", "rating, 1 to a highest number"),
    ("text", "free text"),
)
NEW = {"type": "choice", "max": "5"}  # what an added row starts with
MOST_RETIRED = 400


class QuestionForm(forms.Form):
    """One row. Fields take what is typed as it is; ``examine`` says what is wrong with it."""

    use_required_attribute = False
    was = forms.CharField(required=False, widget=forms.HiddenInput)  # its stored name
    title = forms.CharField(
        required=False, label="Question", help_text="What the reviewer reads; empty: the name."
    )
    name = forms.CharField(
        required=False,
        help_text="Answers are stored under it: a-z, 0-9 and _. Empty: made from the question.",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
    )
    type = forms.CharField(required=False, widget=forms.Select(choices=KINDS))
    choices = forms.CharField(
        required=False,
        label="Choices, one a line",
        strip=False,
        help_text="For both kinds of choices; two or more.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    max = forms.CharField(
        required=False,
        label="Highest rating",
        help_text="For ratings: 2 to 10.",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "size": 4}),
    )
    required = forms.BooleanField(required=False, label="Must be answered")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = str(self["type"].value() or "")
        if stored not in dict(KINDS):  # shown as it is, so that saving the page changes nothing
            self.fields["type"].widget.choices = [*KINDS, (stored, stored or "choose")]


class PartsForm(forms.Form):
    """Everything of the schema that is no question."""

    use_required_attribute = False
    spans = forms.CharField(
        required=False, label="Names for ranges, one a line",
        help_text="Offered when a reviewer labels a range of the trace.",
        widget=forms.Textarea(attrs={"rows": 5}),
    )  # fmt: skip
    cut_reasons = forms.CharField(
        required=False, label="Reasons of cuts, one a line",
        help_text="Offered when a reviewer cuts with a reason.",
        widget=forms.Textarea(attrs={"rows": 5}),
    )  # fmt: skip
    token_limit = forms.CharField(
        required=False, label="Token limit",
        help_text="The export's limit, drawn as a line in the length bar. Empty: none.",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "size": 9}),
    )  # fmt: skip
    tokenizer = forms.CharField(
        required=False,
        help_text="A folder under tokenizers/ of the home that holds a tokenizer.json, or"
        " demo-teacher. Empty: lengths are estimates.",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false", "size": 30}),
    )


QuestionSet = forms.formset_factory(QuestionForm, extra=0, max_num=MOST, absolute_max=4 * MOST)
PREFIX = "q"


def stored_of(project: Project) -> dict[str, Any]:
    stored = (project.settings or {}).get("review")
    return stored if isinstance(stored, dict) else {}


def stamp_of(stored: dict[str, Any]) -> str:
    """Changes when the stored schema does: a page that has not seen the newest is told so."""
    return hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()[:16]


def rows_of(stored: dict[str, Any]) -> list[dict[str, Any]]:
    """The stored questions as the fields of the form."""
    labels = stored.get("labels")
    rows = []
    for label in labels if isinstance(labels, list) else []:
        if not isinstance(label, dict):
            continue
        choices = label.get("choices")
        rows.append({
            "was": label.get("name", ""), "name": label.get("name", ""),
            "title": label.get("title", ""), "type": label.get("type", ""),
            "choices": "\n".join(map(str, choices if isinstance(choices, list) else [])),
            "max": str(label.get("max", 5)), "required": bool(label.get("required")),
        })  # fmt: skip
    return rows


def parts_of(stored: dict[str, Any]) -> dict[str, str]:
    """The other parts as the fields of the form; those that are not stored show the default."""
    schema = examine(stored, keep=stored)[0]
    limit = stored.get("token_limit")
    return {
        "spans": "\n".join(schema.spans),
        "cut_reasons": "\n".join(schema.cut_reasons),
        "token_limit": "" if limit is None else str(limit),
        "tokenizer": schema.tokenizer,
    }


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def number(text: str) -> Any:
    """A number where one was typed; else the text, for the validator to refuse."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else text


def name_from(title: str, taken: set[str]) -> str:
    """A name out of a question: "How clear?" -> how_clear; "" when no letter is in it."""
    plain = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_0123456789")[:30].strip("_")
    names = [plain, *(f"{plain}_{i}" for i in range(2, MOST + 2))] if plain else [""]
    return next(name for name in names if name not in taken)


def data_of(
    rows: list[dict[str, Any]], parts: dict[str, str], stored: dict[str, Any]
) -> tuple[dict[str, Any], list[int]]:
    """(the schema as JSON, the row of the form behind each question).

    Whatever else the stored JSON holds stays: keys of the schema and keys of a question that the
    form does not know. A row in which nothing was typed is no question.
    """
    old = {la.get("name"): la for la in stored.get("labels") or [] if isinstance(la, dict)}
    taken = {row["name"] for row in rows}
    labels, places = [], []
    for i, row in enumerate(rows):
        if not (row["was"] or row["name"] or row["title"] or lines(row["choices"])):
            continue
        name = row["name"] or name_from(row["title"], taken)
        taken.add(name)
        labels.append(_question(row, name, old.get(row["was"]) or {}))
        places.append(i)
    data = dict(stored)
    _put(data, "labels", labels, [])
    _put_words(data, "spans", lines(parts["spans"]))
    _put_words(data, "cut_reasons", lines(parts["cut_reasons"]))
    _put(data, "token_limit", number(parts["token_limit"]) if parts["token_limit"] else None, None)
    _put(data, "tokenizer", parts["tokenizer"], "")
    return data, places


def _question(row: dict[str, Any], name: str, old: dict[str, Any]) -> dict[str, Any]:
    label = dict(old) | {"name": name}
    _put(label, "title", row["title"], "")
    label["type"] = row["type"]
    _put(label, "choices", lines(row["choices"]), [])
    _put(label, "max", number(row["max"]) if row["max"] else 5, 5)
    _put(label, "required", bool(row["required"]), False)
    return label


def _put(data: dict[str, Any], key: str, value: Any, default: Any) -> None:
    """Set a key; what is not stored and says the default stays unsaid."""
    if key in data or value != default:
        data[key] = value


def _put_words(data: dict[str, Any], key: str, words: list[str]) -> None:
    default = list(getattr(ReviewSchema(), key))
    if data.get(key) is not None or words != default:
        data[key] = words


@dataclass(frozen=True, slots=True)
class Loss:
    """Stored answers that an edit leaves without their question."""

    name: str
    title: str
    why: str
    reviews: int


def losses(
    project: Project, before: ReviewSchema, after: ReviewSchema, renamed: Mapping[str, str]
) -> list[Loss]:
    """Questions with stored answers that an edit removes, renames or changes; in their order."""
    now = {label.name: label for label in after.labels}
    gone = [label for label in before.labels if label.name not in now]
    found = {}
    for label, count in zip(gone, answered(project, [g.name for g in gone]), strict=True):
        new = renamed.get(label.name)
        why = f"renamed to {new}" if new else "removed"
        found[label.name] = Loss(label.name, label.title, why, count)
    for label in before.labels:
        new_label = now.get(label.name)
        if new_label and narrower(label, new_label):
            count = not_possible(project, new_label)
            found[label.name] = Loss(label.name, label.title, "its answers changed", count)
    return [found[la.name] for la in before.labels if la.name in found and found[la.name].reviews]


def answered(project: Project, names: list[str]) -> list[int]:
    """For each question, how many reviews of the project hold an answer to it."""
    if not names:
        return []
    counts = {f"n{i}": Count("pk", filter=Q(values__has_key=n)) for i, n in enumerate(names)}
    rows = Review.objects.filter(item__queue__project=project).aggregate(**counts)
    return [rows[f"n{i}"] for i in range(len(names))]


def narrower(old: Label, new: Label) -> bool:
    """Whether an answer to the old question may be none to the new one."""
    if old.type != new.type:
        return True
    if old.type == "rating":
        return new.max < old.max
    return old.type != "text" and not set(old.choices) <= set(new.choices)


def not_possible(project: Project, label: Label) -> int:
    """How many reviews hold an answer that the question does not allow."""
    rows = (
        Review.objects.filter(item__queue__project=project, values__has_key=label.name)
        .annotate(answer=KeyTransform(label.name, "values"))
        .values_list("answer")
        .annotate(n=Count("pk"))
    )
    return sum(n for answer, n in rows.iterator() if not possible(label, answer))


def save(project: Project, data: dict[str, Any], seen: str) -> None:
    """Store a checked schema; BadSchema when it was changed since ``seen`` (see stamp_of)."""
    with transaction.atomic():
        fresh = Project.objects.select_for_update().get(pk=project.pk)
        stored = stored_of(fresh)
        if seen and seen != stamp_of(stored):
            raise BadSchema("changed by somebody else since you opened this page; load it again")
        names = {label.name for label in schema_of(fresh).labels}
        now = {label.name for label in examine(data, keep=data)[0].labels}
        retired = [n for n in (fresh.settings or {}).get("review_retired") or [] if n not in names]
        retired = [n for n in [*retired, *sorted(names - now)] if n not in now][-MOST_RETIRED:]
        fresh.settings = (fresh.settings or {}) | {"review": data}
        if retired or "review_retired" in fresh.settings:
            fresh.settings["review_retired"] = retired
        fresh.save(update_fields=["settings"])
