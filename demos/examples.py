"""Example pictures that other installed packages carry already, so that none is copied into this one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

CLASSIFY = (
    ("gradio", "media_assets/images/lion.jpg"),
    ("gradio", "media_assets/images/cheetah1.jpg"),
    ("gradio", "media_assets/images/tower.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
)
"""Pictures of one thing: a lion, a cheetah, a tower, a palace."""

DETECT = (
    ("ultralytics", "assets/bus.jpg"),
    ("ultralytics", "assets/zidane.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    ("gradio", "test_data/cheetah2.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
)
"""People, a bus, an animal, boats. The first two come with the ``ultralytics`` extra, the third with matplotlib."""

FACES = (
    ("ultralytics", "assets/zidane.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    ("skimage", "data/astronaut.png"),
    ("gradio", "media_assets/images/groot.jpeg"),
)
"""Faces seen from near. With the light installation comes the last alone, a figure of a film with a face of wood; the
others come with the ``ultralytics`` extra, matplotlib and scikit-image."""

SEGMENT = (
    ("ultralytics", "assets/bus.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    ("gradio", "test_data/cheetah2.jpg"),
    ("gradio", "media_assets/images/lion.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
"""A bus and people, a portrait, animals, a flower."""


def pictures(wanted: tuple[tuple[str, str], ...]) -> list[str]:
    """The paths of those that are on this machine; no package is imported to look.

    Args:
        wanted: pairs of an importable package's name and a path inside it.

    Example:
        >>> pictures((("no_such_package", "cat.jpg"), ("demos", "no_such_file.jpg")))
        []
    """
    return [str(path) for package, inside in wanted if (path := _path(package, inside)) is not None]


def _path(package: str, inside: str) -> Path | None:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / inside
    return path if path.is_file() else None
