"""The page of drift outside the page: each check as a program, which a shell runs too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from demos.sharing import Elsewhere, Upload, python_command, upload

_TEXTS = """import json

import nlp
from demos.drift.texts import TextWorld

world = TextWorld.build(nlp.text_classifier("sst2-bge-lora"))
found = world.check({kind!r}, {share}, size={size}, rate={rate}, seed={seed})
print(json.dumps(found.to_json()))
"""
_PICTURES = """import json

import vision
from demos.drift.worlds import PictureWorld, example_paths

world = PictureWorld.build(example_paths(), vision.classifier())
found = world.check({light}, {blur}, {noise}, size={size}, rate={rate}, seed={seed})
print(json.dumps(found.to_json()))
"""
_READERS = """import json

import numpy as np

import recsys
from demos.drift.worlds import ReaderWorld
from demos.library import readings

read = recsys.from_records(readings(rng=np.random.default_rng(0)))
world = ReaderWorld.build(recsys.fit_ease(read, recsys.EaseConfig(l2=50.0)))
found = world.check({share}, size={size}, rate={rate}, seed={seed})
print(json.dumps(found.to_json()))
"""
_FILES = """import json

import vision
from demos.drift.files import read_both
from demos.drift.worlds import checked

reference, window, note = read_both({reference}, {window}, vision.classifier)
print(json.dumps(checked(reference, window, rate={rate}, seed=0).to_json()))
"""
_REMARK = "triptych serve answers items; what it answered is logged and checked by triptych monitor"


def texts_elsewhere(kind: str, share: float, size: float, rate: float, seed: float | None) -> Elsewhere | None:
    """The check of the page's texts: share and rate in percent."""
    given = [kind, share, size, rate, seed]
    return _elsewhere("drift_texts", _TEXTS, given, kind=kind, share=share / 100, size=size, rate=rate, seed=seed)


def pictures_elsewhere(  # noqa: PLR0917 - the inputs of the page, in their order
    light: float, blur: float, noise: float, size: float, rate: float, seed: float | None
) -> Elsewhere | None:
    """The check of the page's pictures: light and rate in percent."""
    given = [light, blur, noise, size, rate, seed]
    spoilt = {"light": light / 100, "blur": blur, "noise": noise}
    return _elsewhere("drift_pictures", _PICTURES, given, **spoilt, size=size, rate=rate, seed=seed)


def readers_elsewhere(share: float, size: float, rate: float, seed: float | None) -> Elsewhere | None:
    """The check of the page's readers: share and rate in percent."""
    given = [share, size, rate, seed]
    return _elsewhere("drift_readers", _READERS, given, share=share / 100, size=size, rate=rate, seed=seed)


def files_elsewhere(
    reference: Sequence[Mapping[str, Any]] | None, window: Sequence[Mapping[str, Any]] | None, rate: float
) -> Elsewhere | None:
    """The check of a visitor's own files: the rate in percent."""
    sides = [[file for one in side or () if (file := upload(one)) is not None] for side in (reference, window)]
    if not all(sides):
        return None
    program = _FILES.format(reference=_names(sides[0]), window=_names(sides[1]), rate=rate / 100)
    return Elsewhere(program, python_command(program), "drift_files", [*sides, rate], "", None, remark=_REMARK)


def _names(files: Sequence[Upload]) -> str:
    return repr([file.name for file in files])


def _elsewhere(
    endpoint: str, program: str, given: list[Any], *, size: float, rate: float, seed: float | None, **more: Any
) -> Elsewhere | None:
    if seed is None:
        return None
    shown = program.format(size=int(size), rate=rate / 100, seed=int(seed), **more)
    return Elsewhere(shown, python_command(shown), endpoint, given, "", None, remark=_REMARK)
