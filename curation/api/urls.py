"""Routes of the REST API and of health."""

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from curation.api import data, evidence, findings, structure, tools, training, work
from curation.api.docs import docs_page
from curation.api.health import healthz

router = SimpleRouter()
for name, view in {
    "projects": data.Projects,
    "sources": data.Sources,
    "problems": data.Problems,
    "duplicate-clusters": findings.DuplicateClusters,
    "benchmarks": data.Benchmarks,
    "benchmark-hits": findings.BenchmarkHits,
    "teachers": data.Teachers,
    "traces": data.Traces,
    "verdicts": data.Verdicts,
    "difficulties": data.Difficulties,
    "segments": data.Segments,
    "probes": structure.Probes,
    "refine-answers": structure.RefineAnswers,
    "judge-prompts": evidence.JudgePrompts,
    "judge-votes": evidence.JudgeVotes,
    "pseudo-references": evidence.PseudoReferences,
    "disputes": evidence.Disputes,
    "reward-series": evidence.RewardSeriesSet,
    "recipes": work.Recipes,
    "selections": work.Selections,
    "exports": work.Exports,
    "training-runs": training.TrainingRuns,
    "jobs": work.Jobs,
    "schedules": work.Schedules,
    "webhooks": work.Webhooks,
    "webhook-deliveries": findings.WebhookDeliveries,
}.items():
    router.register(name, view, basename=name)

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", docs_page, name="api-docs"),
    path("api/v1/levels/", evidence.LevelSample.as_view(), name="levels"),
    path("api/v1/calibrations/", evidence.Calibrations.as_view(), name="calibrations"),
    path("api/v1/agreement/", findings.VerdictAgreement.as_view(), name="agreement"),
    path("api/v1/tools/verify/", tools.VerifyTool.as_view(), name="tools-verify"),
    path("api/v1/tools/segment/", tools.SegmentTool.as_view(), name="tools-segment"),
    path(
        "api/v1/traces/<int:pk>/structure/",
        structure.TraceStructure.as_view({"get": "retrieve"}),
        name="trace-structure",
    ),
    # A file's address ends as the file's name does, without a slash.
    re_path(
        "^api/v1/exports/(?P<digest>[0-9a-f]{64})/files/(?P<path>.+)$",
        work.Exports.as_view({"get": "files"}),
        name="export-files",
    ),
    path("api/v1/", include(router.urls)),
]
