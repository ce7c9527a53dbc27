"""Experiments: the small GPT that chapters train, and runs of it that were recorded beforehand.

from underglass.experiments import speeches_gpt
"""

from underglass.experiments import speeches_gpt

__all__ = ["speeches_gpt"]
