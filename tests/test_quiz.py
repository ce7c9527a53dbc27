"""Quizzes: what may be asked, and answering in a real browser without a kernel."""

from typing import Any

import pytest
import traitlets
from ipywidgets import jslink
from refusals import refused
from underglass.quiz import Choice, Question, Quiz

SCALE = Question(
    "Why divide by `√d`?",
    [
        Choice("So that rows sum to 1", "The `softmax` does that."),
        Choice("The variance grows with `d`", "So the softmax stays soft.", correct=True),
        Choice("To save memory", "No shape changes."),
    ],
)
PERMUTE = Question(
    "What does a permutation change?",
    [
        Choice("The set of outputs", "The same vectors come out."),
        Choice("Their order", "They follow their tokens.", correct=True),
        Choice("The order of the rows of weights", correct=True),
        Choice("The sum of a row", "It is 1 in any order."),
    ],
)
EMPTY = Question(
    "A query may look at no key: what comes out?",
    [Choice("NaN", "That is the unguarded softmax."), Choice("Zeros", correct=True)],
)
HOSTILE = "<script>document.title = 'run'</script> <b>x</b> &amp; שלום 🙂 ${1}"


def quiz():
    return Quiz([SCALE, PERMUTE, EMPTY])


@pytest.fixture
def asked(show):
    """A page with the three questions, and one card for each of them."""
    page = show(quiz())
    return page, [
        page.get_by_role("group", name=q.prompt.replace("`", "")) for q in (SCALE, PERMUTE, EMPTY)
    ]


def check(page, number):
    page.get_by_role("button", name="Check").nth(number).click()


def verdict(page, number):
    return page.locator(".ug-quiz-verdict").nth(number).inner_text()


def feedback(card):
    """Text of the feedback that is to be seen, choice -> feedback."""
    rows = card.locator(".ug-quiz-choice").all()
    told = {row.locator("label").inner_text(): row.locator("p").inner_text() for row in rows}
    return {choice: text for choice, text in told.items() if text}


def progress(page):
    return page.locator(".ug-quiz-progress").inner_text()


# --- what may be asked -------------------------------------------------------------------------


def test_stored_text_is_the_same_everywhere():
    assert repr(quiz()) == "Quiz(3 questions)"
    assert repr(Quiz([EMPTY])) == "Quiz(1 question)"
    bundle = quiz()._repr_mimebundle_()
    assert bundle
    assert bundle[0]["text/plain"] == "Quiz(3 questions)"


def test_state_is_the_same_every_time():
    first, second = (
        {k: v for k, v in q.get_state().items() if k not in ("layout", "tooltip")}
        for q in (quiz(), quiz())
    )
    assert first == second
    assert first["questions"][0]["choices"][1] == {
        "text": "The variance grows with `d`",
        "feedback": "So the softmax stays soft.",
        "correct": True,
    }


choice: Any = Choice  # to be called in ways that the type checker would stop
question: Any = Question
quiz_of: Any = Quiz
RIGHT, WRONG = Choice("yes", correct=True), Choice("no", "It is not.")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Choice("  ", "f"), "text of a choice is '  ': expected text that is not empty"),
        (lambda: Choice("no"), "the wrong choice 'no' has no feedback: expected why it is wrong"),
        (lambda: Choice("no", " "), "the wrong choice 'no' has no feedback"),
        (lambda: Question("", [RIGHT, WRONG]), "prompt of a question is '': expected text"),
        (
            lambda: Question("q", [RIGHT]),
            "the question 'q': number of choices is 1, expected 2 to 6",
        ),
        (
            lambda: Question("q", [RIGHT, *[Choice(str(i), "f") for i in range(6)]]),
            "the question 'q': number of choices is 7, expected 2 to 6",
        ),
        (
            lambda: Question("q", [WRONG, Choice("nein", "f")]),
            "the question 'q' has no right choice: expected correct=True on at least one",
        ),
        (
            lambda: Question("q", [RIGHT, Choice(" yes", "f")]),
            "the question 'q' offers 'yes' twice",
        ),
        (lambda: Quiz([]), r"questions=\[\] is empty: expected at least one Question"),
        (lambda: Quiz([EMPTY, SCALE, EMPTY]), "questions ask 'A query may look .*' twice"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: choice("yes", True), "feedback=True of the choice 'yes' .*marked by correct=True"),
        (lambda: choice(3, "f"), "text of a choice is 3: expected text"),
        (lambda: question(None, [RIGHT, WRONG]), "prompt of a question is None: expected text"),
        (lambda: question("q", ["yes", "no"]), "the question 'q' has the choice 'yes': expected a"),
        (lambda: quiz_of(["q"]), "questions hold 'q': expected a Question"),
        (lambda: quiz_of(EMPTY), r"questions=Question\(.*expected a list"),
    ],
)
def test_refuses_types(make, message):
    with refused(TypeError, message):
        make()


