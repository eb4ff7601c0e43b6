"""``/api/docs/``: the API on one page, made from its OpenAPI description; no script needed."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator

METHODS = ("get", "post", "put", "patch", "delete")


def operations(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Groups of operations by resource, in the order of their paths."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in schema["paths"].items():
        name = path.removeprefix("/api/v1/").split("/")[0]
        for method in METHODS:
            if method in methods:
                operation = methods[method]
                item = {"method": method.upper(), "path": path} | {
                    "text": operation.get("description", ""),
                    "parameters": operation.get("parameters", []),
                }
                groups.setdefault(name, []).append(item)
    return [{"name": name, "operations": items} for name, items in groups.items()]


@login_required
def docs_page(request: HttpRequest) -> HttpResponse:
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return render(request, "api/docs.html", {"groups": operations(schema)})
