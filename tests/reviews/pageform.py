"""A form of a page as a browser would send it back, untouched."""

from __future__ import annotations

from html.parser import HTMLParser


class FormReader(HTMLParser):
    """The successful controls of one form: {name: [values]}."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.wanted, self.inside, self.text, self.select = form, False, "", ""
        self.found: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = {k: v or "" for k, v in attrs}
        self.inside = self.inside or (tag == "form" and a.get("id") == self.wanted)
        if not self.inside:
            return
        if tag == "input" and (
            a.get("type") not in ("checkbox", "radio", "submit") or "checked" in a
        ):
            self.found.setdefault(a.get("name", ""), []).append(
                a.get("value", "on" if a.get("type") in ("checkbox", "radio") else "")
            )
        elif tag == "textarea":
            self.text = a["name"]
            self.found[self.text] = [""]
        elif tag == "select":
            self.select = a["name"]
        elif tag == "option" and "selected" in a:
            self.found.setdefault(self.select, []).append(a.get("value", ""))

    def handle_data(self, data: str) -> None:
        if self.text:
            self.found[self.text][0] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        elif tag == "textarea" and self.text:  # a line end that starts the text is the parser's
            self.found[self.text] = [self.found[self.text][0].removeprefix("\n")]
            self.text = ""


def fields_of(html: str, form: str) -> dict[str, list[str]]:
    reader = FormReader(form)
    reader.feed(html)
    return reader.found
