"""Text to token ids and back; one tokenizer a file."""

from underglass.tokenizers.bpe import BPE
from underglass.tokenizers.wordpiece import WordPiece

__all__ = ["BPE", "WordPiece"]
