"""The recommendation page: pick books, and see what readers of those books would read next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gradio as gr

from demos.library import books, by_id
from demos.models import Models
from demos.pages import Page, head, plain_errors, refusal, says
from demos.tables import Cell, table
from recsys.model import Recommender
from shared.types import Id

PAGE = Page("Recommend", "recommend", "Pick books that you like, and see what their readers would read next.")

MOST_PICKS = 20
_SHOWN = 10
_SIMILAR = 5
_EXAMPLES = {
    "Castles at night": ["dracula", "frankenstein", "carmilla"],
    "Drawing rooms": ["pride-and-prejudice", "age-of-innocence"],
    "A body in the library": ["moonstone", "study-in-scarlet", "whose-body"],
    "To the moon and below": ["time-machine", "first-men-in-the-moon", "journey-to-the-centre"],
    "Small and brave": ["alice-in-wonderland", "secret-garden", "pinocchio"],
}


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(
        PAGE,
        f"The {len(books())} books are real, of the public domain. **The readers are simulated**: drawn from a seed, "
        "by taste in genres and by fame. No real person's reading is in here.",
    )
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            picks = gr.Dropdown(
                [(f"{book.title} · {book.author}", book.id) for book in sorted(books(), key=lambda b: b.title)],
                value=[],
                multiselect=True,
                max_choices=MOST_PICKS,
                label="Books that you like",
                info=f"Type a title or an author; up to {MOST_PICKS}.",
            )
            names = list(models.recommenders)
            model = gr.Radio(names, value=names[0], label="Model", info="Both are fitted here, at first use.")
            gr.Examples(
                [[ids] for ids in _EXAMPLES.values()],
                picks,
                label="Or begin with",
                example_labels=list(_EXAMPLES),
                cache_examples=False,
                api_visibility="private",
            )
        with gr.Column(scale=3, min_width=300):
            answer = says("")
            ranked = gr.HTML(label="Recommendations", js_on_load=None, apply_default_css=False)
            alike = gr.HTML(label="Similar books", js_on_load=None, apply_default_css=False)
            with gr.Accordion("The result as JSON", open=False):
                result = gr.JSON(label="Recommendations")

    def recommend(picked: list[str], name: str) -> tuple[Any, ...]:
        """Books for somebody who likes some books; with none, the popular ones. The reason says which it was."""
        if len(picked) > MOST_PICKS:
            raise refusal(f"at most {MOST_PICKS} books can be picked. Got {len(picked)}")
        with plain_errors():
            recommender = models.recommenders[name].get(gr.Info)
            begun = time.perf_counter()
            found = recommender.fold_in(picked, _SHOWN)
            taken = (time.perf_counter() - begun) * 1000
        told = "What most readers read" if found.kind == "popular" else f"For a reader of {_titles(picked)}"
        line = f"**{told}** · {found.reason} · {taken:.1f} ms"
        return found.to_json(), line, _ranked(found.items, picked, recommender), _alike(picked, recommender)

    gr.on(
        None,  # when the page is opened, and when an input changes
        recommend,
        [picks, model],
        [result, answer, ranked, alike],
        api_name=PAGE.path,
        show_progress="minimal",
    )


def _ranked(items: Sequence[Id], picked: Sequence[str], recommender: Recommender) -> str:
    reasons = _reasons(picked, recommender)
    rows = [[_book(item), Cell(by_id(item).line), Cell(reasons.get(item, "read by many"))] for item in items]
    return table("Read next", ["Book", "About", "Why"], rows)


def _reasons(picked: Sequence[str], recommender: Recommender) -> dict[Id, str]:
    """For each book the pick that speaks most for it, in words; none for a book that no pick speaks for."""
    best: dict[Id, tuple[float, str]] = {}
    for near in recommender.similar_items(picked, len(books())):
        for item, score in zip(near.items, near.scores.tolist()):
            best[item] = max(best.get(item, (0.0, "")), (score, f"liked by readers of {by_id(near.item).title}"))
    return {item: words for item, (score, words) in best.items() if score > 0}


def _alike(picked: Sequence[str], recommender: Recommender) -> str:
    """Books like the pick that came last."""
    if not picked:
        return ""
    near = recommender.similar_items(picked[-1:], _SIMILAR)[0]
    rows = [
        [_book(item), Cell(", ".join(by_id(item).genres)), Cell(f"{score:.3f}", tag="number")]
        for item, score in zip(near.items, near.scores.tolist())
    ]
    return table(f"Like {by_id(near.item).title}", ["Book", "Genres", "Likeness"], rows)


def _book(item: Id) -> Cell:
    book = by_id(item)
    return Cell(book.title, soft=f"{book.author}, {book.when}")


def _titles(picked: Sequence[str]) -> str:
    titles = [by_id(item).title for item in picked]
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"
