"""Quizzes that are answered in the page: choose, check, read why, try again.

    Quiz([
        Question("What does `softmax` keep?", [
            Choice("The order of the scores", "More score, more weight.", correct=True),
            Choice("Their sum", "The weights sum to 1, whatever the scores summed to."),
        ]),
    ])

Text between backticks is set as code; nothing else in a text is interpreted. Feedback follows the
word "Right." or "Wrong.", so it need not say it again. Choices stand in the order written: put the
right one in another place each time.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import traitlets

from underglass.widgets.frame import Widget


@dataclass(frozen=True)
class Choice:
    """One possible answer, and what its reader is told: a wrong one always says why."""

    text: str
    feedback: str = ""
    correct: bool = False

    def __post_init__(self) -> None:
        _check_text(self.text, "text of a choice")
        if not isinstance(self.feedback, str):
            raise TypeError(
                f"feedback={self.feedback!r} of the choice {self.text!r} is not text "
                f"(a right choice is marked by correct=True)"
            )
        if not self.correct and not self.feedback.strip():
            raise ValueError(
                f"the wrong choice {self.text!r} has no feedback: expected why it is wrong"
            )


@dataclass(frozen=True)
class Question:
    """A prompt with 2 to 6 choices. One right choice makes radio buttons, several make boxes."""

    prompt: str
    choices: Sequence[Choice]

    def __post_init__(self) -> None:
        _check_text(self.prompt, "prompt of a question")
        where = f"the question {self.prompt!r}"
        for choice in self.choices:
            if not isinstance(choice, Choice):
                raise TypeError(f"{where} has the choice {choice!r}: expected a Choice")
        texts = [choice.text for choice in self.choices]
        if not 2 <= len(texts) <= 6:
            raise ValueError(f"{where}: number of choices is {len(texts)}, expected 2 to 6")
        if twice := _repeated(texts):
            raise ValueError(f"{where} offers {twice!r} twice: expected different choices")
        if not any(choice.correct for choice in self.choices):
            raise ValueError(f"{where} has no right choice: expected correct=True on at least one")


class Quiz(Widget):
    """Questions with feedback on each choice, answered without a kernel.

    Live, `answers` holds for each question the numbers of the choices last checked (counted from
    0 in the order written; none yet: an empty list), and can be observed.

    Raises:
        ValueError: if there is no question, or two with the same prompt.
    """

    files = "quiz"

    questions = traitlets.List().tag(sync=True)
    answers = traitlets.List().tag(sync=True)

    def __init__(self, questions: Sequence[Question]) -> None:
        if not isinstance(questions, Sequence):
            raise TypeError(f"questions={questions!r}: expected a list of Question")
        for question in questions:
            if not isinstance(question, Question):
                raise TypeError(f"questions hold {question!r}: expected a Question")
        if not questions:
            raise ValueError(f"questions={questions!r} is empty: expected at least one Question")
        if twice := _repeated([question.prompt for question in questions]):
            raise ValueError(f"questions ask {twice!r} twice: expected different prompts")
        super().__init__(
            questions=[asdict(question) for question in questions],
            answers=[[] for _ in questions],
        )

    @property
    def right(self) -> int:
        """How many questions are answered right."""
        pairs = zip(self.questions, self.answers, strict=True)
        return sum(set(answer) == _solution(question) for question, answer in pairs)

    @traitlets.validate("answers")
    def _check_answers(self, proposal: dict[str, Any]) -> list[list[int]]:
        answers = proposal["value"]
        sizes = [len(question["choices"]) for question in self.questions]
        if len(answers) != len(sizes):
            raise traitlets.TraitError(
                f"answers={answers!r} has {len(answers)} entries: expected one for each of the "
                f"{len(sizes)} questions"
            )
        for number, (answer, size) in enumerate(zip(answers, sizes, strict=True)):
            if not isinstance(answer, list) or not set(answer) <= set(range(size)):
                raise traitlets.TraitError(
                    f"answers[{number}]={answer!r}: expected a list of numbers from 0 to {size - 1}"
                )
        return answers

    def _summary(self) -> str:
        count = len(self.questions)
        return f"{count} question{'' if count == 1 else 's'}"


def _solution(question: dict[str, Any]) -> set[int]:
    return {i for i, choice in enumerate(question["choices"]) if choice["correct"]}


def _check_text(text: object, what: str) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{what} is {text!r}: expected text")
    if not text.strip():
        raise ValueError(f"{what} is {text!r}: expected text that is not empty")


def _repeated(texts: list[str]) -> str | None:
    """The first text that was there before, apart from spaces around it."""
    bare = [text.strip() for text in texts]
    return next((text for i, text in enumerate(bare) if text in bare[:i]), None)
