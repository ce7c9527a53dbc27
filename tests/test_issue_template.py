"""The issue form: what GitHub accepts, and what the button on each page fills in by id."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from issue_button import issue_url

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".github" / "ISSUE_TEMPLATE"
FORM = yaml.safe_load((FOLDER / "page.yml").read_text("utf-8"))
FIELDS = {field["id"]: field for field in FORM["body"] if field["type"] != "markdown"}


# GitHub's syntax for issue forms: each type with the attributes that it needs, and all that it has.
TOP_LEVEL = {"name", "description", "title", "labels", "assignees", "projects", "type", "body"}
TEXT = {"label", "description", "placeholder", "value"}
ATTRIBUTES = {
    "markdown": ({"value"}, {"value"}),
    "input": ({"label"}, TEXT),
    "textarea": ({"label"}, TEXT | {"render"}),
}


def problems(form: dict) -> list[str]:
    """What GitHub would refuse in a form whose fields are inputs and text areas."""
    fields = form.get("body") or []
    asking = [field for field in fields if field.get("type") != "markdown"]
    ids = [field.get("id") for field in asking]
    labels = [field.get("attributes", {}).get("label") for field in asking]
    return [
        *(f"no {key}" for key in ("name", "description", "body") if not form.get(key)),
        *(f"unknown key {key}" for key in form.keys() - TOP_LEVEL),
        *(problem for field in fields for problem in field_problems(field)),
        *(f"id {name!r}" for name in ids if not re.fullmatch(r"[A-Za-z0-9_-]+", str(name))),
        *(f"id {name!r} twice" for name in set(ids) if ids.count(name) > 1),
        *(f"label {name!r} twice" for name in set(labels) if labels.count(name) > 1),
    ]


def field_problems(field: dict) -> list[str]:
    kind, attributes = field.get("type"), field.get("attributes", {})
    if kind not in ATTRIBUTES:
        return [f"type {kind!r}"]
    needed, allowed = ATTRIBUTES[kind]
    found = [f"{kind} without {key}" for key in needed - attributes.keys()]
    found += [f"{kind} with {key}" for key in attributes.keys() - allowed]
    if not isinstance(field.get("validations", {}).get("required", False), bool):
        found.append("required is neither true nor false")
    return found


def test_github_accepts_the_form():
    assert problems(FORM) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"description": ""}, "no description"),
        ({"about": "x"}, "unknown key about"),
        ({"body": [{"type": "text", "id": "a"}]}, "type 'text'"),
        ({"body": [{"type": "input", "id": "a"}]}, "input without label"),
        ({"body": [{"type": "input", "validations": {"required": "yes"}}]}, "required is neither"),
        ({"body": [{"type": "input", "id": "a b", "attributes": {"label": "x"}}]}, "id 'a b'"),
        (
            {"body": [{"type": "input", "id": "a", "attributes": {"label": "x"}}] * 2},
            "id 'a' twice",
        ),
    ],
)
def test_a_form_that_github_refuses_is_found(change, problem):
    assert any(found.startswith(problem) for found in problems(FORM | change))


def test_has_the_fields_that_a_page_fills_and_the_one_that_a_person_does():
    assert {name: field["type"] for name, field in FIELDS.items()} == {
        "page": "input",
        "runtime": "input",
        "versions": "input",
        "what": "textarea",
    }


def test_asks_no_more_of_a_person_than_where_and_what():
    required = {name for name, field in FIELDS.items() if field["validations"]["required"]}
    assert required == {"page", "what"}


def test_the_button_fills_fields_of_this_form():
    address = urlsplit(issue_url("https://host/owner/name/", "chapters/04_attention", str(ROOT)))
    filled = parse_qs(address.query)
    assert address.path == "/owner/name/issues/new"
    assert (FOLDER / filled.pop("template")[0]).name == "page.yml"
    script = (ROOT / "book" / "issue_button.js").read_text("utf-8")
    by_script = set(re.findall(r'searchParams\.set\("(\w+)"', script))
    assert filled["page"] == ["chapters/04_attention.html"]
    assert filled.keys() | by_script == {"page", "versions", "runtime"}
    assert all((FOLDER / name).exists() for name in ("page.yml", "config.yml"))


def test_a_question_needs_no_form():
    config = yaml.safe_load((FOLDER / "config.yml").read_text("utf-8"))
    assert config == {"blank_issues_enabled": True}
