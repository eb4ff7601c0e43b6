"""Webhooks: who is told of the end of jobs, what was sent, what went wrong. For owners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from curation import access
from curation.models import Project, Webhook, WebhookDelivery
from curation.models.project import Role
from curation.views.common import Slice, keyset, page, signed_in
from workers import webhooks as domain

PAGE = 30  # deliveries on a page


class WebhookForm(forms.Form):
    """Address and events of a webhook."""

    url = forms.CharField(max_length=1000, label="Address", help_text="https://…; never private.")
    events = forms.MultipleChoiceField(
        required=False,
        choices=[(name, name) for name in domain.EVENTS],
        widget=forms.CheckboxSelectMultiple,
        help_text="None: all of them.",
    )

    def clean_url(self) -> str:
        """An address that deliveries would not refuse."""
        url: str = self.cleaned_data["url"]
        try:
            domain.check_address(url)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        return url


def last_deliveries(hooks: Sequence[Webhook]) -> dict[int, WebhookDelivery]:
    """Webhook id -> its newest delivery."""
    rows = WebhookDelivery.objects.filter(webhook__in=hooks).order_by("webhook_id", "-pk")
    return {row.webhook_id: row for row in rows.distinct("webhook_id").defer("payload")}


def show_list(
    request: HttpRequest, project: Project, form: WebhookForm, status: int = 200
) -> HttpResponse:
    """The page of all webhooks."""
    found = keyset(Webhook.objects.filter(project=project), request.GET)
    return page(
        request,
        project,
        "webhooks/list.html",
        status=status,
        slice=found,
        last=last_deliveries(found.rows),
        form=form,
    )


def show_one(
    request: HttpRequest, project: Project, hook: Webhook, form: WebhookForm | None = None,
    secret: str = "",
) -> HttpResponse:  # fmt: skip
    """The page of one webhook; ``secret`` is shown this once."""
    rows: Slice[Any] = keyset(hook.deliveries.all(), request.GET, size=PAGE)
    open_ones = [row for row in rows.rows if row.delivered_at is None and row.attempts < 2]
    template = "webhooks/detail.html"
    if request.htmx and not request.htmx.boosted:  # type: ignore[attr-defined]
        template += "#deliveries"
    response = page(
        request,
        project,
        template,
        hook=hook,
        slice=rows,
        moving=bool(open_ones) and hook.enabled and not request.GET,
        most=domain.MAX_ATTEMPTS,
        form=form or WebhookForm(initial={"url": hook.url, "events": hook.events}),
        secret=secret,
    )
    if secret:
        response["Cache-Control"] = "no-store"
    return response


def the_hook(request: HttpRequest, slug: str, pk: int) -> tuple[Project, Webhook]:
    """The project and its webhook, for an owner."""
    project = access.access_project(request.user, slug, Role.OWNER)
    return project, access.access_object(request.user, Webhook, pk, Role.OWNER, project)


@login_required
def webhooks(request: HttpRequest, slug: str) -> HttpResponse:
    """All webhooks with the last delivery of each."""
    project = access.access_project(request.user, slug, Role.OWNER)
    return show_list(request, project, WebhookForm())


@login_required
@require_POST
def webhook_add(request: HttpRequest, slug: str) -> HttpResponse:
    """Add a webhook and show its signing key once."""
    project = access.access_project(request.user, slug, Role.OWNER)
    form = WebhookForm(request.POST)
    if not form.is_valid():
        return show_list(request, project, form, status=400)
    made = Webhook.objects.create(
        project=project, secret=domain.new_secret(), **form.cleaned_data
    )  # fmt: skip
    return show_one(request, project, made, secret=made.secret)


@signed_in
def webhook(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One webhook with its deliveries, newest first."""
    project, hook = the_hook(request, slug, pk)
    return show_one(request, project, hook)


@login_required
@require_POST
def webhook_edit(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Change address and events."""
    project, hook = the_hook(request, slug, pk)
    form = WebhookForm(request.POST)
    if not form.is_valid():
        return show_one(request, project, hook, form)
    Webhook.objects.filter(pk=pk).update(**form.cleaned_data)
    messages.success(request, "The webhook was changed.")
    return redirect("webhook", slug, pk)


@login_required
@require_POST
def webhook_switch(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Switch a webhook off or on; what waits is sent when it is on again."""
    _, hook = the_hook(request, slug, pk)
    Webhook.objects.filter(pk=pk).update(enabled=not hook.enabled, disabled_reason="")
    messages.success(request, f"The webhook is {'off' if hook.enabled else 'on'}.")
    return redirect("webhook", slug, pk)


@login_required
@require_POST
def webhook_key(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Draw a new signing key and show it once; the one before ends now."""
    project, hook = the_hook(request, slug, pk)
    hook.secret = domain.new_secret()
    hook.save(update_fields=["secret"])
    return show_one(request, project, hook, secret=hook.secret)


@login_required
@require_POST
def webhook_delete(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Delete a webhook and what was noted of its deliveries."""
    _, hook = the_hook(request, slug, pk)
    hook.delete()
    messages.success(request, "The webhook was deleted.")
    return redirect("webhooks", slug)


@login_required
@require_POST
def webhook_test(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Send the event ``test`` now."""
    _, hook = the_hook(request, slug, pk)
    domain.send_test(hook)
    transaction.on_commit(domain.deliver_in_background, robust=True)
    return redirect("webhook", slug, pk)


@login_required
@require_POST
def webhook_again(request: HttpRequest, slug: str, pk: int, delivery_pk: int) -> HttpResponse:
    """Send a delivery again now."""
    _, hook = the_hook(request, slug, pk)
    domain.send_again(get_object_or_404(WebhookDelivery, webhook=hook, pk=delivery_pk))
    transaction.on_commit(domain.deliver_in_background, robust=True)
    return redirect("webhook", slug, pk)
