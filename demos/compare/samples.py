"""Small labelled data sets that the page which compares begins with; far too few to judge a model by, as it says."""

from __future__ import annotations

import csv
import json
import os
import tempfile
import zipfile
from pathlib import Path

from demos.examples import pictures

_SAMPLE_PICTURES = {
    "n02129165": (("gradio", "media_assets/images/lion.jpg"),),
    "n02130308": (("gradio", "media_assets/images/cheetah1.jpg"), ("gradio", "test_data/cheetah2.jpg")),
    "n03877845": (("sklearn", "datasets/images/china.jpg"),),
    "n11939491": (("sklearn", "datasets/images/flower.jpg"),),
}
"""Pictures of a lion, two cheetahs, a palace and a flower, by WordNet's ids."""
_REVIEWS = {
    "positive": (
        "A joy from the first scene to the last.", "I laughed until it hurt.", "Quiet, wise and beautifully played.",
        "The best thing that I have seen this year.", "It could have been dull, and it never is.",
        "Hardly a false note in two hours.", "You will not regret the ticket.", "Moving without ever being sweet.",
        "Nothing about it is lazy.", "A small film with a large heart.", "Who knew that chess could be this thrilling?",
        "I went in tired and came out glad.",
    ),
    "negative": (
        "Two hours that I will never get back.", "Loud, long and empty.", "The jokes were old when it was written.",
        "Not even the actors seem to believe it.", "A waste of a good idea.", "I have seen livelier furniture.",
        "It wants to be clever and is merely confused.", "Beautiful pictures cannot save a script this thin.",
        "I left before the end, and not early enough.", "Everything that the first one was not: dull.",
        "Hardly a scene that works.", "If this is fun, give me boredom.",
    ),
}  # fmt: skip
"""Short reviews written for this page."""


_PASSAGES: dict[str, tuple[str, dict[str, str | None]]] = {
    "The ferry": (
        "The ferry crosses the strait eleven times a day from April to October. It carries 240 passengers and 31 "
        "cars, and cyclists board first.",
        {"How many passengers does the ferry carry?": "240", "Who boards first?": "cyclists"},
    ),
    "The tickets": (
        "The ticket office opens forty minutes before the first boat. When a storm cancels a crossing, tickets stay "
        "valid for a year.",
        {"How long do tickets stay valid after a crossing was cancelled?": "a year", "What does a ticket cost?": None},
    ),
    "The dough": (
        "Knead the dough for ten minutes and leave it in a cool room overnight. In the morning fold it twice and "
        "let it rise for another hour.",
        {"How long is the dough kneaded?": "ten minutes", "Which yeast is used?": None},
    ),
    "The loaf": (
        "The loaf is baked at 230 degrees, the first ten minutes under a lid, and cools on a rack before it is cut. "
        "Rye flour makes it keep for a week.",
        {"At how many degrees is the loaf baked?": "230", "What makes the bread keep for a week?": "Rye flour"},
    ),
    "The observatory": (
        "The observatory on the hill was built in 1887 around a refractor, which still points at the sky on clear "
        "Fridays. Its dome is turned by hand.",
        {"How is the dome turned?": "by hand", "Who discovered a comet there?": None},
    ),
    "The amateurs": (
        "Since the town lights became brighter, research has moved to the mountains. The hill is now a school for "
        "amateurs who grind their own mirrors.",
        {"Who grinds mirrors there?": "amateurs", "How high is the hill?": None},
    ),
    "The library card": (
        "A library card is free for everybody under eighteen and costs twelve crowns a year for others. Up to "
        "fifteen books may be taken home.",
        {"How much does a card cost for adults?": "twelve crowns a year", "What is the fine for a lost card?": None},
    ),
    "The reading room": (
        "Maps and newspapers do not leave the reading room. It is open until ten in the evening, and the window "
        "seats are taken first.",
        {
            "What does not leave the reading room?": "Maps and newspapers",
            "How long is the reading room open?": "until ten in the evening",
        },
    ),
    "The orchard": (
        "Forty old trees stand in the orchard behind the mill. Geese keep the grass short, and a hedge of hazel "
        "keeps the wind out.",
        {"What keeps the grass short?": "Geese", "Who owns the mill?": None},
    ),
    "The harvest": (
        "The earliest pears ripen in late July, the last apples are picked after the first frost. Two thirds of the "
        "harvest become juice.",
        {
            "When are the last apples picked?": "after the first frost",
            "How much of the harvest becomes juice?": "Two thirds",
        },
    ),
    "The footbridge": (
        "The footbridge over the mill stream was closed in March, when ice had lifted two of its piers. Walkers "
        "take the road by the weir until it is mended.",
        {"Why was the footbridge closed?": "ice had lifted two of its piers", "What does the repair cost?": None},
    ),
    "The choir": (
        "The choir rehearses on Tuesdays in the old school, and sings in the square on the longest day of the year. "
        "Nobody needs to read music to join.",
        {"Where does the choir rehearse?": "in the old school", "Who leads the choir?": None},
    ),
}
"""Passages written for this page, with questions and their answers; ``None`` where the passage has none."""


def sample_texts(folder: str | None = None) -> str:
    """A file of short labelled reviews in a folder of the server's uploads, which goes when it stops."""
    path = _place(folder) / "short-reviews.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["text", "label"])
        rows.writerows([text, label] for label, texts in _REVIEWS.items() for text in texts)
    return str(path)


def sample_pictures(folder: str | None = None) -> str:
    """A zip of those labelled pictures that other packages carry, as :func:`sample_texts`."""
    path = _place(folder) / "few-pictures.zip"
    with zipfile.ZipFile(path, "w") as held:
        for label, wanted in _SAMPLE_PICTURES.items():
            for picture in pictures(wanted):
                held.write(picture, f"{label}/{Path(picture).name}")
    return str(path)


def sample_questions(folder: str | None = None) -> str:
    """A file of those questions in the form of SQuAD 2.0, as :func:`sample_texts`."""
    path = _place(folder) / "few-questions.json"
    articles = [
        {"title": title, "paragraphs": [{"context": passage, "qas": [_asked(passage, *one) for one in asked.items()]}]}
        for title, (passage, asked) in _PASSAGES.items()
    ]
    path.write_text(json.dumps({"version": "v2.0", "data": articles}, indent=1), "utf-8")
    return str(path)


def _asked(passage: str, question: str, answer: str | None) -> dict[str, object]:
    answers = [] if answer is None else [{"text": answer, "answer_start": passage.index(answer)}]
    return {"id": question, "question": question, "is_impossible": answer is None, "answers": answers}


def _place(folder: str | None) -> Path:
    return Path(tempfile.mkdtemp(dir=folder or os.environ.get("GRADIO_TEMP_DIR")))
