"""Is a sentence of a film review for or against? The task that chapter 09 fine-tunes MiniLM on.

    model = film_sentiment.model("lora", seed=0).to(device())
    optimizer = film_sentiment.optimizer("lora", model, 0.001)
    batches = film_sentiment.batches(film_sentiment.split().training, seed=0)
    fit(model, batches, optimizer, loss=film_sentiment.loss, steps=100)
    film_sentiment.log_odds(model, film_sentiment.split().validation)

Some 10,000 sentences, each rated by about twenty people; the same split, the same five methods and
the same way of judging, for the chapter and for the recorded runs.
Chapter: chapters/09_fine_tuning.ipynb
"""

from underglass.experiments.film_sentiment.batches import Batches, batches, padded
from underglass.experiments.film_sentiment.methods import METHODS as METHODS
from underglass.experiments.film_sentiment.methods import (
    Classifier,
    loss,
    model,
    optimizer,
)
from underglass.experiments.film_sentiment.reading import Sentence, Split, elsewhere, split
from underglass.experiments.film_sentiment.scoring import (
    Cost,
    accuracy,
    cost,
    features,
    log_odds,
    retrieval,
)
from underglass.experiments.film_sentiment.weights import adapter, updates

__all__ = [
    "Batches",
    "Classifier",
    "Cost",
    "Sentence",
    "Split",
    "accuracy",
    "adapter",
    "batches",
    "cost",
    "elsewhere",
    "features",
    "log_odds",
    "loss",
    "model",
    "optimizer",
    "padded",
    "retrieval",
    "split",
    "updates",
]
