"""Small decoders that differ by one choice at a time, from the Transformer of 2017 to today's.

    decoder = Decoder(Design(norms="before"), seed=0)     # that of 2017, but for its norms
    flops(decoder)                                        # of one token, forward

Chapter: chapters/05_architectures.ipynb
"""

from underglass.experiments.architectures.decoder import Decoder, Design, flops
from underglass.experiments.architectures.recipe import ArchitectureRecipe

__all__ = ["ArchitectureRecipe", "Decoder", "Design", "flops"]
