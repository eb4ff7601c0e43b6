"""Forms of the pages: what people may enter, checked before any job is made."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib.auth import get_user_model

from curation.addresses import AddressError, parse_address
from curation.exports.formats import FORMATS
from curation.grants import KEY_NAME
from curation.job_rules import check_slug
from curation.jobs import JobError
from curation.models import ModelEndpoint, Project, Schedule, Source
from curation.models.project import Role
from curation.schedules import check_cron, check_work
from curation.sources.adapters import ADAPTERS
from curation.tokens import SCOPES


class ProjectForm(forms.ModelForm[Project]):
    class Meta:
        model = Project
        fields = ("name", "slug", "description")
        widgets = {"description": forms.Textarea(attrs={"rows": 2})}
        help_texts = {"slug": "Part of every address: small letters, digits, hyphens."}

    def clean_slug(self) -> str:
        """A name under which no earlier project's uploads lie."""
        slug: str = self.cleaned_data["slug"]
        try:
            check_slug(slug)
        except JobError as error:
            raise forms.ValidationError(str(error)) from error
        return slug


class JsonField(forms.CharField):
    """A JSON object typed as text; empty is ``{}``."""

    widget = forms.Textarea(attrs={"rows": 4, "class": "code", "spellcheck": "false"})

    def clean(self, value: Any) -> dict[str, Any]:
        """The parsed object. Raises ValidationError when it is not one."""
        text = super().clean(value).strip()
        try:
            found = json.loads(text) if text else {}
        except (json.JSONDecodeError, RecursionError) as error:
            raise forms.ValidationError(f"not JSON: {error}") from error
        if not isinstance(found, dict):
            raise forms.ValidationError("this must be a JSON object: {…}")
        return found


class ImportForm(forms.Form):
    """A file to upload, or a path on the server (owners only)."""

    name = forms.CharField(max_length=200, help_text="Names the source; the same name adds to it.")
    file = forms.FileField(
        required=False, help_text="JSONL, JSON, CSV or Parquet, also as .gz or .zst."
    )
    path = forms.CharField(
        required=False, max_length=1000, label="Path on the server", help_text="Instead of a file."
    )
    adapter = forms.ChoiceField(
        required=False, choices=[("", "found out from the file"), *((a, a) for a in ADAPTERS)]
    )
    licence = forms.CharField(required=False, max_length=200)

    def __init__(self, *args: Any, may_name_path: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.may_name_path = may_name_path
        if not may_name_path:
            del self.fields["path"]

    def clean(self) -> dict[str, Any]:
        """Exactly one of file and path."""
        data = super().clean() or {}
        if bool(data.get("file")) == bool(data.get("path")):
            raise forms.ValidationError(
                "Choose a file or name a path: one of them."
                if self.may_name_path
                else "Choose a file."
            )
        return data


class MappingForm(forms.Form):
    """The mapping of a table, as people write it: role -> column or columns."""

    mapping = JsonField(
        required=False,
        widget=forms.Textarea({"rows": 10, "class": "code", "spellcheck": "false"}),
        help_text="Role to column, as JSON; leave it as it is to take what was found.",
    )


def source_choices(project: Project) -> list[tuple[str, str]]:
    """Names of the project's sources, with all of them first."""
    names = Source.objects.filter(project=project).order_by("name").values_list("name", flat=True)
    return [("", "all sources"), *((name, name) for name in names[:500])]


class GenerateForm(forms.Form):
    """Sampling of a teacher over problems."""

    n = forms.IntegerField(min_value=1, max_value=64, initial=4, label="Samples per problem")
    source = forms.ChoiceField(required=False)
    temperature = forms.FloatField(min_value=0, max_value=2, initial=0.8)
    top_p = forms.FloatField(min_value=0.01, max_value=1, initial=1.0)
    max_tokens = forms.IntegerField(min_value=1, max_value=200_000, initial=2048)
    seed = forms.IntegerField(required=False, min_value=0, max_value=2**53)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].choices = source_choices(project)  # type: ignore[attr-defined]

    def params(self, teacher: str) -> dict[str, Any]:
        """Parameters of the job ``generate``."""
        data = self.cleaned_data
        names = ("temperature", "top_p", "max_tokens", "seed")
        sampling = {name: data[name] for name in names if data[name] is not None}
        params: dict[str, Any] = {"teacher": teacher, "n": data["n"], "sampling": sampling}
        return params | ({"source": data["source"]} if data["source"] else {})


class WorkForm(forms.Form):
    """One of the plain kinds of work over a project or one source of it."""

    KINDS = (
        ("verify", "verify traces"),
        ("grade", "grade difficulty"),
        ("segment", "segment traces and propose cuts"),
        ("dedup", "find duplicate problems"),
        ("embed", "embed problems for search by meaning"),
    )
    kind = forms.ChoiceField(choices=KINDS)
    source = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].choices = source_choices(project)  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        """Parameters of the job; work over the whole project takes no source."""
        source, kind = self.cleaned_data["source"], self.cleaned_data["kind"]
        return {"source": source} if source and kind not in {"grade", "dedup"} else {}


