import pytest
import torch
import underglass


def test_default_follows_the_hardware(monkeypatch):
    monkeypatch.delenv("UNDERGLASS_DEVICE", raising=False)
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert underglass.device() == torch.device(expected)


def test_environment_overrides(monkeypatch):
    monkeypatch.setenv("UNDERGLASS_DEVICE", "meta")
    assert underglass.device() == torch.device("meta")


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_unusable_device_is_refused(monkeypatch, name):
    monkeypatch.setenv("UNDERGLASS_DEVICE", name)
    with pytest.raises(ValueError, match=f"UNDERGLASS_DEVICE='{name}' cannot be used here"):
        underglass.device()