def test_answers_can_be_set_and_counted_live():
    widget = quiz()
    heard = []
    widget.observe(lambda change: heard.append(change["new"]), names="answers")
    assert widget.right == 0
    widget.answers = [[1], [2], [0]]
    assert widget.right == 1
    widget.answers = [[1], [2, 1], [1]]
    assert widget.right == 3
    assert heard == [[[1], [2], [0]], [[1], [2, 1], [1]]]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([[1]], r"answers=\[\[1\]\] has 1 entries: expected one for each of the 3 questions"),
        ([[], [4], []], r"answers\[1\]=\[4\]: expected a list of numbers from 0 to 3"),
        ([[], [], 1], r"answers\[2\]=1: expected a list of numbers from 0 to 1"),
    ],
)
def test_impossible_answers_are_refused(answers, message):
    widget = quiz()
    with pytest.raises(traitlets.TraitError, match=message):
        widget.answers = answers
    assert widget.answers == [[], [], []]


# --- answering in the page ---------------------------------------------------------------------


@pytest.mark.browser
def test_wrong_then_right(asked):
    page, (card, *_) = asked
    assert progress(page) == "0 of 3 right"
    assert feedback(card) == {}
    card.get_by_label("So that rows sum to 1").click()
    assert feedback(card) == {}  # nothing is told before the check
    check(page, 0)
    assert feedback(card) == {"So that rows sum to 1": "Wrong. The softmax does that."}
    assert verdict(page, 0) == "Not quite. Try again."
    assert progress(page) == "0 of 3 right"

    card.get_by_label("The variance grows with").click()
    assert verdict(page, 0) == ""
    check(page, 0)
    assert feedback(card) == {"The variance grows with d": "Right. So the softmax stays soft."}
    assert verdict(page, 0) == "Right."
    assert progress(page) == "1 of 3 right"

    card.get_by_label("To save memory").click()
    check(page, 0)
    assert progress(page) == "0 of 3 right"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("chosen", "told", "said", "right"),
    [
        (
            [1],
            {1: "Right. They follow their tokens."},
            "Right so far, and there is more to find.",
            0,
        ),
        (
            [0, 2],
            {0: "Wrong. The same vectors come out.", 2: "Right."},
            "Not quite: 1 of these is wrong. Try again.",
            0,
        ),
        (
            [0, 1, 2, 3],
            {
                0: "Wrong. The same vectors come out.",
                1: "Right. They follow their tokens.",
                2: "Right.",
                3: "Wrong. It is 1 in any order.",
            },
            "Not quite: 2 of these are wrong. Try again.",
            0,
        ),
        ([3], {3: "Wrong. It is 1 in any order."}, "Not quite. Try again.", 0),
        ([2, 1], {1: "Right. They follow their tokens.", 2: "Right."}, "Right.", 1),
    ],
)
def test_several_right_choices(asked, chosen, told, said, right):
    page, (_, card, _) = asked
    assert card.get_by_role("checkbox").count() == 4
    assert card.get_by_text("Choose all that apply.").is_visible()
    for number in chosen:
        card.get_by_role("checkbox").nth(number).check()
    check(page, 1)
    assert feedback(card) == {PERMUTE.choices[i].text: text for i, text in told.items()}
    assert verdict(page, 1) == said
    assert progress(page) == f"{right} of 3 right"


@pytest.mark.browser
def test_keyboard_alone(asked):
    page, (first, second, _) = asked
    page.keyboard.press("Tab")  # into the first group
    page.keyboard.press("ArrowDown")  # chooses its second choice
    assert first.get_by_role("radio").nth(1).is_checked()
    page.keyboard.press("Enter")
    assert verdict(page, 0) == "Right."
    page.keyboard.press("Tab")  # its button
    page.keyboard.press("Tab")  # the first box of the second question
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert [box.is_checked() for box in second.get_by_role("checkbox").all()] == [0, 1, 1, 0]
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # the button
    page.keyboard.press("Space")
    assert verdict(page, 1) == "Right."
    assert progress(page) == "2 of 3 right"


@pytest.mark.browser
def test_nothing_chosen(asked):
    page, (card, *_) = asked
    check(page, 0)
    assert verdict(page, 0) == "Choose an answer first."
    assert feedback(card) == {}


@pytest.mark.browser
def test_one_check_leaves_the_other_questions_alone(asked):
    page, (first, second, _) = asked
    second.get_by_role("checkbox").nth(2).check()
    first.get_by_role("radio").nth(1).check()
    check(page, 0)
    assert second.get_by_role("checkbox").nth(2).is_checked()
    assert feedback(second) == {}


