"""How fast the course's models run in a page: milliseconds a key press, tokens a second.

    python benchmarks/page_engine.py

Opens a page in Chromium, loads the models as a reader's page does, and prints a table: what a
reader waits by the clock, and the processor's time that the page's scripts took of it. On a machine
that is busy with other things only the second tells anything.
"""

import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "book")]

from engine_pages import Engine, EngineOfBERT  # noqa: E402
from pages import find_chromium, launch, opened, widget_page  # noqa: E402

TEXT = "We are met to consider the state of the Union, and what the Congress may do for it. "
ROUNDS = 20
# What is measured: a name, how many times the page does it in a round, and how.
GPT = {
    "64 tokens, all computed again": (1, "s.truncate(0); s.extend(ids.slice(0, 64));"),
    "a letter typed behind 64 tokens": (1, "s.update([...ids.slice(0, 63), 40 + round, 41]);"),
    "a word changed in the middle of 64": (1, "s.update(ids.with(32, 300 + round).slice(0, 64));"),
    "one token generated, with sampling": (
        64,
        """if (s.length > 190 || s.length < 100) { s.truncate(0); s.extend(ids.slice(0, 120)); }
        const { probabilities } = engine.nextToken(s.logits(s.length - 1), { topP: 0.9 });
        s.extend([engine.pick(probabilities, u())]);""",
    ),
    "logit lens of 64 tokens, 5 layers": (
        1,
        """s.truncate(0); s.extend(ids.slice(0, 64));
        for (let layer = 0; layer < 5; layer++) for (let i = 0; i < 64; i++) s.lens(layer, i);""",
    ),
    "the same text's tokens": (10, "live.tokenizer.kept.clear(); live.tokenizer.encode(text);"),
}
BERT = {"BERT, 64 tokens, one hidden": (1, "live.bert.run(ids.slice(0, 64)).logits(5);")}
# In a timer, for what a debugger evaluates is not counted as the page's script.
RUN = """([text, count, rounds]) => new Promise((done) => setTimeout(() => {
  const ids = live.tokenizer.encode(text), u = engine.randomNumbers(1);
  const s = (window.session ??= live.gpt?.start()), start = performance.now();
  for (let round = 0; round < rounds; round++) for (let i = 0; i < count; i++) { %s }
  done(performance.now() - start);
}))"""


def script_seconds(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "ScriptDuration")


def measure(page: Page, tasks: dict[str, tuple[int, str]]) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    for name, (count, script) in tasks.items():
        page.evaluate(RUN % script, [TEXT * 10, count, 5])  # until the browser has compiled it
        before = script_seconds(session)
        clock = page.evaluate(RUN % script, [TEXT * 10, count, ROUNDS])
        spent = 1000 * (script_seconds(session) - before)
        times = [total / ROUNDS / count for total in (clock, spent)]
        print(f"{name:38}{times[0]:10.2f}{times[1]:10.2f}{1000 / times[1]:10.0f}")


def main() -> None:
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        path = find_chromium(playwright)
        if path is None:
            sys.exit("Chromium was not found: name it by CHROMIUM=/path/to/chromium")
        browser = launch(playwright, path)
        print(f"Chromium {browser.version}; milliseconds each, mean of {ROUNDS} rounds")
        print(f"{'':38}{'clock':>10}{'script':>10}{'a second':>10}")
        for widget, tasks in ((Engine, GPT), (EngineOfBERT, BERT)):
            with opened(browser, widget_page([widget()], Path(folder) / "page.html")) as (page, _):
                page.wait_for_selector("html[data-widgets=ready]", state="attached")
                start = time.perf_counter()
                page.evaluate("async () => { window.live = await engine.loadModel(engine.model); }")
                print(f"{'loading, from a folder':38}{1000 * (time.perf_counter() - start):10.0f}")
                measure(page, tasks)


if __name__ == "__main__":
    main()
