"""The codes by which models and people call languages."""

from __future__ import annotations

TWO_LETTERS = {
    "arb_Arab": "ar", "bul_Cyrl": "bg", "cat_Latn": "ca", "ces_Latn": "cs", "dan_Latn": "da", "deu_Latn": "de",
    "ell_Grek": "el", "eng_Latn": "en", "spa_Latn": "es", "est_Latn": "et", "pes_Arab": "fa", "fin_Latn": "fi",
    "fra_Latn": "fr", "heb_Hebr": "he", "hin_Deva": "hi", "hrv_Latn": "hr", "hun_Latn": "hu", "ind_Latn": "id",
    "ita_Latn": "it", "jpn_Jpan": "ja", "kor_Hang": "ko", "lit_Latn": "lt", "lvs_Latn": "lv", "nld_Latn": "nl",
    "nob_Latn": "no", "pol_Latn": "pl", "por_Latn": "pt", "ron_Latn": "ro", "rus_Cyrl": "ru", "slk_Latn": "sk",
    "slv_Latn": "sl", "srp_Cyrl": "sr", "swe_Latn": "sv", "tha_Thai": "th", "tur_Latn": "tr", "ukr_Cyrl": "uk",
    "vie_Latn": "vi", "zho_Hans": "zh",
}  # fmt: skip
"""NLLB's names of languages that have a two-letter code in common use; ISO 639-1."""


def short_code(language: str) -> str:
    """The two-letter code of a language where it has one, else the code as it was given.

    Example:
        >>> short_code("deu_Latn"), short_code("de"), short_code("ace_Latn")
        ('de', 'de', 'ace_Latn')
    """
    return TWO_LETTERS.get(language, language)