@pytest.mark.browser
def test_the_same_wrong_answer_again_is_told_again(asked):
    page, (card, *_) = asked
    card.get_by_role("radio").nth(0).check()
    check(page, 0)
    card.get_by_role("radio").nth(1).check()
    card.get_by_role("radio").nth(0).check()
    assert verdict(page, 0) == ""
    check(page, 0)
    assert verdict(page, 0) == "Not quite. Try again."


@pytest.mark.browser
def test_two_quizzes_do_not_share_their_radio_buttons(show):
    page = show(Quiz([SCALE]), Quiz([EMPTY]))
    page.get_by_label("To save memory").check()
    page.get_by_label("Zeros").check()
    assert page.get_by_label("To save memory").is_checked()


@pytest.mark.browser
def test_linked_quizzes_show_the_same_answers(show):
    first, second = quiz(), quiz()
    page = show(first, second, jslink((first, "answers"), (second, "answers")))
    page.get_by_label("Zeros").nth(0).check()
    check(page, 2)
    twin = page.get_by_role("group", name=EMPTY.prompt).nth(1)
    assert feedback(twin) == {"Zeros": "Right."}
    assert page.locator(".ug-quiz-progress").nth(1).inner_text() == "1 of 3 right"


@pytest.mark.browser
def test_answers_in_the_state_are_shown(show):
    widget = quiz()
    widget.answers = [[2], [], [1]]
    page = show(widget)
    assert verdict(page, 0) == "Not quite. Try again."
    assert page.get_by_label("To save memory").is_checked()
    assert progress(page) == "1 of 3 right"


@pytest.mark.browser
def test_kernel_is_told_and_nothing_is_left_behind(show):
    """With a model of our own: what is saved, and whether the view lets go of the model."""
    page = show(Quiz([EMPTY]))
    log = page.evaluate(
        """async ([code, questions]) => {
          const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
          const { default: widget } = await import(url);
          const values = { questions, answers: [[]] }, heard = new Set(), log = [];
          const el = document.createElement("div");
          const cleanup = widget.render({ el, model: {
            get: (name) => values[name],
            set(name, value) { values[name] = value; for (const f of heard) f(); },
            on: (event, f) => { log.push(event); heard.add(f); },
            off: (event, f) => heard.delete(f),
            save_changes: () => log.push(JSON.stringify(values.answers)),
          } });
          document.body.append(el);
          el.querySelectorAll("input")[1].click();
          el.querySelector("button").click();
          cleanup();
          log.push(heard.size);
          return log;
        }""",
        [Quiz._esm, Quiz([EMPTY]).questions],
    )
    assert log == ["change:answers", "[[1]]", 0]


@pytest.mark.browser
def test_screen_reader_hears_the_feedback(asked):
    page, (card, *_) = asked
    assert card.get_by_role("radio").count() == 3
    card.get_by_role("radio").nth(0).check()
    check(page, 0)
    row = card.locator(".ug-quiz-choice").nth(0)
    assert row.locator("p").get_attribute("aria-live") == "polite"
    told = "Wrong. The softmax does that."
    assert row.get_by_role("radio").get_attribute("aria-description") == told
    assert page.get_by_role("status").all_inner_texts() == [
        "0 of 3 right",
        "Not quite. Try again.",
        "",
        "",
    ]


@pytest.mark.browser
def test_code_is_code_and_hostile_text_is_text(show):
    page = show(
        Quiz(
            [
                Question(
                    f"{HOSTILE} `<i>a</i>` and a lone ` here",
                    [
                        Choice(f"{HOSTILE} `x`", HOSTILE, correct=True),
                        Choice("``", "empty `` stays"),
                    ],
                )
            ]
        )
    )
    page.get_by_role("radio").nth(0).check()
    check(page, 0)
    assert page.locator("legend").inner_text() == f"{HOSTILE} <i>a</i> and a lone ` here"
    assert page.locator(".ug-quiz code").all_inner_texts() == ["<i>a</i>", "x"]
    assert page.locator(".ug-quiz-feedback").nth(0).inner_text() == f"Right. {HOSTILE}"
    assert page.locator("label").nth(1).inner_text() == "``"
    assert page.locator(".ug-quiz :is(script, i:not(.ug-quiz-dots i))").count() == 0
    assert page.title() == "widgets"


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_reads_on_a_phone(show, theme):
    long = "an_identifier_that_is_longer_than_any_phone_is_wide_" * 2
    page = show(
        Quiz([Question(f"`{long}`", [Choice(long, long, correct=True), WRONG])]),
        width=360,
        theme=theme,
    )
    page.get_by_role("radio").nth(0).check()
    check(page, 0)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    box = page.locator("label").nth(1).bounding_box()
    assert box["height"] >= 36  # a finger's width
