"""Settings of the kernels that run the chapters."""

from jupyter_client.manager import KernelManager


def encrypt() -> None:
    """Lets kernels encrypt their traffic, where they can.

    Off, as it comes, each kernel opens with a warning of eavesdroppers, and `make book` with that.
    """
    if trait := getattr(KernelManager, "transport_encryption", None):  # not in an older one
        trait.default_value = "auto"
