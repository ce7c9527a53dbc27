from underglass.models.baselines.ngram import AddK, AddKConfig, NGram, NGramConfig

__all__ = ["AddK", "AddKConfig", "NGram", "NGramConfig"]
