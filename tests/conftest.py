import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    """Every test starts from one seed; dtypes are passed explicitly, the default stays float32."""
    torch.manual_seed(0)
