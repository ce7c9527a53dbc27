"""A recipe: how one classifier is fine-tuned; and its run, under one seed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from underglass import device, losses, schedules
from underglass.experiments.film_sentiment import methods, scoring, weights
from underglass.experiments.film_sentiment.batches import Batches, Vectors, batches
from underglass.experiments.film_sentiment.methods import Classifier
from underglass.experiments.film_sentiment.reading import Sentence, elsewhere, split
from underglass.experiments.following import follow
from underglass.training import History

MAX_NORM = 1.0


@dataclass(frozen=True)
class FilmRecipe:
    """All that a run of the film classifier depends on, but for its seed.

    Attributes:
        method: what is trained; see `film_sentiment.model`.
        amount: so many training sentences, drawn by the run's seed; all of them if None.
        rows: sentences in a batch.
        warmup: the share of the steps in which the rate rises; then it falls on a line to 0.
        label_smoothing: as in `losses.cross_entropy`.
        drop: augmentation: the share of the tokens that is left out, others in each epoch.
        soft: learn the share of people who found a sentence positive, not the label.
        patience: stop after so many validations in a row without a new lowest loss, and go back to
            the weights of the lowest; None for never.
        validations: how many there are in the run, evenly spaced.
        judged_on: how many of the validation sentences judge it; all of them if None.
        in_full: also note the log-odds of every sentence of validation, test and elsewhere, and
            how well the vectors still find verses.
        precision: of the products of matrices in training, as in `fit`.
    """

    method: str
    rate: float
    epochs: int
    amount: int | None = None
    rows: int = 32
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1
    label_smoothing: float = 0.0
    drop: float = 0.0
    soft: bool = False
    patience: int | None = None
    validations: int = 4
    judged_on: int | None = None
    in_full: bool = False
    precision: str | None = "bf16"

    @property
    def steps(self) -> int:
        return self.epochs * -(-len(self.sentences(0)) // self.rows)

    @property
    def first_rate(self) -> float:
        """The rate that a history notes, that of the first group: layer-wise, the lowest one."""
        down = methods.NUM_BLOCKS + 1 if self.method == "layerwise" else 0
        return self.rate * methods.DECAY**down

    @property
    def validate_every(self) -> int:
        return -(-self.steps // self.validations)

    def factors(self) -> schedules.Schedule:
        """The factor of the rate at each step."""
        return schedules.linear(self.steps, warmup_steps=round(self.warmup * self.steps))

    def sentences(self, seed: int) -> list[Sentence]:
        """The training sentences of a run under this seed."""
        training = split().training
        if self.amount is None:
            return training
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(len(training), generator=generator)[: self.amount]
        return [training[place] for place in drawn.tolist()]

    def run(
        self, seed: int, steps: int | None = None, folder: Path | None = None
    ) -> tuple[History, int | None, dict[str, Any]]:
        """Fine-tune MiniLM; the seed decides the head, the sentences, their order and the dropout.

        Args:
            steps: how many of the recipe's steps; all of them unless given.
            folder: where weights go that are to be kept: those of seed 0, if judged in full.

        Returns:
            What happened; the step at which the loss or the gradient was no finite number any more,
            or None; and what came of it: accuracy on validation, cost, and `in_full` the rest.
        """
        classifier = methods.model(self.method, seed, dropout=self.dropout).to(device())
        history, diverged, seconds = self.train(classifier, seed, steps)
        outcome: dict[str, Any] = {"accuracy": None, "seconds": round(seconds, 1)}
        outcome |= scoring.cost(self.method, classifier)._asdict()
        if diverged is None:
            outcome |= self.judge(classifier)
            if self.in_full and folder is not None and seed == 0:  # one is enough to look at
                weights.keep(classifier, self.method, folder / f"{self.method}_{seed}")
        return history, diverged, outcome

    def train(
        self, classifier: Classifier, seed: int, steps: int | None = None
    ) -> tuple[History, int | None, float]:
        """Train, in place, a classifier that `film_sentiment.model` made for the method.

        Returns:
            What happened; the step at which it diverged, or None; and the processor's seconds in
            training, without those of the validations, but with those of a head's vectors.
        """
        torch.manual_seed(seed)  # for the dropout
        best, started = _Best(), time.process_time()
        training = self._training(classifier, seed)
        prepared = time.process_time() - started
        history, diverged, seconds = follow(
            classifier.classifier if self.method == "head" else classifier,
            training,
            optimizer=methods.optimizer(
                self.method, classifier, self.rate, weight_decay=self.weight_decay
            ),
            loss=_vector_loss if self.method == "head" else self._loss,
            steps=steps or self.steps,
            schedule=self.factors(),
            validation=self._validation(classifier),
            validate_every=self.validate_every,
            patience=self.patience,
            max_norm=MAX_NORM,
            precision=None if self.method == "head" else self.precision,
            callbacks=[] if self.patience is None else [lambda _, h: best.look(classifier, h)],
        )
        best.restore(classifier)
        return history, diverged, prepared + seconds

    def judge(self, classifier: Classifier) -> dict[str, Any]:
        """Accuracy on validation; `in_full` also all log-odds, and what became of the vectors."""
        validation = split().validation[: self.judged_on]
        judged = scoring.log_odds(classifier, validation)
        outcome: dict[str, Any] = {"accuracy": scoring.accuracy(judged, validation)}
        if self.in_full:
            parts = {"test": split().test, **elsewhere()}
            odds = {name: scoring.log_odds(classifier, own) for name, own in parts.items()}
            outcome["log_odds"] = {
                name: [round(x, 3) for x in own.tolist()]
                for name, own in ({"validation": judged} | odds).items()
            }
            outcome["retrieval"] = scoring.retrieval(classifier)
        return outcome

    def _loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The recipe's loss in training; in validation the plain one, so that recipes compare."""
        if not model.training:
            return methods.loss(model, batch)
        smoothing = self.label_smoothing
        return methods.loss(model, batch, label_smoothing=smoothing, soft=self.soft)

    def _training(self, classifier: Classifier, seed: int) -> Batches | Vectors:
        sentences = self.sentences(seed)
        if self.method == "head":
            return _vectors(classifier, sentences, self.rows, seed)
        return batches(sentences, self.rows, seed, drop=self.drop)

    def _validation(self, classifier: Classifier) -> Batches | Vectors:
        sentences = split().validation[: self.judged_on]
        if self.method == "head":
            return _vectors(classifier, sentences, scoring.ROWS, None)
        return batches(sentences, scoring.ROWS)


def _vectors(
    classifier: Classifier, sentences: Sequence[Sentence], rows: int, seed: int | None
) -> Vectors:
    """MiniLM stays as it is under a head: what it makes of a sentence is computed once."""
    vectors = scoring.features(classifier, [sentence.ids for sentence in sentences])
    labels = torch.tensor([sentence.label for sentence in sentences])
    return Vectors(vectors, labels, rows, seed)


def _vector_loss(head: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return losses.cross_entropy(head(batch[0]), batch[1])


class _Best:
    """The trained weights at the lowest validation loss so far."""

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    def look(self, model: nn.Module, history: History) -> None:
        """Keep them, if the last step was validated and is the best one."""
        validated = history.validation_step[-1:] == history.step[-1:]
        if validated and history.validation_loss[-1] == min(history.validation_loss):
            trained = (item for item in model.named_parameters() if item[1].requires_grad)
            self.kept = {name: p.detach().clone() for name, p in trained}

    @torch.no_grad()
    def restore(self, model: nn.Module) -> None:
        for name, tensor in self.kept.items():
            model.get_parameter(name).copy_(tensor)
