"""What is asked, by form: what comes out, what survives, what is refused where, what is lost."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from curation.models import Membership, Project
from reviews import asking
from reviews import queues as handing_out
from reviews.decisions import parse, submit
from reviews.models import Queue, Review
from reviews.schema import BadSchema, check_values, examine, parse_schema, schema_of
from tests.reviews.pageform import fields_of
from tests.reviews.test_queues import make_queue

pytestmark = pytest.mark.django_db

STORED = {
    "labels": [
        {"name": "clarity", "title": "Clarity", "type": "rating", "max": 5, "colour": "red"},
        {"name": "style", "type": "choice", "choices": ["plain", "wordy"], "help": {"a": [1]}},
    ],
    "spans": ["wrong"],
    "made_by": "a later version",
}


@pytest.fixture
def curator(project: Project, client: Client) -> Client:
    person = get_user_model().objects.create_user("cleo", password="correct horse 2")
    Membership.objects.create(project=project, user=person, role="curator")
    client.force_login(person)
    return client


def put(project: Project, stored: dict[str, Any]) -> None:
    project.settings = (project.settings or {}) | {"review": stored, "other": 1}
    project.save()


def stored(project: Project) -> dict[str, Any]:
    project.refresh_from_db()
    return dict(project.settings["review"])


ADDRESS = "/p/demo/review-schema/"


def form_of(client: Client) -> dict[str, str]:
    """The page's form as a browser would send it back."""
    html = client.get(ADDRESS).content.decode()
    return {name: values[0] for name, values in fields_of(html, "asked-form").items()}


def answer(project: Project, user: Any, values: dict[str, Any], n: int = 1) -> None:
    queue = Queue.objects.filter(project=project).first() or make_queue(project, 6)
    for _ in range(n):
        assignment = handing_out.next_assignment(queue, user)
        assert assignment is not None
        submit(assignment, assignment.epoch, parse({"decision": "sound", "values": values}))


def test_saving_the_untouched_form_changes_nothing(project: Project, curator: Client) -> None:
    put(project, STORED)
    assert curator.post(ADDRESS, form_of(curator) | {"action": "save"}).status_code == 302
    assert stored(project) == STORED and project.settings["other"] == 1


def test_an_edit_keeps_keys_that_the_form_does_not_know(project: Project, curator: Client) -> None:
    put(project, STORED)
    sent = form_of(curator) | {"q-0-title": "How clear?", "q-0-max": "7", "q-1-name": "tone"}
    assert curator.post(ADDRESS, sent | {"action": "save"}).status_code == 302
    first, second = stored(project)["labels"]
    assert first == STORED["labels"][0] | {"title": "How clear?", "max": 7}  # type: ignore[index,operator]
    assert second["name"] == "tone" and second["help"] == {"a": [1]}
    assert stored(project)["made_by"] == "a later version"
    assert [la.name for la in schema_of(project).labels] == ["clarity", "tone"]


