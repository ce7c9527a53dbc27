/**
 * @typedef {{ text: string, feedback: string, correct: boolean }} Choice
 * @typedef {{ prompt: string, choices: Choice[] }} Question
 * @typedef {{ element: HTMLElement, show: (answer: number[]) => void }} Card
 */

/** Text for `h`, in which `code` between backticks is set as code. A lone backtick stays itself. */
function prose(/** @type {string} */ text) {
  const parts = text.split(/`([^`]+)`/);
  return parts.map((part, i) => (i % 2 ? h("code", {}, part) : part));
}

/** @param {Question} question @param {number[]} answer */
function isRight(question, answer) {
  return question.choices.every((choice, i) => choice.correct === answer.includes(i));
}

/** What is to be said about the answer as a whole. @param {Question} question @param {number[]} answer */
function verdict(question, answer) {
  if (isRight(question, answer)) return "Right.";
  const wrong = answer.filter((i) => !question.choices[i].correct).length;
  if (!wrong) return "Right so far, and there is more to find.";
  return answer.length === 1 ? "Not quite. Try again." : `Not quite: ${wrong} of these ${wrong === 1 ? "is" : "are"} wrong. Try again.`;
}

/** @param {Choice} choice @param {string} type of input @returns a row, its input and its feedback */
function choiceRow(choice, type) {
  // Radio buttons are a group by name within their form, so one name serves every question.
  const input = h("input", { type, name: "choice" });
  const feedback = h("p", { class: "ug-quiz-feedback", dir: "auto", "aria-live": "polite" });
  const label = h("label", {}, input, h("span", { dir: "auto" }, prose(choice.text)));
  const row = h("div", { class: "ug-quiz-choice" }, label, feedback);
  const tell = (/** @type {boolean} */ chosen) => {
    const word = choice.correct ? "Right" : "Wrong";
    row.dataset.state = chosen ? word.toLowerCase() : "";
    feedback.replaceChildren(...(chosen ? [h("b", {}, `${word}.`), " ", ...prose(choice.feedback)] : []));
    if (chosen) input.setAttribute("aria-description", feedback.textContent);
    else input.removeAttribute("aria-description");
  };
  return { row, input, tell };
}

/**
 * One question: a form, so that Enter checks it.
 * @param {Question} question @param {(answer: number[]) => void} check @returns {Card}
 */
function questionCard(question, check) {
  const several = question.choices.filter((choice) => choice.correct).length > 1;
  const rows = question.choices.map((choice) => choiceRow(choice, several ? "checkbox" : "radio"));
  const said = h("p", { class: "ug-quiz-verdict", role: "status" });
  const chosen = () => rows.flatMap(({ input }, i) => (input.checked ? [i] : []));
  const onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (chosen().length) check(chosen());
    else say("Choose an answer first.", "");
  };
  const say = (/** @type {string} */ text, /** @type {string} */ state) => {
    said.textContent = text;
    said.dataset.state = state;
  };
  const element = h("form", { class: "ug-quiz-question", onsubmit, onchange: () => say("", "") },
    h("fieldset", {},
      h("legend", { dir: "auto" }, prose(question.prompt),
        several ? h("span", { class: "ug-quiz-hint" }, " Choose all that apply.") : null),
      rows.map(({ row }) => row)),
    h("div", { class: "ug-quiz-foot" }, h("button", { type: "submit" }, "Check"), said));
  const show = (/** @type {number[]} */ answer) => {
    rows.forEach(({ input, tell }, i) => {
      input.checked = answer.includes(i);
      tell(answer.includes(i));
    });
    if (answer.length) say(verdict(question, answer), isRight(question, answer) ? "right" : "");
    else say("", "");
  };
  return { element, show };
}

export default {
  render({ model, el }) {
    /** @type {Question[]} */
    const questions = model.get("questions");
    /** @type {() => number[][]} */
    const answers = () => model.get("answers");
    const cards = questions.map((question, number) => questionCard(question, (answer) => {
      const same = String(answers()[number]) === String(answer);
      model.set("answers", answers().map((old, i) => (i === number ? answer : old)));
      model.save_changes();
      if (same) cards[number].show(answer); // nothing changed, so no one else will say it again
    }));
    const dots = questions.map(() => h("i"));
    const count = h("span", { role: "status" });
    /** @type {string[]} what each card shows, so that a check of one leaves the others alone */
    const shown = [];
    const update = () => {
      const right = questions.map((question, i) => isRight(question, answers()[i]));
      answers().forEach((answer, i) => {
        if (shown[i] !== String(answer)) cards[i].show(answer);
        shown[i] = String(answer);
        dots[i].dataset.state = right[i] ? "right" : answer.length ? "wrong" : "";
      });
      count.textContent = `${right.filter(Boolean).length} of ${questions.length} right`;
    };
    update();
    el.append(h("div", { class: "ug ug-quiz", "data-lm-suppress-shortcuts": true },
      h("div", { class: "ug-quiz-head" }, h("h4", { class: "ug-title" }, "Quiz"),
        h("p", { class: "ug-quiz-progress" }, h("span", { class: "ug-quiz-dots", "aria-hidden": "true" }, dots), count)),
      cards.map(({ element }) => element)));
    return follow(model, ["answers"], update);
  },
};
