"""What Transformers are compared with: the models of the decades before them.

`NGram` and `AddK` count, `LSTMLanguageModel` and `LSTMClassifier` read token by token, and
`SkipGram` learns a vector for each word and knows no order.
Chapters: chapters/01_language_models.ipynb, chapters/03_embeddings.ipynb
"""

from underglass.models.baselines.lstm import (
    LSTMClassifier,
    LSTMClassifierConfig,
    LSTMLanguageModel,
    LSTMLanguageModelConfig,
)
from underglass.models.baselines.ngram import AddK, AddKConfig, NGram, NGramConfig
from underglass.models.baselines.recurrence import lstm_cell
from underglass.models.baselines.skipgram import (
    SkipGram,
    SkipGramConfig,
    draw_negatives,
    noise_distribution,
    skip_gram_pairs,
    subsample,
)

__all__ = [
    "AddK",
    "AddKConfig",
    "LSTMClassifier",
    "LSTMClassifierConfig",
    "LSTMLanguageModel",
    "LSTMLanguageModelConfig",
    "NGram",
    "NGramConfig",
    "SkipGram",
    "SkipGramConfig",
    "draw_negatives",
    "lstm_cell",
    "noise_distribution",
    "skip_gram_pairs",
    "subsample",
]
