"""Stateless tools: verify one response, segment one text.

Anybody with a token may call them, so they run in slots of their own (:mod:`curation.brakes`),
with a deadline and with limits that the caller may lower and not raise.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation.brakes import TOOLS
from curation.jobs import JobError
from curation.sandbox.client import VerifierClient
from curation.segmentation import propose_cuts, segment
from curation.segmentation.components import find_components
from curation.verifiers import VERIFIERS
from curation.verifiers.code import MEMORY_MB, SECONDS
from curation.verifiers.codetests import asked_limits

MAX_TEXT = 1_000_000
# A text of a million characters is segmented in about three seconds; the rest waits for a slot.
GRACE = 5.0


class VerifyRequest(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=sorted(VERIFIERS))
    response = serializers.CharField(max_length=MAX_TEXT, trim_whitespace=False, allow_blank=True)
    reference = serializers.CharField(
        max_length=100_000, trim_whitespace=False, allow_blank=True, allow_null=True
    )
    options = serializers.DictField(required=False, default=dict)


class SegmentRequest(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=MAX_TEXT, trim_whitespace=False)
    reference = serializers.CharField(
        max_length=100_000, required=False, allow_null=True, default=None, allow_blank=True
    )


def bounded_options(options: dict[str, Any]) -> dict[str, Any]:
    """A caller's options with the tools' deadline; JobError ``limit_too_high`` above a limit."""
    standard = {"seconds": SECONDS, "memory_mb": MEMORY_MB}
    asked = asked_limits(options.get("tests"))
    asked["deadline"] = options.get("deadline")
    for name, value in asked.items():
        most = standard.get(name, settings.TOOL_SECONDS)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise JobError("limit_invalid", f"{name} is a number")
        if not 0 < value <= most:
            raise JobError("limit_too_high", f"{name} is more than 0 and at most {most:g}")
    return options | {"deadline": asked["deadline"] or settings.TOOL_SECONDS}


class VerifyTool(APIView):
    """One verdict; nothing is stored."""

    write_scope = "read"

    @extend_schema(request=VerifyRequest, responses=OpenApiTypes.OBJECT, tags=["tools"])
    def post(self, request: Request) -> Response:
        asked = VerifyRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        item = dict(asked.validated_data)
        item["options"] = bounded_options(item["options"])
        seconds = settings.TOOL_SECONDS + GRACE
        with (
            TOOLS.hold(request.user.pk),
            VerifierClient(attempts=1, timeout=seconds) as client,
        ):
            (verdict,) = client.verify_batch([item])
        return Response(asdict(verdict))


class SegmentTool(APIView):
    """Leaves, components of attempts and proposed cuts of a text; nothing is stored."""

    write_scope = "read"

    @extend_schema(request=SegmentRequest, responses=OpenApiTypes.OBJECT, tags=["tools"])
    def post(self, request: Request) -> Response:
        asked = SegmentRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        text, reference = asked.validated_data["text"], asked.validated_data["reference"]
        with TOOLS.hold(request.user.pk):
            segments = segment(text, reference)
            cuts = propose_cuts(text, segments, reference)
            components = find_components(text, segments)
        return Response(
            {
                "segments": [asdict(s) for s in segments],
                "components": [asdict(c) for c in components],
                "cuts": [asdict(c) for c in cuts],
            }
        )
