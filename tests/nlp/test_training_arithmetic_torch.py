"""What trainings compute in a way of their own equals torch's: smoothed cross-entropy, attention, precision."""

from __future__ import annotations

from typing import Any

import pytest

from nlp.translation.training.loss import smoothed_cross_entropy
from shared.training.attention import attend
from shared.training.loop import choose_precision

pytestmark = pytest.mark.torch


@pytest.fixture
def torch() -> Any:
    found = pytest.importorskip("torch")
    found.manual_seed(0)
    return found


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_smoothed_cross_entropy_and_its_gradient(torch: Any, smoothing: float, scale: float) -> None:
    logits = (torch.randn(6, 11, dtype=torch.float32) * scale).requires_grad_()
    labels = torch.tensor([0, 10, 3, 3, 7, 1])
    ours = smoothed_cross_entropy(logits, labels, smoothing=smoothing)
    ours.backward()
    found, logits.grad = logits.grad, None
    wanted = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    wanted.backward()
    torch.testing.assert_close(ours, wanted)
    torch.testing.assert_close(found, logits.grad)


def test_the_gradient_cannot_be_asked_for_twice(torch: Any) -> None:
    logits = torch.randn(2, 3).requires_grad_()
    loss = smoothed_cross_entropy(logits, torch.tensor([0, 1]), smoothing=0.1)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("causal", [False, True])
def test_attention_in_bfloat16_is_that_of_float32(torch: Any, causal: bool) -> None:
    query, key, value = (torch.randn(2, 3, 5, 8) for _ in range(3))
    seen = None if causal else torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)[:, None, None, :]
    exact = attend(query, key, value, seen, causal=causal)
    near = attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), seen, causal=causal)
    assert near.dtype == torch.bfloat16
    torch.testing.assert_close(near.float(), exact, atol=0.03, rtol=0.03)


def test_precision_is_what_was_asked_for_and_otherwise_what_the_processor_has(torch: Any) -> None:
    device = torch.device("cpu")
    assert choose_precision("float32", device) == "float32"
    assert choose_precision("bfloat16", device) == "bfloat16"
    assert choose_precision("auto", device) in ("float32", "bfloat16")
