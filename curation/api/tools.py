"""Stateless tools: verify one response, segment one text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from curation import paths
from curation.sandbox.client import VerifierClient
from curation.segmentation import propose_cuts, segment
from curation.segmentation.components import find_components
from curation.verifiers import VERIFIERS

MAX_TEXT = 1_000_000


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


class VerifyTool(APIView):
    """One verdict; nothing is stored."""

    write_scope = "read"

    @extend_schema(request=VerifyRequest, responses=OpenApiTypes.OBJECT, tags=["tools"])
    def post(self, request: Request) -> Response:
        asked = VerifyRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        client = VerifierClient(paths.verifier_socket(), attempts=2)
        (verdict,) = client.verify_batch([dict(asked.validated_data)])
        return Response(asdict(verdict))


class SegmentTool(APIView):
    """Leaves, components of attempts and proposed cuts of a text; nothing is stored."""

    write_scope = "read"

    @extend_schema(request=SegmentRequest, responses=OpenApiTypes.OBJECT, tags=["tools"])
    def post(self, request: Request) -> Response:
        asked = SegmentRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        text, reference = asked.validated_data["text"], asked.validated_data["reference"]
        segments = segment(text, reference)
        cuts = propose_cuts(text, segments, reference)
        return Response(
            {
                "segments": [asdict(s) for s in segments],
                "components": [asdict(c) for c in find_components(text, segments)],
                "cuts": [asdict(c) for c in cuts],
            }
        )
