"""The tables, in the order of the flow."""

from curation.models.project import ApiToken, Membership, Project
from curation.models.signin import SignInAttempt
from curation.models.source import ImportReject, Source, SourceFile
from curation.models.problem import (
    Benchmark,
    BenchmarkHit,
    BenchmarkItem,
    DuplicateChoice,
    DuplicateCluster,
    DuplicateMember,
    OverlapDecision,
    Problem,
    ProblemOccurrence,
)
from curation.models.endpoint import EndpointGrant, ModelEndpoint
from curation.models.trace import FailedGeneration, Trace
from curation.models.verdict import Verdict
from curation.models.difficulty import Difficulty
from curation.models.judgement import (
    DisputeDecision,
    JudgePrompt,
    JudgeVote,
    PseudoReference,
    ReferenceDispute,
    RewardSeries,
)
from curation.models.proof import ContinuationProbe
from curation.models.refinement import RefineAnswer
from curation.models.segment import CutProposal, Segment, Segmentation
from curation.models.outcome import ReviewOutcome
from curation.models.selection import Recipe, Selection, SelectionExclusion, SelectionRow
from curation.models.export import Export
from curation.models.training import TrainingMetric, TrainingResult, TrainingRun
from curation.models.job import (
    IdempotencyKey,
    Job,
    JobLog,
    Outbox,
    ProcessBeat,
    Schedule,
    ScheduleRun,
    Webhook,
    WebhookDelivery,
)

__all__ = [
    "ApiToken",
    "Benchmark",
    "BenchmarkHit",
    "BenchmarkItem",
    "ContinuationProbe",
    "CutProposal",
    "Difficulty",
    "DisputeDecision",
    "DuplicateChoice",
    "DuplicateCluster",
    "DuplicateMember",
    "EndpointGrant",
    "Export",
    "FailedGeneration",
    "IdempotencyKey",
    "ImportReject",
    "Job",
    "JobLog",
    "JudgePrompt",
    "JudgeVote",
    "Membership",
    "ModelEndpoint",
    "Outbox",
    "OverlapDecision",
    "Problem",
    "ProblemOccurrence",
    "ProcessBeat",
    "Project",
    "PseudoReference",
    "Recipe",
    "ReferenceDispute",
    "RefineAnswer",
    "ReviewOutcome",
    "RewardSeries",
    "Schedule",
    "ScheduleRun",
    "Segment",
    "Segmentation",
    "Selection",
    "SelectionExclusion",
    "SelectionRow",
    "SignInAttempt",
    "Source",
    "SourceFile",
    "Trace",
    "TrainingMetric",
    "TrainingResult",
    "TrainingRun",
    "Verdict",
    "Webhook",
    "WebhookDelivery",
]
