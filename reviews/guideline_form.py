"""The rule of what a guideline's version affects, as the fields of a form, and back.

The fields decide nothing about what is right: what they hold becomes the same rule that can be
pasted as JSON, and ``reviews.guidelines.check_rule`` says what is wrong with either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.db.models import Count

from curation.models import Project
from reviews.guidelines import LISTS, RULES, affected, current_guideline
from reviews.models import Queue, Review
from reviews.schema import schema_of

MOST_QUEUES = 60  # offered as boxes to tick, the newest first; others are typed
YES_NO = (("", "any"), ("yes", "yes"), ("no", "no"))
TITLES = {
    "decisions": "Decision",
    "with_cuts": "With cuts",
    "cut_reasons": "Reason of a cut",
    "spans": "Name of a range",
    "with_steps": "With step labels",
    "labels": "An answer to",
    "queues": "Queue",
    "everything": "Every current decision",
}


class Boxes(forms.MultipleChoiceField):
    """Boxes to tick; what is no choice (any more) is left to ``check_rule``."""

    def valid_value(self, value: Any) -> bool:
        return True


class RuleForm(forms.Form):
    """One field for each key of a rule: boxes and "others" for a list, yes / no / any else."""

    use_required_attribute = False

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offers = offered(project)
        for name in RULES:
            title = TITLES.get(name, name.replace("_", " "))
            if name in LISTS:
                self.fields[name] = Boxes(
                    required=False, label=title, choices=offers.get(name, []),
                    widget=forms.CheckboxSelectMultiple,
                )  # fmt: skip
                if name != "decisions":
                    self.fields[f"{name}_more"] = forms.CharField(
                        required=False, label="others, one a line",
                        widget=forms.Textarea(attrs={"rows": 1}),
                    )  # fmt: skip
            elif name == "everything":
                self.fields[name] = forms.BooleanField(required=False, label=title)
            else:
                self.fields[name] = forms.ChoiceField(
                    required=False, label=title, choices=YES_NO, widget=forms.Select
                )

    def groups(self) -> list[dict[str, Any]]:
        """The lists that have something to offer or to type, for the template."""
        return [
            {"field": self[name], "more": self[f"{name}_more"] if name != "decisions" else None}
            for name in RULES
            if name in LISTS
        ]

    def answers(self) -> list[Any]:
        """The fields with yes, no and any."""
        return [self[name] for name in RULES if name not in LISTS and name != "everything"]

    def rule(self) -> dict[str, Any]:
        """The rule that the fields say; a field that says nothing is no condition."""
        self.is_valid()
        said: dict[str, Any] = {}
        for name in RULES:
            value = self.cleaned_data.get(name)
            if name in LISTS:
                more = str(self.cleaned_data.get(f"{name}_more") or "").splitlines()
                value = [*(value or []), *(line.strip() for line in more if line.strip())]
            elif name != "everything":
                value = {"yes": True, "no": False}.get(str(value))
            if value or (value is False and name != "everything"):
                said[name] = list(dict.fromkeys(value)) if isinstance(value, list) else value
        return said


def initial_of(project: Project, rule: dict[str, Any]) -> dict[str, Any]:
    """A rule as the values of the fields."""
    offers = offered(project)
    found: dict[str, Any] = {}
    for name, value in rule.items():
        if name in LISTS:
            there = {key for key, _ in offers.get(name, [])}
            known = [str(v) for v in value if str(v) in there or name == "decisions"]
            found[name] = known
            found[f"{name}_more"] = "\n".join(str(v) for v in value if str(v) not in known)
        else:
            found[name] = value if name == "everything" else "yes" if value else "no"
    return found


def offered(project: Project) -> dict[str, list[tuple[str, str]]]:
    """What can be ticked in each list: (value, words)."""
    schema = schema_of(project)
    queues = Queue.objects.filter(project=project).order_by("-pk").values_list("name", flat=True)
    return {
        "decisions": [(value, str(words)) for value, words in Review.Decision.choices],
        "cut_reasons": [(word, word) for word in schema.cut_reasons],
        "spans": [(word, word) for word in schema.spans],
        "labels": [(label.name, label.title) for label in schema.labels],
        "queues": [(name, name) for name in queues[:MOST_QUEUES]],
    }


@dataclass(frozen=True, slots=True)
class Reach:
    """How many current decisions a rule would ask again, and of whom: [(name, how many)]."""

    total: int = 0
    people: list[tuple[str, int]] = field(default_factory=list)
    of: int = 0  # current decisions that were made under an older version


def reach_of(project: Project, rule: dict[str, Any]) -> Reach:
    """What publishing a checked rule as the next version would send back."""
    current = current_guideline(project)
    version = (current.version if current else 0) + 1
    of = affected(project, {"everything": True}, version).count()
    if not rule:
        return Reach(of=of)
    rows = (
        affected(project, rule, version)
        .order_by()
        .values_list("user__username")
        .annotate(n=Count("pk"))
        .order_by("-n", "user__username")
    )
    people = [(str(name), int(n)) for name, n in rows]
    return Reach(sum(n for _, n in people), people, of)
