"""Exercise checks, one module a chapter: `checks.attention.softmax(my_softmax)`."""

from underglass.checks import architectures as architectures
from underglass.checks import attention as attention
from underglass.checks import fine_tuning as fine_tuning
from underglass.checks import generation as generation
from underglass.checks import losses as losses
from underglass.checks import optimizers as optimizers
from underglass.checks import pretraining as pretraining
