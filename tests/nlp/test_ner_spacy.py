"""spaCy's pipelines through us find what they find by themselves; its own pattern language serves beside any model."""

from __future__ import annotations

from pathlib import Path

import pytest

import nlp
from nlp.ner.datasets import read_documents
from nlp.ner.patterns import read_patterns
from nlp.ner.pipelines import OVERLAP, STRETCH
from shared.errors import DataError, MissingDependencyError, UnknownNameError, UsageError
from shared.types import Failure

try:
    import spacy
except ImportError:
    spacy = None
needs_spacy = [pytest.mark.spacy, pytest.mark.skipif(spacy is None, reason="needs the extra spacy")]


@pytest.mark.skipif(spacy is not None, reason="spaCy is installed")
@pytest.mark.parametrize("name", ["spacy:en_core_web_sm"])
def test_without_spacy_the_remedy_is_said(name: str) -> None:
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[spacy\]'"):
        nlp.entity_recognizer(name)
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[spacy\]'"):
        read_patterns([{"label": "X", "pattern": [{"LOWER": "a"}]}])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline whose entities come from rules, as spaCy writes it."""
    made = spacy.blank("en")
    ruler = made.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            {"label": "GPE", "pattern": [{"LOWER": "new"}, {"LOWER": "york"}]},
            {"label": "PERSON", "pattern": "Ada Lovelace"},
        ]
    )
    folder = tmp_path_factory.mktemp("pipelines") / "rules"
    made.to_disk(folder)
    return folder


class TestSpacy:
    pytestmark = needs_spacy

    @pytest.mark.parametrize(
        ("item", "entities"),
        [
            ("👍🏽 Ada Lovelace in new york", [("Ada Lovelace", "PERSON", 3), ("new york", "GPE", 19)]),
            ("e\u0301 New\u00a0York", []),
            (["in", "New", "York"], [("New York", "GPE", 3)]),
            ([["in", "New"], ["York"]], [("New\nYork", "GPE", 3)]),
            ("\x00 new york שלום", [("new york", "GPE", 2)]),
        ],
    )
    def test_a_folder_is_opened(self, folder: Path, item: object, entities: list[tuple[str, str, int]]) -> None:
        found = nlp.entity_recognizer(f"spacy:{folder}").predict([item])[0].entities
        assert [(entity.text, entity.label, entity.start) for entity in found] == entities

    def test_a_long_text_is_read_in_stretches(self, folder: Path) -> None:
        part = "the new york of it all " * 20 + "Ada Lovelace, "
        text = part * (3 * STRETCH // len(part))
        assert len(text) > 2 * STRETCH + OVERLAP
        found = nlp.entity_recognizer(f"spacy:{folder}").predict([text])[0].entities
        assert len(found) == 21 * text.count("Ada Lovelace")
        assert all(text[e.start : e.end] == e.text for e in found)

    def test_bad_items_are_failures(self, folder: Path) -> None:
        found = nlp.entity_recognizer(f"spacy:{folder}").predict(["", "\ud800", b"x", "new york"], on_error="keep")
        assert [item.kind for item in found[:3] if isinstance(item, Failure)] == ["empty", "corrupt", "wrong-type"]
        assert found[3].entities

    def test_rules_of_ones_own_stand_beside_it(self, folder: Path) -> None:
        finder = nlp.entity_recognizer(f"spacy:{folder}", gazetteer={"STATE": ["York State"]})
        found = finder.predict(["new york and York State"])[0].entities
        assert [(entity.text, entity.label) for entity in found] == [("new york", "GPE"), ("York State", "STATE")]

    def test_what_is_no_pipeline_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="must be a pipeline that spaCy"):
            nlp.entity_recognizer(f"spacy:{tmp_path}")
        spacy.blank("en").to_disk(tmp_path / "blank")
        with pytest.raises(DataError, match=r"must be a pipeline that finds entities. Its parts are \[\]"):
            nlp.entity_recognizer(f"spacy:{tmp_path / 'blank'}")
        with pytest.raises(UnknownNameError, match="no installed spaCy pipeline is called 'xx_none_sm'"):
            nlp.entity_recognizer("spacy:xx_none_sm")
        with pytest.raises(UsageError, match="device must be 'auto' or 'cpu'"):
            nlp.entity_recognizer("spacy:xx_none_sm", device="gpu")

    @pytest.mark.parametrize(
        ("pattern", "text", "spans"),
        [
            ([{"LOWER": "san"}, {"LOWER": "francisco"}], "in San  Francisco", []),
            ([{"LOWER": "san"}, {"LOWER": "francisco"}], "in San Francisco", [(3, 16, "X")]),
            ([{"SHAPE": "dd"}, {"TEXT": {"REGEX": "^kg$"}}], "of 12 kg", [(3, 8, "X")]),
        ],
    )
    def test_token_patterns(self, pattern: list[dict[str, object]], text: str, spans: list[object]) -> None:
        assert read_patterns([{"label": "X", "pattern": pattern}]).find(text) == spans

    @pytest.mark.parametrize("pattern", [[{"POS": "NOUN"}], [{"NONE": 1}], [{"LOWER": {"REGEX": "("}}], ["x"]])
    def test_patterns_that_spacy_cannot_read_are_refused(self, pattern: list[object]) -> None:
        with pytest.raises(DataError, match="pattern 1 must be a pattern that spaCy's matcher reads without a model"):
            read_patterns([{"label": "X", "pattern": pattern}])

    @pytest.mark.weights
    @pytest.mark.data
    def test_entities_are_spacys_own(self, data_root: Path, tmp_path: Path) -> None:
        documents = read_documents(data_root / "nlp/conll2003/dataset/eng.testb")
        texts = [" ".join(sentence.words) for document in documents for sentence in document][:200]
        finder = nlp.entity_recognizer("en-core-web-md")
        whole = spacy.load(_unpacked("en-core-web-md", tmp_path), exclude=["lemmatizer"])
        for text, found, doc in zip(texts, finder.predict(texts), whole.pipe(texts)):
            wanted = [(entity.start_char, entity.end_char, entity.label_) for entity in doc.ents]
            assert [(entity.start, entity.end, entity.label) for entity in found.entities] == wanted, text

    @pytest.mark.weights
    def test_japanese(self) -> None:
        pytest.importorskip("sudachipy")
        found = nlp.entity_recognizer("ja-ginza").predict(["山田太郎は東京のトヨタ自動車で働いています。"])[0]
        assert [(entity.text, entity.label) for entity in found.entities] == [
            ("山田太郎", "Person"),
            ("東京", "Province"),
            ("トヨタ自動車", "Company"),
        ]


def _unpacked(name: str, folder: Path) -> Path:
    """The whole pipeline of the archive that a catalogue row's files come from, tagger and all."""
    import zipfile

    from unearth import PackageFinder

    from shared.catalogue import SOURCES, find
    from shared.weights.index import open_client, places
    from shared.weights.pipconfig import pip_settings

    asked = SOURCES["index"].fullmatch(find(name).files[0].sources[0])
    settings = pip_settings()
    with open_client(settings) as client:
        finder = PackageFinder(session=client, ignore_compatibility=True)
        finder.sources.clear()
        for place in places(settings):
            if place.kind == "index" and place.url.startswith("http"):
                finder.add_index_url(place.url)
        link = finder.find_best_match(f"{asked['dist']}=={asked['version']}").best.link
        archive = folder / "archive.zip"
        archive.write_bytes(client.get(link.url_without_fragment).content)
    top = asked["path"].rpartition("/")[0]
    with zipfile.ZipFile(archive) as wheel:
        wheel.extractall(folder, [member for member in wheel.namelist() if member.startswith(top)])
    return folder / top
