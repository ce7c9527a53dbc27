"""How well a language model predicts a text: its loss, on two scales that say more.

References: Jelinek et al. (1977), "Perplexity: a measure of the difficulty of speech recognition
tasks"; Gao et al. (2020), "The Pile: An 800GB Dataset of Diverse Text for Language Modeling",
section 3.1 (bits per byte). Chapter: chapters/11_evaluation.ipynb
"""

import math
import sys


def perplexity(total_loss: float, num_tokens: int) -> float:
    """exp(total_loss / num_tokens): the number of equally likely tokens that are as hard to guess.

    From 1 (each token foreseen) up; a model that has learned nothing is at its `vocab_size`. Add up
    losses and tokens over all batches first: the mean of the batches' perplexities is larger. Only
    models with the same tokens can be compared; for others there is `bits_per_byte`.

    Args:
        total_loss: the sum of -log p(token), in nats.
        num_tokens: how many tokens were predicted.

    Returns:
        A number of at least 1, or infinity, where the mean loss is above 709 and exp overflows.

    Raises:
        ValueError: if the loss is negative or not a number, or there are no tokens.
    """
    mean = _checked_loss(total_loss) / _checked_count("num_tokens", num_tokens)
    return math.exp(mean) if mean < math.log(sys.float_info.max) else math.inf


def bits_per_byte(total_loss: float, num_bytes: int) -> float:
    """total_loss / (num_bytes log 2): what a byte of the text would take if the model packed it.

    It does not depend on how a tokenizer cuts the text, so that any two models can be compared.
    A model that has learned nothing about bytes is at 8.

    Args:
        total_loss: the sum of -log p(token), in nats, over all tokens of the text.
        num_bytes: of that text in UTF-8: `len(text.encode())`.

    Raises:
        ValueError: if the loss is negative or not a number, or there are no bytes.
    """
    return _checked_loss(total_loss) / (_checked_count("num_bytes", num_bytes) * math.log(2))


def _checked_loss(total_loss: float) -> float:
    if not total_loss >= 0:  # NaN is not
        raise ValueError(f"total_loss={total_loss}: expected a sum of -log p, at least 0")
    return float(total_loss)


def _checked_count(name: str, count: int) -> int:
    if count < 1:
        raise ValueError(f"{name}={count}: expected at least 1")
    return count
