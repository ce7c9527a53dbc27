"""Metrics: how good a model is, as a number that a person can read.

Shares go from 0 to 1; papers print many of them times 100. Predictions come first, then what is
right. Chapter: chapters/11_evaluation.ipynb
"""

from underglass.metrics.answers import exact_match, normalize_answer, span_f1
from underglass.metrics.calibration import Reliability, calibration_error, reliability
from underglass.metrics.classification import (
    ClassScores,
    accuracy,
    class_scores,
    confusion_matrix,
    f1,
    precision,
    recall,
)
from underglass.metrics.intervals import Interval, bootstrap_difference, bootstrap_interval
from underglass.metrics.language import bits_per_byte, perplexity
from underglass.metrics.summaries import ROUGE, longest_common_subsequence, rouge_l, rouge_n
from underglass.metrics.tagging import Entity, EntityScores, entities, entity_f1
from underglass.metrics.translation import BLEU, bleu, tokenize_13a

__all__ = [
    "BLEU",
    "ROUGE",
    "ClassScores",
    "Entity",
    "EntityScores",
    "Interval",
    "Reliability",
    "accuracy",
    "bits_per_byte",
    "bleu",
    "bootstrap_difference",
    "bootstrap_interval",
    "calibration_error",
    "class_scores",
    "confusion_matrix",
    "entities",
    "entity_f1",
    "exact_match",
    "f1",
    "longest_common_subsequence",
    "normalize_answer",
    "perplexity",
    "precision",
    "recall",
    "reliability",
    "rouge_l",
    "rouge_n",
    "span_f1",
    "tokenize_13a",
]