def test_a_question_is_added_moved_and_removed_without_a_script(
    project: Project, curator: Client
) -> None:
    put(project, STORED)
    page = curator.post(ADDRESS, form_of(curator) | {"action": "add"}).content.decode()
    assert 'name="q-2-title"' in page and "autofocus" in page and stored(project) == STORED
    sent = form_of(curator) | {"action": "up-1"}
    page = curator.post(ADDRESS, sent).content.decode()
    assert re.search(r'name="q-0-name" value="style"', page) and stored(project) == STORED
    part = curator.post(ADDRESS, sent | {"action": "remove-0"}, headers={"HX-Request": "true"})
    words = part.content.decode()
    assert "<html" not in words and "Clarity removed" in words and 'value="clarity"' not in words
    new = {"q-TOTAL_FORMS": "3", "q-2-title": "Which step is best?", "q-2-type": "multi",
           "q-2-choices": "first\r\n\r\n last \r\n", "q-2-required": "on", "q-2-max": "5",
           "action": "save"}  # fmt: skip
    assert curator.post(ADDRESS, form_of(curator) | new).status_code == 302
    assert stored(project)["labels"][2] == {
        "name": "which_step_is_best", "title": "Which step is best?", "type": "multi",
        "choices": ["first", "last"], "required": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field", "why"),
    [
        ({"q-0-name": "Not A Name"}, "id_q-0-name", "a name of a-z"),
        ({"q-1-name": "clarity"}, "id_q-1-name", "each name once"),
        ({"q-1-choices": "plain"}, "id_q-1-choices", "two choices or more"),
        ({"q-1-choices": "plain\nplain"}, "id_q-1-choices", "each choice once"),
        ({"q-0-max": "eleven"}, "id_q-0-max", "max is 2 to 10"),
        ({"q-0-title": "x" * 101}, "id_q-0-title", "100 characters"),
        ({"q-1-type": "<b>"}, "id_q-1-type", "type is one of"),
        ({"token_limit": "-3"}, "id_token_limit", "a whole number above 0"),
        ({"spans": "w" * 61}, "id_spans", "1 to 60 characters"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    project: Project, curator: Client, change: dict[str, str], field: str, why: str
) -> None:
    put(project, STORED)
    answer = curator.post(ADDRESS, form_of(curator) | change | {"action": "save"})
    page = answer.content.decode()
    assert answer.status_code == 200 and stored(project) == STORED
    tag = re.search(rf'<(?:input|textarea|select)[^>]*id="{field}"[^>]*>', page)
    assert tag and 'aria-invalid="true"' in tag[0] and f"{field}_error" in tag[0]
    errors = re.search(rf'id="{field}_error"[^>]*>(.*?)</ul>', page, re.S)
    assert errors and why in errors[1]
    assert f'href="#{field}"' in page  # the summary leads to it


def test_json_goes_through_the_same_checks(project: Project, curator: Client) -> None:
    put(project, STORED)
    for text, why in (("{", "not JSON"), ('{"labels": [{"name": "a"}]}', "type is one of"),
                      ('{"typo": 1}', "unknown: typo"), ("[]", "an object")):  # fmt: skip
        answer = curator.post(ADDRESS, {"schema": text, "action": "json"})
        assert why in answer.content.decode() and stored(project) == STORED
    good = {"made_by": "kept", "token_limit": 9}
    assert curator.post(ADDRESS, {"schema": json.dumps(good)}).status_code == 302
    assert stored(project) == good
    with pytest.raises(BadSchema):
        parse_schema({"made_by": 1})


def test_a_lost_question_is_told_with_its_answers_and_needs_a_yes(
    project: Project, curator: Client, user: Any
) -> None:
    put(project, STORED)
    answer(project, user, {"clarity": 5, "style": "plain"}, 2)
    answer(project, user, {"clarity": 2})
    sent = form_of(curator) | {"q-0-name": "plainness", "q-1-choices": "dry\nwordy"}
    preview = curator.post(ADDRESS, sent | {"action": "preview"}).content.decode()
    page = curator.post(ADDRESS, sent | {"action": "save"}).content.decode()
    for words in (preview, page):
        assert "renamed to plainness: 3 reviews hold" in words
        assert "its answers changed: 2 reviews hold" in words
    assert stored(project) == STORED and 'name="agreed" value="clarity,style"' in page
    refused = curator.post(ADDRESS, sent | {"action": "save", "agreed": "clarity"})
    assert refused.status_code == 200 and stored(project) == STORED
    done = curator.post(ADDRESS, sent | {"action": "save", "agreed": "clarity,style"})
    assert done.status_code == 302 and stored(project)["labels"][0]["name"] == "plainness"
    assert Review.objects.filter(values__clarity=5).count() == 2  # they stay
    assert asking.answered(project, ["clarity", "none"]) == [3, 0]


def test_a_draft_with_a_question_of_yesterday_can_still_be_submitted(
    project: Project, curator: Client, user: Any
) -> None:
    put(project, STORED)
    queue = make_queue(project, 1)
    assignment = handing_out.next_assignment(queue, user)
    assert assignment is not None
    curator.post(ADDRESS, {"schema": '{"labels": [{"name": "tone", "type": "text"}]}'})
    assignment.refresh_from_db()
    assignment.item.queue.project.refresh_from_db()
    sent = parse({"decision": "sound", "values": {"clarity": 3, "tone": "dry"}})
    review = submit(assignment, assignment.epoch, sent)
    assert review.values == {"tone": "dry"}
    with pytest.raises(BadSchema):
        check_values(schema_of(project), {"never_asked": 1}, False)


def test_what_somebody_else_saved_meanwhile_is_not_written_over(
    project: Project, curator: Client
) -> None:
    put(project, STORED)
    old = form_of(curator)
    put(project, STORED | {"token_limit": 7})
    page = curator.post(ADDRESS, old | {"q-0-title": "Mine", "action": "save"}).content.decode()
    assert "changed by somebody else" in page and 'value="Mine"' in page
    assert stored(project) == STORED | {"token_limit": 7}
    part = {k: v for k, v in old.items() if k != "q-TOTAL_FORMS"}
    page = curator.post(ADDRESS, part | {"action": "save"}).content.decode()
    assert "did not arrive whole" in page


def test_words_are_escaped_and_a_broken_part_leaves_the_rest_usable(
    project: Project, curator: Client
) -> None:
    bad = "</textarea><script>alert(1)</script>"
    labels = [{"name": "a", "type": "choice", "choices": [bad, '"onmouseover=x'], "title": bad},
              {"name": "b", "type": "slider"}]  # fmt: skip
    put(project, {"labels": labels, "spans": [bad], "tokenizer": bad})
    page = curator.get(ADDRESS).content.decode()
    assert "<script>alert" not in page and '"onmouseover' not in page
    assert 'value="slider" selected' in page and "type is one of" in page
    schema, faults = examine({"labels": labels})
    assert [la.name for la in schema.labels] == ["a"] and [f.row for f in faults] == [1]
    assert schema_of(project).labels == schema.labels


def test_a_reviewer_sees_the_form_and_changes_nothing(project: Project) -> None:
    put(project, STORED)
    person = get_user_model().objects.create_user("rita", password="correct horse 2")
    Membership.objects.create(project=project, user=person, role="reviewer")
    client = Client()
    client.force_login(person)
    page = client.get(ADDRESS).content.decode()
    assert 'id="q-0" disabled' in page and ">Save" not in page
    assert client.post(ADDRESS, {"action": "preview"}).status_code in (403, 404)
    assert stored(project) == STORED
