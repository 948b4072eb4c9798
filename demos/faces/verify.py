"""The tab that compares two pictures: one person or two, and where the pair stands on the threshold's curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from demos.examples import FACES, pictures
from demos.faces.curve import curve, strangers
from demos.faces.elsewhere import verify_elsewhere
from demos.faces.seen import (
    altered,
    copied,
    draw_faces,
    rate_choice,
    rates,
    screen_of,
    shown_name,
    threshold_at,
)
from demos.models import Models
from demos.pages import KEPT_SECONDS, NO_ANSWER, ask, plain_errors, says
from demos.pictures import chosen, picture_input, sent
from demos.sharing import result_viewer, strip
from shared.catalogue import ModelCard
from vision.faces.verify import DEFAULT_FAR, compare
from vision.types import Verification

_INVITATION = "Choose two pictures, each with a face."
_LONGEST = 640
_ANSWER = 76
"""Pixels of three lines of text, kept free so that the curve stays where it is when the answer comes."""


@dataclass(frozen=True)
class Pair:
    """What was compared, kept so that another rate asks no model again.

    Attributes:
        similarity: of the two main faces.
        milliseconds: what both pictures took.
    """

    similarity: float
    milliseconds: float


def build(models: Models) -> None:
    """Lay the tab out."""
    card = models.faces.card
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            first = picture_input("First picture", height=240)
            second = picture_input("Second picture", height=240)
            _examples(first, second)
            far = rate_choice(card, "Pairs of strangers taken for one person. Choosing another asks the model nothing.")
        with gr.Column(scale=3, min_width=300):
            answer = says(_INVITATION)
            answer.min_height = _ANSWER
            shown_curve = gr.HTML(
                curve(rates(card), DEFAULT_FAR) if DEFAULT_FAR in rates(card) else "",
                label="Curve",
                js_on_load=None,
                apply_default_css=False,
            )
            with gr.Row():
                drawn = [
                    gr.Image(
                        label=label,
                        interactive=False,
                        buttons=["fullscreen"],
                        alt_text=f"{label} with a box on each face",
                        min_width=150,
                        height=240,
                    )
                    for label in ("First", "Second")
                ]
    result = result_viewer("Verification")
    kept = gr.State(time_to_live=KEPT_SECONDS)

    def nothing(said: str = NO_ANSWER, far: Any = None) -> tuple[Any, ...]:
        known = rates(card)
        rate = far if far in known else DEFAULT_FAR
        return None, said, curve(known, rate) if rate in known else "", None, None, None

    def verify(
        first: dict[str, Any] | None, second: dict[str, Any] | None, far: float = DEFAULT_FAR
    ) -> tuple[Any, ...]:
        """Whether the main faces of two pictures are one person's, at a false-accept rate of the model's card."""
        threshold = threshold_at(card, far)
        sides = [chosen(first), chosen(second)]
        given = [side for side in sides if side is not None]
        if len(given) < 2:
            return nothing(_INVITATION if not given else "Now choose the other picture.", far)
        found = [ask(models.faces, side.path, plain=side.plain) for side in given]
        milliseconds = sum(taken for _, taken in found)
        pictures = [sent(draw_faces(screen_of(side, _LONGEST).image(), one)) for side, (one, _) in zip(given, found)]
        for side, (one, _) in zip(given, found):
            if one.main is None:
                said = f"**Nothing to compare**: no face was found in {side.name} · {milliseconds:.0f} ms"
                return *nothing(said, far)[:3], *pictures, None
        with plain_errors():
            verification = compare(found[0][0], found[1][0], threshold=threshold, far=far)
        pair = Pair(verification.similarity, milliseconds)
        return *told(card, pair, far), *pictures, pair

    def judge(pair: Pair | None, far: float) -> tuple[Any, ...]:
        return nothing(_INVITATION, far)[:3] if pair is None else told(card, pair, far)

    shown = [result, answer, shown_curve, *drawn, kept]
    asked = gr.on(
        [first.change, second.change], verify, [first, second, far], shown, preprocess=False, api_name="faces_verify",
        trigger_mode="always_last",
    )  # fmt: skip
    asked.failure(nothing, outputs=shown, api_visibility="private", queue=False)
    judged = far.input(judge, [kept, far], shown[:3], api_visibility="private", show_progress="hidden", queue=False)
    strip([asked, judged], given=[first, second, far], result=result, write=verify_elsewhere)


def told(card: ModelCard, pair: Pair, far: float) -> tuple[dict[str, Any], str, str]:
    """JSON, line and curve of a pair at a rate."""
    threshold = threshold_at(card, far)
    found = Verification(pair.similarity, threshold, pair.similarity >= threshold, far)
    word = "One person" if found.same else "Two persons"
    line = (
        f"**{word}**: alike by {pair.similarity:.2f}, where {threshold:.2f} or more counts as one. "
        f"{strangers(pair.similarity, rates(card))} · "
        f"{pair.milliseconds:.0f} ms"
    )
    return found.to_json(), line, curve(rates(card), far, pair.similarity)


def _examples(first: gr.Image, second: gr.Image) -> None:
    """Offer a face beside itself changed, and two different ones, where pictures of faces are on this machine."""
    found = pictures(FACES)
    if not found:
        return
    pairs = {f"{shown_name(found[0])}, and the same mirrored and darker": lambda: (copied(found[0]), altered(found[0]))}
    if len(found) > 1:
        pairs[f"{shown_name(found[0])} and {shown_name(found[1])}"] = lambda: (copied(found[0]), copied(found[1]))
    for name, both in pairs.items():
        gr.Button(name, size="sm", elem_classes="small").click(
            both, outputs=[first, second], api_visibility="private", queue=False, show_progress="hidden"
        )
