"""Addresses of the pages; everything of a project lives under /p/<slug>/."""

from __future__ import annotations

from django.contrib.auth import views as auth
from django.urls import path, reverse_lazy

from curation.views import (
    account,
    dashboard,
    decontamination,
    dedup,
    difficulty,
    disputes,
    exports,
    health,
    imports,
    jobs,
    judges,
    members,
    problems,
    projects,
    recipes,
    schedules,
    selections,
    sources,
    structure,
    teachers,
    tiers,
    tokens,
    traces,
    training,
    verifiers,
    webhooks,
)

P = "p/<slug:slug>/"
ACCOUNT = [
    path("login/", account.SignIn.as_view(), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path(
        "account/password/",
        auth.PasswordChangeView.as_view(success_url=reverse_lazy("projects")),
        name="password_change",
    ),
    path(
        "account/set-password/<uidb64>/<token>/",
        auth.PasswordResetConfirmView.as_view(success_url=reverse_lazy("login")),
        name="password_set",
    ),
]
DATA = [
    path(P, dashboard.dashboard, name="dashboard"),
    path(f"{P}sources/", sources.sources, name="sources"),
    path(f"{P}sources/import/", imports.source_import, name="source_import"),
    path(f"{P}sources/import/look/", imports.source_look, name="source_look"),
    path(f"{P}sources/<int:pk>/", sources.source, name="source"),
    path(f"{P}sources/<int:pk>/rejects/<int:reject_pk>/", sources.reject, name="reject"),
    path(f"{P}problems/", problems.problems, name="problems"),
    path(f"{P}problems/<int:pk>/", problems.problem, name="problem"),
    path(f"{P}duplicates/", dedup.duplicates, name="duplicates"),
    path(f"{P}duplicates/run/", dedup.dedup_run, name="dedup_run"),
    path(f"{P}duplicates/<int:pk>/", dedup.duplicate, name="duplicate"),
    path(
        f"{P}duplicates/problems/<int:pk>/decide/", dedup.duplicate_decide, name="duplicate_decide"
    ),
    path(f"{P}decontamination/", decontamination.decontamination, name="decontamination"),
    path(f"{P}decontamination/run/", decontamination.decontaminate_run, name="decontaminate_run"),
    path(f"{P}decontamination/add/", decontamination.benchmark_add, name="benchmark_add"),
    path(
        f"{P}decontamination/<int:pk>/decide/",
        decontamination.overlap_decide,
        name="overlap_decide",
    ),
    path(f"{P}structure/", structure.structure, name="structure"),
    path(f"{P}traces/", traces.traces, name="traces"),
    path(f"{P}traces/<int:pk>/", traces.trace, name="trace"),
    path(f"{P}traces/<int:pk>/text/", traces.trace_text, name="trace_text"),
]
VERDICTS = [
    path(f"{P}verifiers/", verifiers.verifiers, name="verifiers"),
    path(f"{P}verifiers/<path:name>/again/", verifiers.verify_again, name="verify_again"),
    path(f"{P}verifiers/<path:name>/", verifiers.verifier, name="verifier"),
]
EVIDENCE = [
    path(f"{P}difficulty/", difficulty.difficulty, name="difficulty"),
    path(f"{P}difficulty/tiers/", tiers.tiers, name="difficulty_tiers"),
    path(f"{P}disputes/", disputes.disputes, name="disputes"),
    path(f"{P}disputes/<int:pk>/", disputes.dispute, name="dispute"),
    path(f"{P}disputes/<int:pk>/decide/", disputes.dispute_decide, name="dispute_decide"),
    path(f"{P}judges/", judges.judges, name="judges"),
    path(f"{P}judges/add/", judges.judge_prompt_add, name="judge_prompt_add"),
    path(f"{P}judges/<slug:name>/", judges.judge_prompt, name="judge_prompt"),
]
WORK = [
    path(f"{P}jobs/", jobs.jobs, name="jobs"),
    path(f"{P}jobs/start/", jobs.job_start, name="job_start"),
    path(f"{P}jobs/<int:pk>/", jobs.job, name="job"),
    path(f"{P}jobs/<int:pk>/progress/", jobs.job_progress, name="job_progress"),
    path(f"{P}jobs/<int:pk>/cancel/", jobs.job_cancel, name="job_cancel"),
    path(f"{P}jobs/<int:pk>/retry/", jobs.job_retry, name="job_retry"),
    path(f"{P}teachers/", teachers.teachers, name="teachers"),
    path(f"{P}teachers/add/", teachers.teacher_add, name="teacher_add"),
    path(f"{P}teachers/grants/", teachers.teacher_grants, name="teacher_grants"),
    path(
        f"{P}teachers/grants/<int:pk>/revoke/",
        teachers.teacher_grant_revoke,
        name="teacher_grant_revoke",
    ),
    path(f"{P}teachers/<int:pk>/", teachers.teacher, name="teacher"),
    path(f"{P}teachers/<int:pk>/probe/", teachers.teacher_probe, name="teacher_probe"),
    path(f"{P}teachers/<int:pk>/switch/", teachers.teacher_switch, name="teacher_switch"),
    path(f"{P}teachers/<int:pk>/generate/", teachers.teacher_generate, name="teacher_generate"),
    path(f"{P}schedules/", schedules.schedules, name="schedules"),
    path(f"{P}schedules/add/", schedules.schedule_add, name="schedule_add"),
    path(f"{P}schedules/<int:pk>/", schedules.schedule, name="schedule"),
    path(f"{P}schedules/<int:pk>/run/", schedules.schedule_run, name="schedule_run"),
    path(f"{P}schedules/<int:pk>/switch/", schedules.schedule_switch, name="schedule_switch"),
    path(f"{P}schedules/<int:pk>/delete/", schedules.schedule_delete, name="schedule_delete"),
]
SETS = [
    path(f"{P}recipes/", recipes.recipes, name="recipes"),
    path(f"{P}recipes/add/", recipes.recipe_add, name="recipe_add"),
    path(f"{P}recipes/<int:pk>/", recipes.recipe, name="recipe"),
    path(f"{P}recipes/<int:pk>/run/", recipes.recipe_run, name="recipe_run"),
    path(f"{P}selections/", selections.selections, name="selections"),
    path(f"{P}selections/<int:pk>/", selections.selection, name="selection"),
    path(f"{P}selections/<int:pk>/export/", selections.selection_export, name="selection_export"),
    path(f"{P}exports/", exports.exports, name="exports"),
    path(f"{P}exports/<int:pk>/", exports.export, name="export"),
    path(f"{P}exports/<int:pk>/verify/", exports.export_verify, name="export_verify"),
    path(f"{P}exports/<int:pk>/files/<path:path>", exports.export_file, name="export_file"),
    path(f"{P}exports/<int:export_pk>/train/", training.training_start, name="training_start"),
    path(f"{P}training/", training.training, name="training"),
    path(f"{P}training/<int:pk>/", training.training_run, name="training_run"),
    path(f"{P}training/<int:pk>/cancel/", training.training_cancel, name="training_cancel"),
]
PEOPLE = [
    path(f"{P}members/", members.members, name="members"),
    path(f"{P}members/invite/", members.member_invite, name="member_invite"),
    path(f"{P}members/<int:pk>/role/", members.member_role, name="member_role"),
    path(f"{P}members/<int:pk>/remove/", members.member_remove, name="member_remove"),
    path(f"{P}members/<int:pk>/disable/", members.member_disable, name="member_disable"),
    path(f"{P}members/<int:pk>/password/", members.member_password, name="member_password"),
    path(f"{P}tokens/", tokens.tokens, name="tokens"),
    path(f"{P}tokens/add/", tokens.token_add, name="token_add"),
    path(f"{P}tokens/<int:pk>/revoke/", tokens.token_revoke, name="token_revoke"),
    path(f"{P}webhooks/", webhooks.webhooks, name="webhooks"),
    path(f"{P}webhooks/add/", webhooks.webhook_add, name="webhook_add"),
    path(f"{P}webhooks/<int:pk>/", webhooks.webhook, name="webhook"),
    path(f"{P}webhooks/<int:pk>/edit/", webhooks.webhook_edit, name="webhook_edit"),
    path(f"{P}webhooks/<int:pk>/switch/", webhooks.webhook_switch, name="webhook_switch"),
    path(f"{P}webhooks/<int:pk>/key/", webhooks.webhook_key, name="webhook_key"),
    path(f"{P}webhooks/<int:pk>/delete/", webhooks.webhook_delete, name="webhook_delete"),
    path(f"{P}webhooks/<int:pk>/test/", webhooks.webhook_test, name="webhook_test"),
    path(
        f"{P}webhooks/<int:pk>/deliveries/<int:delivery_pk>/again/",
        webhooks.webhook_again,
        name="webhook_again",
    ),
]
urlpatterns = [
    path("", projects.projects, name="projects"),
    path("health/chip/", health.health_chip, name="health_chip"),
    *ACCOUNT,
    *DATA,
    *VERDICTS,
    *EVIDENCE,
    *WORK,
    *SETS,
    *PEOPLE,
]