class TeacherForm(forms.ModelForm[ModelEndpoint]):
    sampling = JsonField(required=False, help_text='Defaults, as {"temperature": 0.8}.')
    limits = JsonField(required=False, help_text='As {"concurrency": 8}.')

    class Meta:
        model = ModelEndpoint
        fields = (
            "name",
            "kind",
            "base_url",
            "model",
            "revision",
            "api_key_env",
            "output_licence",
            "system_prompt",
            "sampling",
            "limits",
        )
        widgets = {"system_prompt": forms.Textarea(attrs={"rows": 2})}
        help_texts = {
            "base_url": "Up to and with /v1.",
            "api_key_env": "The environment variable that holds the key; the key is never stored."
            " An administrator grants it together with the address.",
            "output_licence": "Terms under which its output may be used.",
        }

    def clean_base_url(self) -> str:
        """An http(s) address, plainly written; an empty one is this copy's demo teacher."""
        url: str = self.cleaned_data["base_url"].rstrip("/")
        try:
            parse_address(url)
        except AddressError as error:
            raise forms.ValidationError(str(error)) from error
        return url

    def clean_api_key_env(self) -> str:
        """Only variables that are meant for keys: no other one may leave this machine."""
        name: str = self.cleaned_data["api_key_env"].strip()
        if name and not KEY_NAME.fullmatch(name):
            raise forms.ValidationError("A name that ends in _API_KEY or begins WHITTLE_KEY_.")
        return name


class GrantForm(forms.Form):
    """An address, and a key for it, that an administrator lets be used."""

    base_url = forms.CharField(
        label="Address", max_length=500, help_text="http(s)://host:port; what follows is not kept."
    )
    api_key_env = forms.CharField(
        label="Key's variable", max_length=100, required=False, help_text="Empty: no key is sent."
    )
    everywhere = forms.BooleanField(label="For all projects", required=False)
    note = forms.CharField(max_length=200, required=False)

    clean_base_url = TeacherForm.clean_base_url
    clean_api_key_env = TeacherForm.clean_api_key_env


class RecipeForm(forms.Form):
    spec = JsonField(
        label="Recipe", widget=forms.Textarea({"rows": 26, "class": "code", "spellcheck": "false"})
    )


class ExportForm(forms.Form):
    format = forms.ChoiceField(choices=[(name, name) for name in FORMATS])


class TrainForm(forms.Form):
    """A training run over an export."""

    name = forms.CharField(max_length=100)
    base_model = forms.CharField(max_length=300, initial="demo-student-start")
    method = forms.ChoiceField(choices=[("sft", "SFT"), ("dpo", "DPO")])
    config = JsonField(
        required=False, help_text='As {"epochs": 3, "learning_rate": 0.001, "seed": 0}.'
    )


class InviteForm(forms.Form):
    username = forms.CharField(max_length=150, validators=[get_user_model().username_validator])
    role = forms.ChoiceField(choices=Role.choices, initial=Role.REVIEWER)


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="What it is for.")
    scopes = forms.MultipleChoiceField(
        choices=[(s, s) for s in SCOPES], widget=forms.CheckboxSelectMultiple
    )
    days = forms.TypedChoiceField(
        coerce=int,
        choices=[(30, "30 days"), (90, "90 days"), (365, "a year"), (0, "no end")],
        initial=90,
        label="Valid for",
    )


class ScheduleForm(forms.ModelForm[Schedule]):
    KINDS = ("select", "export", "verify", "grade", "segment", "generate", "dedup", "import")
    kind = forms.ChoiceField(choices=[(k, k) for k in KINDS])
    params = JsonField(
        required=False, help_text='As {"selection_or_recipe": "sft-verified", "format": "trl_sft"}.'
    )

    class Meta:
        model = Schedule
        fields = ("name", "cron", "kind", "params")
        help_texts = {"cron": "minute hour day month weekday, in UTC: 0 3 * * * is 03:00 each day."}

    def __init__(self, *args: Any, project: Project, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project, self.user = project, user

    def clean(self) -> dict[str, Any]:
        """The work must be one that this user may start now."""
        data = super().clean() or {}
        if {"kind", "params"} <= data.keys():
            try:
                check_work(self.project, data["kind"], data["params"], self.user)
            except JobError as error:
                self.add_error("params", str(error))
        return data

    def clean_cron(self) -> str:
        """A five-field cron line."""
        cron: str = self.cleaned_data["cron"]
        try:
            check_cron(cron)
        except JobError as error:
            raise forms.ValidationError(str(error)) from error
        return cron
