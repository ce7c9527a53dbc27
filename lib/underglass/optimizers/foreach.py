"""One operation on each tensor of a list: `add_(xs, ys, alpha=2)` is x += 2 y for each pair.

These are torch's `_foreach_*` functions; on a GPU each is one kernel or a few, however many tensors
there are. torch.optim is built on them, but they are private: only this file names them.
"""
# pyright: reportPrivateImportUsage=false

import torch
from torch import Tensor

Tensors = list[Tensor] | tuple[Tensor, ...]

add = torch._foreach_add
add_ = torch._foreach_add_
addcdiv_ = torch._foreach_addcdiv_
addcmul_ = torch._foreach_addcmul_
lerp = torch._foreach_lerp
lerp_ = torch._foreach_lerp_
mul_ = torch._foreach_mul_
sign_ = torch._foreach_sign_
sqrt = torch._foreach_sqrt
