"""The PDF that the ask page has for an example: three pages of a manual, of our own words, in two columns.

    python bench/demo_manual.py demos/data/bread-machine.pdf

Needs fpdf2. The fonts are those that every viewer has, so the file is a few kB; it comes out the same each time.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF

PAGES = {
    "Getting started": [
        (
            "Before the first loaf",
            "Wash the pan and the kneading blade in warm water and dry them. Let the machine run empty on the "
            "programme Bake for ten minutes with the lid open: it may smell of new metal, which goes away and "
            "does no harm.\n"
            "Stand it on a dry, level board, at least ten centimetres from the wall, so that the vents on both "
            "sides stay free. Children must not reach the lid, which becomes as hot as an oven door.",
        ),
        (
            "A first white loaf",
            "Fill in the order of this list: 320 ml of lukewarm water, one spoon of oil, one and a half teaspoons "
            "of salt, 500 g of flour, and one teaspoon of dry yeast in a hollow on the top. Yeast must not touch "
            "the water before the kneading begins.\n"
            "Choose the programme Basic and the crust that you like, and press Start. The machine rests for "
            "twenty minutes first, so nothing seems to happen. It beeps eight times in the second kneading: that "
            "is the moment for nuts, seeds or raisins.",
        ),
        (
            "Taking it out",
            "When the clock shows 0:00 the machine keeps the loaf warm for an hour. Take the pan out with a "
            "cloth, turn it upside down and shake it gently. If the blade stays in the loaf, pull it out with the "
            "hook, never with a knife. Let the bread cool for half an hour before you cut it.",
        ),
    ],
    "Programmes": [
        (
            "Basic and wholemeal",
            "Basic takes three hours and suits white and mixed flour. Wholemeal takes three hours and forty "
            "minutes, since bran drinks slowly: the dough rests longer before it is kneaded for the first time. "
            "Give wholemeal flour thirty millilitres more water than white.",
        ),
        (
            "Rye",
            "A rye loaf takes four hours and ten minutes. Rye has little gluten, so the machine kneads it once "
            "and gently, and lets it rise twice. Use sour dough, or a spoon of vinegar in the water, or the crumb "
            "stays sticky. Rye breads are lower than wheat breads, and keep for a week.",
        ),
        (
            "Dough only",
            "The programme Dough kneads and lets rise, and does not bake. After an hour and a half take the dough "
            "out for rolls, pizza or a plaited loaf. It must not stay in the warm pan for longer than ten "
            "minutes.",
        ),
        (
            "The timer",
            "Bread can be ready up to thirteen hours later. Set the time by which it should be done, not the time "
            "at which it begins. Never use the timer with milk, eggs or fresh yeast: they spoil in a warm "
            "kitchen.",
        ),
        (
            "If the power fails",
            "A break of up to ten minutes does no harm: the programme goes on where it stopped. After a longer "
            "one the machine begins anew, so throw the dough away if it had risen already.",
        ),
    ],
    "Care and faults": [
        (
            "Cleaning",
            "Pull the plug and let everything cool. Fill the pan with warm water for a quarter of an hour, then "
            "wipe it with a soft cloth. The pan and the blade must not go into the dishwasher, which takes their "
            "coating off. Wipe the lid and the housing with a damp cloth.",
        ),
        (
            "Messages",
            "E1 means that the heater does not answer: have the machine repaired. E2 means that the kitchen is "
            "colder than ten degrees; bring the machine to a warmer place. E3 means that the pan is still too hot "
            "from the loaf before: open the lid, take the pan out and wait for twenty minutes.",
        ),
        (
            "When a loaf goes wrong",
            "It sinks in the middle: take less water, or a little less yeast. It is heavy and low: the yeast was "
            "old, or touched the salt. The top is pale: choose a darker crust. Flour sticks to the sides: scrape "
            "it down with a soft spatula after five minutes of kneading.",
        ),
        (
            "Guarantee",
            "The machine is guaranteed for three years, the coating of the pan for one. Keep the receipt. Nothing "
            "is paid for pans that were washed in a dishwasher.",
        ),
    ],
}


def manual() -> bytes:
    """The PDF."""
    made = FPDF(format=(148, 190))
    made.set_title("Bread machine B2: instructions")
    made.set_creation_date(datetime(2026, 1, 1, tzinfo=UTC))
    made.set_margin(14)
    for number, (chapter, sections) in enumerate(PAGES.items(), 1):
        made.add_page()
        made.set_font("Helvetica", size=8)
        made.set_text_color(100)
        made.cell(0, 5, f"Bread machine B2 \u00b7 page {number}", new_x="LMARGIN", new_y="NEXT")
        made.set_text_color(20)
        made.set_font("Helvetica", "B", 17)
        made.start_section(chapter)
        made.cell(0, 12, chapter, new_x="LMARGIN", new_y="NEXT")
        made.set_draw_color(15, 118, 110)
        made.set_line_width(0.6)
        made.line(14, made.get_y(), made.w - 14, made.get_y())
        made.ln(4)
        with made.text_columns(ncols=2, gutter=7, text_align="LEFT", line_height=1.3, balance=True) as columns:
            for title, text in sections:
                made.set_font("Helvetica", "B", 11)
                columns.write(f"{title}\n")
                made.set_font("Times", size=11.5)
                columns.write(f"{text}\n\n")
    return bytes(made.output())


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(manual())
