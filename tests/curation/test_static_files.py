"""Static files: addresses that change with their content, so that a browser may keep them."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings
from django.test import Client

from curation import paths


def test_the_hash_of_a_folder_changes_with_a_name_or_a_content(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "a.js").write_text("1")
    first = paths.content_hash(tmp_path)
    assert re.fullmatch("[0-9a-f]{16}", first) and paths.content_hash(tmp_path) == first
    (tmp_path / "js" / "a.js").write_text("2")
    second = paths.content_hash(tmp_path)
    (tmp_path / "js" / "a.js").rename(tmp_path / "js" / "b.js")
    assert len({first, second, paths.content_hash(tmp_path)}) == 3


def test_our_files_are_kept_for_good_and_packages_files_are_asked_for_again() -> None:
    ours = str(settings.STATIC_FILES / "css" / "app.css")
    assert settings.WHITENOISE_IMMUTABLE_FILE_TEST(ours, "")
    assert not settings.WHITENOISE_IMMUTABLE_FILE_TEST("/elsewhere/app.css", "")


def test_a_file_under_the_address_of_another_release_is_found(client: Client) -> None:
    for old in ("/static/css/app.css", f"/static/{'0' * 16}/css/app.css"):
        answer = client.get(old)
        assert answer.status_code == 302
        kept = client.get(answer["Location"])
        assert kept.status_code == 200 and "immutable" in kept["Cache-Control"]
    assert client.get("/static/css/none.css", follow=True).status_code == 404
