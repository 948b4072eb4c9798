"""What a model is to answer to a prompt, and whether it did."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nlp.qa.citations import claims
from shared.errors import DataError, UnknownNameError

TEXT, LABEL, JSON, CITED = "text", "label", "json", "cited"
FORMS = (TEXT, LABEL, JSON, CITED)
TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "flag": (bool,),
    "list": (list,),
    "table": (dict,),
}
"""What a key of a JSON answer may be."""
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)


@dataclass(frozen=True)
class Form:
    """The form of an answer.

    Attributes:
        kind: ``"text"``: any; ``"label"``: one of ``labels`` and nothing else; ``"json"``: one object with ``keys``;
            ``"cited"``: sentences that each name a passage, like ``[1]``.
        labels: of a label.
        keys: of an object, each with a key of :data:`TYPES`; others may stand beside them.
        unknown: what stands for "no answer", in any form; empty for nothing.
    """

    kind: str = TEXT
    labels: tuple[str, ...] = ()
    keys: Mapping[str, str] | None = None
    unknown: str = ""

    def fault(self, text: str) -> str:
        """What is wrong with an answer's form; empty where nothing is.

        Example:
            >>> Form("label", ("yes", "no")).fault("maybe")
            'must be one of yes, no'
            >>> Form("cited").fault("It rained [1]. It snowed.")
            "must cite a passage in each sentence; 'It snowed.' cites none"
        """
        said = text.strip()
        if not said:
            return "must not be empty"
        if said == self.unknown or self.kind == TEXT:
            return ""
        if self.kind == LABEL:
            return "" if said in self.labels else f"must be one of {', '.join(self.labels)}"
        if self.kind == CITED:
            bare = next((claim for claim, numbers in claims(said) if not numbers), None)
            return "" if bare is None else f"must cite a passage in each sentence; {bare!r:.60} cites none"
        return self._json_fault(said)

    def _json_fault(self, said: str) -> str:
        fenced = _FENCE.fullmatch(said)
        try:
            table = json.loads(fenced[1] if fenced else said)
        except (ValueError, RecursionError):
            return "must be one JSON object"
        if not isinstance(table, dict):
            return "must be one JSON object"
        for key, kind in (self.keys or {}).items():
            value = table.get(key)
            if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "flag"):
                return f"must have the key {key!r} as a {kind}"
        return ""


def read_form(table: Any, where: str) -> Form:
    """A form from the table ``[output]`` of a prompt.

    Raises:
        DataError: it is malformed.
        UnknownNameError: it names an unknown form, type or key.
    """
    if not isinstance(table, Mapping):
        raise DataError(f"{where}: output must be a table with a form, one of {', '.join(FORMS)}. Got {table!r:.40}")
    for name in table:
        if name not in ("form", "labels", "keys", "unknown"):
            raise UnknownNameError(f"field of output in {where}", str(name), ("form", "labels", "keys", "unknown"))
    kind, labels, keys = table.get("form", TEXT), table.get("labels", []), table.get("keys")
    if kind not in FORMS:
        raise UnknownNameError(f"form of output in {where}", str(kind), FORMS)
    if (kind == LABEL) != bool(labels) or not isinstance(labels, list) or not all(isinstance(x, str) for x in labels):
        raise DataError(f"{where}: output.labels must be a list of texts where form is label, and only there")
    if keys is not None and (kind != JSON or not isinstance(keys, Mapping)):
        raise DataError(f"{where}: output.keys must be a table of types, and only where form is json")
    for key, wanted in (keys or {}).items():
        if wanted not in TYPES:
            raise UnknownNameError(f"type of output.keys.{key} in {where}", str(wanted), TYPES)
    return Form(kind, tuple(labels), dict(keys) if keys else None, str(table.get("unknown", "")))
