"""Optimizers with torch.optim's arguments, each in two forms: one to read and one to use.

With `foreach=False` an optimizer runs the formula of its docstring, tensor by tensor; otherwise the
same mathematics in fewer, larger steps. Each is a `torch.optim.Optimizer`: parameter groups, state
dicts, hooks and torch's learning-rate schedulers work with it, and a state dict of torch's own
optimizer can be loaded and continued. State dicts hold tensors and what JSON can write, no more.
Chapter: chapters/07_optimizers.ipynb
"""

from underglass.optimizers.adam import Adam, AdamW
from underglass.optimizers.lion import Lion
from underglass.optimizers.muon import Muon, orthogonalize
from underglass.optimizers.rmsprop import RMSProp
from underglass.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Lion", "Muon", "RMSProp", "orthogonalize"]
