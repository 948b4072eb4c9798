"""Whether two faces are one person's: cosine of their embeddings against a threshold of a stated false-accept rate."""

from __future__ import annotations

from shared.catalogue import ModelCard
from shared.errors import InputError, UsageError
from vision.types import Faces, Verification

DEFAULT_FAR = 0.001


def card_threshold(card: ModelCard, far: float) -> float:
    """The similarity at which a model's false-accept rate is ``far``, as its card has it.

    Raises:
        UsageError: the card has none for that rate.
    """
    known = {float(rate): float(value) for rate, value in card.options.get("thresholds", {}).items()}
    if far not in known:
        rates = ", ".join(f"{rate:g}" for rate in sorted(known)) or "none"
        raise UsageError(
            f"far must be a false-accept rate that model {card.name!r} has a threshold for ({rates}). Got {far:g} "
            "instead: give a threshold of your own, or measure one with 'triptych faces calibrate'"
        )
    return known[far]


def compare(first: Faces, second: Faces, *, threshold: float, far: float | None = None) -> Verification:
    """The main faces of two results compared; see :attr:`vision.types.Faces.main`.

    Args:
        first: faces with embeddings.
        second: likewise, of the same model.
        threshold: similarity from which they count as one person's, in [-1, 1].
        far: false-accept rate that the threshold was chosen for.

    Raises:
        InputError: a result has no face (``no-face``).
        UsageError: a result has no embeddings, they are of two models, or ``threshold`` is out of its range.
    """
    if not -1 <= threshold <= 1:
        raise UsageError(f"threshold must lie in [-1, 1]. Got {threshold} instead")
    if first.embeddings is None or second.embeddings is None:
        raise UsageError("faces must be embedded to be compared. Open the recognizer with embed=True")
    if first.embedder != second.embedder:
        raise UsageError(
            "faces must be embedded by one model to be compared. "
            f"Got embedders {first.embedder} and {second.embedder} instead"
        )
    mains = (first.main, second.main)
    if mains[0] is None or mains[1] is None:
        which = "first" if mains[0] is None else "second"
        raise InputError("no-face", f"each picture must show a face. The {which} shows none that was found")
    cosine = float(first.embeddings[mains[0]] @ second.embeddings[mains[1]])
    similarity = min(1.0, max(-1.0, cosine))
    return Verification(similarity, threshold, similarity >= threshold, far)
