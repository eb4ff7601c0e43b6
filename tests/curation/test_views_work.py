"""What people start and change on the pages: jobs, models, recipes, exports, training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from curation.models import Job, Membership, ModelEndpoint
from tests.curation import views_world
from tests.curation.granting import granted
from tests.curation.views_world import World

pytestmark = pytest.mark.django_db


def test_a_job_is_started_shown_cancelled_and_tried_again(owner: Client, world: World) -> None:
    answer = owner.post("/p/demo/jobs/start/", {"kind": "verify", "source": "numbers"})
    job = Job.objects.latest("pk")
    assert answer["Location"] == f"/p/demo/jobs/{job.pk}/"
    assert (job.kind, job.params, job.state) == ("verify", {"source": "numbers"}, "queued")
    assert job.created_by and job.created_by.username == "alice"
    owner.post(f"/p/demo/jobs/{job.pk}/cancel/")
    job.refresh_from_db()
    assert job.state == "cancelled"
    owner.post(f"/p/demo/jobs/{job.pk}/retry/")
    assert Job.objects.latest("pk").retry_of == job


def test_a_kind_of_work_that_is_not_offered_is_refused(owner: Client, world: World) -> None:
    answer = owner.post("/p/demo/jobs/start/", {"kind": "demo", "source": ""})
    assert answer.status_code == 400
    assert Job.objects.count() == 1


def test_the_progress_of_a_finished_job_no_longer_asks(owner: Client, world: World) -> None:
    address = f"/p/demo/jobs/{world.job.pk}/progress/"
    assert "hx-trigger" in owner.get(address).content.decode()
    Job.objects.filter(pk=world.job.pk).update(state="done")
    assert "hx-trigger" not in owner.get(address).content.decode()


def test_a_fragment_that_asks_after_the_session_ended_loads_the_page_again(
    client: Client, world: World
) -> None:
    base = f"/p/demo/jobs/{world.job.pk}/"
    for address in ("/health/chip/", base, f"{base}progress/", f"/p/demo/training/{world.run.pk}/"):
        answer = client.get(address, headers={"HX-Request": "true"})
        assert (answer.status_code, answer["HX-Refresh"], answer.content) == (204, "true", b"")


def test_generating_asks_for_a_job_with_the_sampling_of_the_form(
    owner: Client, world: World
) -> None:
    form = {"n": 4, "temperature": 0.7, "top_p": 1, "max_tokens": 100, "seed": 5, "source": ""}
    owner.post(f"/p/demo/teachers/{world.teacher.pk}/generate/", form)
    sampling = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 100, "seed": 5}
    assert Job.objects.latest("pk").params == {"teacher": "demo", "n": 4, "sampling": sampling}


def test_an_endpoint_is_added_and_probed(owner: Client, world: World) -> None:
    granted(world.project, "http://192.0.2.1:8000")
    form = {"name": "vllm", "kind": "teacher", "base_url": "http://192.0.2.1:8000/v1/"}
    owner.post("/p/demo/teachers/add/", form | {"model": "q"})
    made = ModelEndpoint.objects.get(name="vllm")
    assert made.base_url == "http://192.0.2.1:8000/v1"
    job = Job.objects.latest("pk")
    assert (job.kind, job.params) == ("probe", {"teacher": "vllm"})


@pytest.mark.parametrize(
    "changed",
    [{"base_url": "file:///etc/passwd"}, {"base_url": "http://u:p@host/v1"}, {"name": "demo"},
     {"api_key_env": "SECRET_KEY"}, {"sampling": "[1]"}, {"limits": "{"}],
)  # fmt: skip
def test_an_endpoint_that_cannot_be_right_is_refused(
    owner: Client, world: World, changed: dict[str, str]
) -> None:
    granted(world.project, "http://h.invalid/v1")
    form = {"name": "new", "kind": "teacher", "base_url": "http://h.invalid/v1", "model": "q"}
    form |= changed
    answer = owner.post("/p/demo/teachers/add/", form)
    assert answer.status_code == 200 and "errorlist" in answer.content.decode()
    assert ModelEndpoint.objects.count() == 1


def test_a_recipe_written_twice_is_one_version_and_a_changed_one_is_the_next(
    owner: Client, world: World
) -> None:
    spec = {"name": "mine", "kind": "sft", "per_problem": 2}
    first = owner.post("/p/demo/recipes/add/", {"spec": json.dumps(spec)})["Location"]
    assert owner.post("/p/demo/recipes/add/", {"spec": json.dumps(spec)})["Location"] == first
    changed = json.dumps(spec | {"per_problem": 3})
    second = owner.post("/p/demo/recipes/add/", {"spec": changed})["Location"]
    assert second != first and "v2" in owner.get(second).content.decode()
    wrong = owner.post("/p/demo/recipes/add/", {"spec": '{"name": "x", "colour": 1}'})
    assert "colour: no such field" in wrong.content.decode()


def test_running_a_recipe_names_its_version(owner: Client, world: World) -> None:
    owner.post(f"/p/demo/recipes/{world.recipe.pk}/run/")
    assert Job.objects.latest("pk").params == {"recipe": "sft-verified@1"}


def test_exporting_a_selection_makes_a_job(owner: Client, world: World) -> None:
    owner.post(f"/p/demo/selections/{world.selection.pk}/export/", {"format": "trl_sft"})
    job = Job.objects.latest("pk")
    assert job.kind == "export"
    assert job.params == {"selection": world.selection.pk, "format": "trl_sft"}


def test_files_of_an_export_come_down_byte_for_byte(owner: Client, world: World) -> None:
    base = f"/p/demo/exports/{world.export.pk}/files/"
    answer = owner.get(f"{base}data/train.jsonl")
    assert b"".join(answer.streaming_content) == b'{"messages": []}\n'
    assert "attachment" in answer["Content-Disposition"]
    for path in ("../../secret_key", "data/../manifest.json", "/etc/passwd", "data/other.jsonl"):
        assert owner.get(f"{base}{path}").status_code == 404, path


def test_verifying_an_export_says_what_changed(owner: Client, world: World) -> None:
    address = f"/p/demo/exports/{world.export.pk}/verify/"
    assert "Whole and unchanged" in owner.post(address, follow=True).content.decode()
    (Path(world.export.path) / "data/train.jsonl").write_bytes(b'{"messages": {}}\n')
    assert (
        "data/train.jsonl"
        in owner.post(address, follow=True).context["messages"]._loaded_data[0].message
    )


def test_a_training_run_is_queued_and_cancelled(owner: Client, world: World) -> None:
    form = {"name": "r2", "base_model": "demo-student-start", "method": "sft", "config": "{}"}
    answer = owner.post(f"/p/demo/exports/{world.export.pk}/train/", form)
    page = owner.get(answer["Location"]).content.decode()
    assert "python -m workers.trainer" in page
    run = world.export.training_runs.get(name="r2")
    assert run.config == {"method": "sft", "base_model": "demo-student-start", "config": {}}
    owner.post(f"/p/demo/training/{run.pk}/cancel/")
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_the_stored_text_comes_down_byte_for_byte(owner: Client, world: World) -> None:
    answer = owner.get(f"/p/demo/traces/{world.trace.pk}/text/")
    assert answer.content == views_world.TEXT.encode()
    assert answer["Content-Type"].startswith("text/plain")


def test_a_project_is_made_by_who_becomes_its_owner(
    owner: Client, user: Any, settings: Any
) -> None:
    settings.PROJECT_CREATION = "everyone"
    owner.post("/", {"name": "New one", "slug": "new-one"})
    assert Membership.objects.get(project__slug="new-one", user=user).role == "owner"
