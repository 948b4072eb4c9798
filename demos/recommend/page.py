"""The recommendation page: pick books, or films of one's own ratings, and see at once what comes next and why."""

from __future__ import annotations

import time
from typing import Any

import gradio as gr
from gradio.events import api

from demos.library import READERS, books, by_id
from demos.models import Models
from demos.pages import Page, head, plain_errors, refusal, says
from demos.recommend.described import described_input, describing
from demos.recommend.elsewhere import POOL, elsewhere
from demos.recommend.own_ratings import Shelf, Shelves, ratings_input
from demos.recommend.reasons import SIMILAR, likeness, listed, reason, titles_of, varied
from demos.recommend.reasons import alike as like
from demos.sharing import result_viewer, strip

PAGE = Page("Recommend", "recommend", "Pick books that you like, and see what their readers would read next.")

MOST_PICKS = 20
_EXAMPLES = {
    "Castles at night": ["dracula", "frankenstein", "carmilla"],
    "Drawing rooms": ["pride-and-prejudice", "age-of-innocence"],
    "A body in the library": ["moonstone", "study-in-scarlet", "whose-body"],
    "To the moon and below": ["time-machine", "first-men-in-the-moon", "journey-to-the-centre"],
    "Small and brave": ["alice-in-wonderland", "secret-garden", "pinocchio"],
}
_ON_LINK = """element.addEventListener('click', event => {
  const link = event.target.closest('a[href^="#like-"]');
  if (link) { event.preventDefault(); trigger('select', {item: decodeURIComponent(link.hash.slice(6))}); }
})"""
"""A title leads to what is like it, by mouse and by keyboard."""


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(
        PAGE,
        f"The {len(books())} books are real, of the public domain. **The readers are simulated**: drawn from a seed, "
        "by taste in genres and by fame. No real person's reading is in here.",
    )
    library = Shelf({book.id: book.title for book in books()}, READERS, models.recommenders)
    shelves = Shelves()
    choices = [(f"{book.title} · {book.author}", book.id) for book in sorted(books(), key=lambda b: b.title)]
    names = list(models.recommenders)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            picks, diversity, model = _controls(choices, names)
        with gr.Column(scale=3, min_width=300):
            answer = says("")
            ranked = gr.HTML(label="Recommendations", js_on_load=_ON_LINK, apply_default_css=False)
            alike = gr.HTML(label="Similar books", js_on_load=_ON_LINK, apply_default_css=False)
    result = result_viewer("Recommendations")
    own = gr.State("")
    described = described_input(describing(), picks, own, library, _ON_LINK)
    uploads = ratings_input(shelves, picks, own, choices)

    def shelf_of(word: str | None) -> Shelf:
        return shelves.get(word) if word else library

    def recommend(picked: list[str], name: str, diversity: float = 0.0, own: str = "") -> tuple[Any, ...]:
        """Books for somebody who likes some books; with none, the popular ones. The result says which it was.

        ``diversity`` in 0..1 trades score for unlikeness within the list (maximal marginal relevance). Returns the
        recommendations as JSON, a line, and two tables in HTML: the list with a reason each, and what is like the last
        pick.
        """
        if len(picked) > MOST_PICKS:
            raise refusal(f"at most {MOST_PICKS} books can be picked. Got {len(picked)}")
        with plain_errors():
            shelf = shelf_of(own)
            recommender = shelf.recommenders[name].get(gr.Info)
            begun = time.perf_counter()
            found = varied(recommender.fold_in(picked, POOL), diversity, recommender, shelf)
            reasons = [reason(picked, item, recommender, shelf) for item in found.items]
            taken = (time.perf_counter() - begun) * 1000
        told = "What most people like" if own else "What most readers read"
        told = told if found.kind == "popular" else f"For a reader of {titles_of(picked, shelf)}"
        remark = found.reason.partition(": ")[2]
        facts = [f"**{told}**", remark, likeness(found.items, recommender, shelf), f"{taken:.1f} ms"]
        line = " · ".join(filter(None, facts))
        last = like(picked[-1], recommender, shelf) if picked else ""
        return found.to_json(), line, listed(found.items, reasons, shelf), last

    def similar(item: str, model: str = names[0]) -> list[dict[str, Any]]:
        """The books that are most like one, by who reads them: item, title and score, best first."""
        with plain_errors():
            if model not in models.recommenders:
                raise refusal(f"the model must be one of {', '.join(models.recommenders)}. Got {model!r} instead")
            near = models.recommenders[model].get(str).similar_items([item], SIMILAR)[0]
        return [
            {"item": found, "title": by_id(found).title, "score": round(score, 4)}
            for found, score in zip(near.items, near.scores.tolist())
        ]

    def on_title(name: str, own: str, event: gr.EventData) -> str:
        with plain_errors():
            shelf = shelf_of(own)
            return like(str(event.item), shelf.recommenders[name].get(gr.Info), shelf)

    asked = gr.on(
        None,  # when the page is opened, and when an input changes
        recommend,
        [picks, model, diversity, own],
        [result, answer, ranked, alike],
        api_name=PAGE.path,
        show_progress="minimal",
        trigger_mode="always_last",
    )
    strip(asked, given=[picks, model, diversity, own, *uploads], result=result, write=elsewhere)
    for shown in (ranked, alike, described):
        shown.select(on_title, [model, own], alike, api_visibility="private", show_progress="minimal")
    api(similar, api_name="similar")


def _controls(choices: list[tuple[str, str]], names: list[str]) -> tuple[gr.Dropdown, gr.Slider, gr.Radio]:
    """What is liked, how mixed the list shall be, and which model is asked."""
    picks = gr.Dropdown(
        choices,
        value=[],
        multiselect=True,
        max_choices=MOST_PICKS,
        label="Books that you like",
        info=f"Type a title or an author; up to {MOST_PICKS}.",
    )
    diversity = gr.Slider(
        0,
        1,
        0,
        step=0.05,
        label="Diversity",
        info="0 ranks by score alone; more puts unlike things side by side.",
    )
    model = gr.Radio(names, value=names[0], label="Model", info="Both are fitted here, at first use.")
    gr.Examples(
        [[ids] for ids in _EXAMPLES.values()],
        picks,
        label="Or begin with",
        example_labels=list(_EXAMPLES),
        cache_examples=False,
        api_visibility="private",
    )
    return picks, diversity, model
