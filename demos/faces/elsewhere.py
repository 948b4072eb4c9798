"""What the face page asks, outside the page: as a program, a command and over HTTP."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demos.faces.known import Known, is_snapshot
from demos.faces.seen import SERVES_NONE
from demos.sharing import Elsewhere, Upload, predict_command, upload

GALLERY = "known.gallery"
_FIND = """import json

import vision

recognizer = vision.face_recognizer()
print(json.dumps(recognizer.predict([{name!r}])[0].to_json()))
"""
_VERIFY = """import json

import vision

recognizer = vision.face_recognizer()
print(json.dumps(recognizer.verify({first!r}, {second!r}, far={far!r}).to_json()))
"""
_ENROLL = """import json

import vision

recognizer = vision.face_recognizer()
people = {people!r}
with recognizer.gallery({gallery!r}) as known:
    for person, names in people.items():
        for faces in recognizer.predict(names):
            known.enroll([person], faces.embeddings[[faces.main]])
"""
_IDENTIFY = """    faces = recognizer.predict([{name!r}])[0]
    threshold = recognizer.threshold(far={far!r})
    for matches in known.identify(faces.embeddings, k=1, threshold=threshold):
        print(json.dumps({{match.person: match.similarity for match in matches}}))
"""
_PEOPLE = """    print(json.dumps(known.people()))
"""
_ALBUM = """import json
{imports}
import vision
from shared.batch.sources import expand
from shared.types import Failure
from vision.faces.cluster import cluster

{unpacked}recognizer = vision.face_recognizer()
paths = [path for given in {given!r} for path in expand(given)]
found = zip(paths, recognizer.predict(paths, on_error="keep"))
rows = [
    (path, at, embedding)
    for path, faces in found
    if not isinstance(faces, Failure)
    for at, embedding in enumerate(faces.embeddings)
]
numbers = cluster([row[2] for row in rows], threshold=recognizer.threshold(far={far!r}), method={method!r})
for (path, at, _), number in zip(rows, numbers.tolist()):
    print(json.dumps({{"input": path, "face": at, "cluster": number}}))
"""
_UNPACK = """with zipfile.ZipFile({archive!r}) as held:
    held.extractall({folder!r})
"""


def find_elsewhere(picture: Mapping[str, Any] | None) -> Elsewhere | None:
    """The faces of a picture."""
    file = upload(picture)
    if file is None:
        return None
    task = "vision.faces"
    return Elsewhere(_FIND.format(name=file.name), predict_command(task, file), "faces", [file], task, file)


def verify_elsewhere(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None, far: float) -> Elsewhere | None:
    """Whether two pictures show one person."""
    one, other = upload(first), upload(second)
    if one is None or other is None:
        return None
    command = _faces("verify", "--far", str(far), "--", one.name, other.name)
    code = _VERIFY.format(first=one.name, second=other.name, far=far)
    return Elsewhere(code, command, "faces_verify", [one, other, far], "", one, remark=SERVES_NONE)


def known_elsewhere(known: Known | None, picture: Mapping[str, Any] | None, far: float) -> Elsewhere | None:
    """Those who are enrolled, enrolled there too, and who of them is in the picture; without one, who is known."""
    if known is None or not known.files:
        return None
    file = upload(picture)
    people = {person: list(names) for person, names in known.files.items()}
    code = _ENROLL.format(people=people, gallery=GALLERY)
    code += _PEOPLE if file is None else _IDENTIFY.format(name=file.name, far=far)
    snapshots = [name for names in people.values() for name in names if is_snapshot(name)]
    steps = [f"# save what the webcam saw as {', '.join(snapshots)} first"] if snapshots else []
    steps += [_faces("enroll", GALLERY, "--person", person, "--", *names) for person, names in people.items()]
    if file is None:
        steps.append(_faces("people", GALLERY))
    else:
        steps.append(_faces("identify", "--far", str(far), "--", GALLERY, file.name))
    steps += [f"# and when it is time: {_faces('forget', '--', GALLERY, person)}" for person in people]
    asked: list[tuple[str, Sequence[Any]]] = [
        ("faces_enroll", [person, list(map(Upload, names)), None]) for person, names in people.items()
    ]
    if file is not None:
        asked.append(("faces_identify", [file, far]))
    *before, (endpoint, data) = asked
    return Elsewhere(code, "\n".join(steps), endpoint, data, "", file, remark=SERVES_NONE, before=before)


def album_elsewhere(files: Sequence[Mapping[str, Any]] | None, method: str, far: float) -> Elsewhere | None:
    """The faces of an album, grouped; a zip is unpacked there first."""
    given = [file for file in map(upload, files or []) if file is not None]
    if not given:
        return None
    zips = {file.name: Path(file.name).stem for file in given if Path(file.name).suffix.lower() == ".zip"}
    names = [zips.get(file.name, file.name) for file in given]
    code = _ALBUM.format(
        imports="import zipfile\n" if zips else "",
        unpacked="".join(_UNPACK.format(archive=name, folder=folder) for name, folder in zips.items()),
        given=names,
        far=far,
        method=method,
    )
    steps = [shlex.join(["python3", "-m", "zipfile", "-e", name, folder]) for name, folder in zips.items()]
    steps.append(_faces("cluster", "--method", method, "--far", str(far), "--", *names))
    data = [given, method, far]
    return Elsewhere(code, "\n".join(steps), "faces_album", data, "", given[0], remark=SERVES_NONE)


def _faces(*words: str) -> str:
    return shlex.join(["triptych", "faces", *words])
