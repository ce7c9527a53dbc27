"""Embeds the widgets of a page: the state that its pictures need, once, and what mounts them.

Executing a chapter leaves the state of every widget that was ever made, each with a full copy of
its script, in the head of the page. Here it shrinks to what the page shows and moves to its end:

    {"version_major": 2, "version_minor": 0,
     "state": {id: {..., "state": {"_esm": {"source": [0, 1]}, "_css": {"source": [2]}, ...}}},
     "sources": [text, text, text]}

A script is joined from files, some of which other widgets have too: each stands there once.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live_weights
from assets import serve, tools_hash
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

STATE = "application/vnd.jupyter.widget-state+json"
VIEW_TYPE = "application/vnd.jupyter.widget-view+json"
VIEW = re.compile(rf'<script type="{re.escape(VIEW_TYPE)}">(.*?)</script>', re.DOTALL)
WITHOUT_SCRIPT = (
    "<noscript><p>This picture answers to your hand, and needs JavaScript.</p></noscript>"
)
LINKS = {"LinkModel", "DirectionalLinkModel"}
SHARED = ("_esm", "_css")
SEAM = "\f"  # between the files of a script: see underglass.widgets.frame
# Comments that have lines of their own: for who reads the files, not for the page.
COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*(?:(?!\*/).)*\*/[ \t]*)\n", re.MULTILINE | re.DOTALL)
# Traits that only a live notebook reads: whereabouts of ipywidgets' own classes, and its box model.
LIVE_ONLY = {
    *("layout", "tabbable", "tooltip", "_dom_classes", "_anywidget_id", "_model_module"),
    *("_model_module_version", "_view_count", "_view_module", "_view_module_version"),
    *("_view_name", "_model_name"),
}


def shown_models(body: str) -> list[str]:
    """The ids of the models that the page displays, in its order."""
    return [json.loads(view)["model_id"] for view in VIEW.findall(body)]


def mentioned(value: Any) -> Iterator[str]:
    """The ids of the models that a trait's value refers to."""
    if isinstance(value, str) and value.startswith("IPY_MODEL_"):
        yield value.removeprefix("IPY_MODEL_")
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from mentioned(item)


def slim(entry: dict[str, Any]) -> dict[str, Any]:
    """A model's entry without the traits that only a live notebook reads."""
    if entry["model_name"] in LINKS:
        kept = {name: entry["state"][name] for name in ("_model_name", "source", "target")}
    else:
        kept = {name: value for name, value in entry["state"].items() if name not in LIVE_ONLY}
    return {**entry, "state": kept}


def needed(state: dict[str, Any], shown: list[str]) -> dict[str, Any]:
    """The models shown, those that they refer to, and the links between any of them."""
    kept: dict[str, Any] = {}
    todo = list(shown)
    while todo:
        if (model := todo.pop()) in state and model not in kept:
            kept[model] = slim(state[model])
            todo += mentioned(kept[model]["state"])
    for model, entry in state.items():
        if entry["model_name"] in LINKS:
            link = slim(entry)
            if all(end in kept for end in mentioned(link["state"])):
                kept[model] = link
    return kept


def share_sources(state: dict[str, Any]) -> list[str]:
    """Takes the scripts and styles out of the models; leaves the numbers of their files."""
    numbers: dict[str, int] = {}
    for entry in state.values():
        for name in SHARED:
            if isinstance(text := entry["state"].get(name), str):
                files = [COMMENT.sub("", file).strip("\n") for file in text.split(SEAM)]
                found = [numbers.setdefault(file, len(numbers)) for file in files]
                entry["state"][name] = {"source": found}
    return list(numbers)


def to_script(data: Any) -> str:
    """JSON that is safe inside a script element: nothing in it can end or reopen the element."""
    # Sorted, because an executed notebook and a cached one order their keys differently.
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return text.replace("</", "<\\/").replace("<!", "\\u003c!")


def problems(state: dict[str, Any], shown: list[str]) -> Iterator[str]:
    """What the page shows and the runtime cannot bring to life."""
    for model in shown:
        if model not in state:
            yield f"widget {model} has no stored state"
        elif state[model]["model_module"] != "anywidget":
            name = state[model]["model_name"].removesuffix("Model")
            yield f"{name} would be dead in the page: display a widget of underglass instead"


def place(model: str) -> str:
    """Where the runtime puts a widget, and what stands there without JavaScript."""
    view = to_script({"model_id": model, "version_major": 2, "version_minor": 0})
    return f'<script type="{VIEW_TYPE}">{view}</script>{WITHOUT_SCRIPT}'


def embed(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Moves the state out of the head, slimmed; adds the runtime to a page that shows widgets."""
    scripts = context["script_files"]
    stored = [script for script in scripts if script.attributes.get("type") == STATE]
    context["script_files"] = [script for script in scripts if script not in stored]
    if not (shown := shown_models(context.get("body") or "")):
        return
    data: dict[str, Any] = {"state": {}}
    if stored:
        data = json.loads(stored[0].attributes["body"])
    for problem in problems(data["state"], shown):
        logger.warning(problem, location=page, type="book", subtype="widget")
    data["state"] = needed(data["state"], shown)
    live_weights.place(
        data["state"], Path(app.outdir), lambda place: context["pathto"](place, True)
    )
    data["sources"] = share_sources(data["state"])
    body = VIEW.sub(lambda view: place(json.loads(view[1])["model_id"]), context["body"])
    runtime = f"{context['pathto']('_static/widget_runtime.js', True)}?v={tools_hash()[:8]}"
    # Here, and not deferred in the head: the widgets do not wait for the theme's scripts.
    context["body"] = (
        f'{body}<script type="{STATE}">{to_script(data)}</script>\n'
        f'<script src="{runtime}"></script>\n'
    )


def setup(app: Sphinx) -> dict[str, bool]:
    serve(app, "widget_runtime.js")
    app.connect("html-page-context", embed, priority=700)  # after MyST-NB has added the state
    return {"parallel_read_safe": True, "parallel_write_safe": True}
