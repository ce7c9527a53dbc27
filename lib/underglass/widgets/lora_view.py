"""A weight matrix, how fine-tuning changed it, and the best change of each rank.

References: Eckart and Young (1936), "The Approximation of One Matrix by Another of Lower Rank" (the
best approximation, and the error that remains); Hu et al. (2021), "LoRA: Low-Rank Adaptation of
Large Language Models", sections 4.1 (two factors in place of a matrix) and 7.2 (how much two
updates have in common).
Chapter: chapters/09_fine_tuning.ipynb
"""

from collections.abc import Mapping, Sequence

import traitlets

from underglass.widgets import low_rank
from underglass.widgets.frame import Widget

UPDATES = ("full", "lora")


class LoRAView(Widget):
    """What an update of rank r can hold, of the update that fine-tuning really made.

        LoRAView({"block 5, query": (before, after)})
        LoRAView({"block 5, query": (before, after, lora)})     with what LoRA learned beside it

    ΔW = after - before = Σ σ_i u_i v_i^T, its singular value decomposition. The first r terms are
    the best matrix of rank r, and the error that remains is what the other singular values add up
    to: ‖ΔW - ΔW_r‖ = sqrt(σ_(r+1)² + σ_(r+2)² + ...), in the Frobenius norm. Two factors of rank r
    hold r (d_out + d_in) numbers, the matrix d_out d_in.

    Errors are computed from all singular values, in float64. The pictures show at most 48 rows and
    48 columns, spread evenly over the matrix, as they are (not averaged), in steps of 1/32767 of
    the largest; the browser adds up the terms, at most 256 of them, then all. A matrix of 384 x 384
    takes 83 kB of a page, and with LoRA's update 104 kB.

    LoRA's update is not ΔW cut off at its rank: it was learned on its own. With it the widget says
    how much both have in common: their cosine (as long lists of numbers), and of the directions
    that they write to and read from the share of section 7.2 of Hu et al. (2021),
    ‖U_LoRA^T U_r‖² / min(rank of LoRA, r): 1 where one holds the other, and by chance the larger
    of both ranks divided by d_out (for V: d_in).

    The traits follow what the reader does, and can be set from Python:

        shown: name of the matrix
        update: whose update, "full" or "lora"
        rank: r, 0 to 256 or the full rank min(d_out, d_in)

    Args:
        matrices: by name, two or three tensors [d_out d_in] each: the weight before fine-tuning,
            the weight after it, and, where there is one, the update that LoRA learned, B A with
            its factor alpha / r, in float32 or better.
        rank: r at the start; in a smaller matrix, its full rank.

    Raises:
        ValueError: if there is no matrix, shapes do not fit or are empty, a number is not finite,
            or a rank, name or update is not there.
        TypeError: if the matrices are not tensors of floating-point numbers, two or three of each.
    """

    files = "lora_view"
    before = ("scales",)

    shown = traitlets.Unicode().tag(sync=True)
    update = traitlets.Enum(UPDATES, default_value="full").tag(sync=True)
    rank = traitlets.Int(8).tag(sync=True)
    _matrices = traitlets.List(traitlets.Dict()).tag(sync=True)
    _numbers = traitlets.Bytes().tag(sync=True)

    def __init__(self, matrices: Mapping[str, Sequence], *, rank: int = 8) -> None:
        read = low_rank.read(matrices)
        if rank > 0:
            rank = min(rank, read[0].described()["full"])
        super().__init__(
            _matrices=[matrix.described() for matrix in read],
            _numbers=b"".join(matrix.packed() for matrix in read),
            shown=read[0].name,
            rank=rank,
        )

    @traitlets.validate("shown")
    def _valid_shown(self, proposal: dict) -> str:
        names = [matrix["name"] for matrix in self._matrices]
        if names and proposal["value"] not in names:
            raise ValueError(f"shown={proposal['value']!r}, expected one of {names}")
        return proposal["value"]

    @traitlets.validate("update")
    def _valid_update(self, proposal: dict) -> str:
        if proposal["value"] == "lora" and self._matrices and "cosine" not in self._here():
            raise ValueError(f"update='lora', expected 'full': {self.shown!r} has no LoRA update")
        return proposal["value"]

    @traitlets.validate("rank")
    def _valid_rank(self, proposal: dict) -> int:
        rank = proposal["value"]
        if self._matrices:
            full, reach = self._here()["full"], self._here()["reach"]
            if not (0 <= rank <= reach or rank == full):
                also = f", or {full} (all)" if reach < full else ""
                raise ValueError(f"rank={rank}, expected 0 to {reach}{also}")
        return rank

    @traitlets.observe("shown")
    def _fit(self, _: dict) -> None:
        """Another matrix may have a smaller full rank, and no LoRA."""
        here = self._here()
        if self.rank > here["reach"]:
            self.rank = here["full"]
        if "cosine" not in here:
            self.update = "full"

    def _here(self) -> dict:
        return next(matrix for matrix in self._matrices if matrix["name"] == self.shown)

    def _summary(self) -> str:
        sizes = [f"{m['name']} {m['shape'][0]} x {m['shape'][1]}" for m in self._matrices]
        return ", ".join(sizes)
