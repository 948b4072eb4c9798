"""The picture input of the vision pages: a file from the visitor's machine, read by this project's own loader; and
what is drawn for the browser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.data_classes import FileData, ListFiles
from gradio.processing_utils import save_pil_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from demos.examples import pictures
from demos.pages import refusal
from vision.images import View, load_view

LONGEST = 1280
"""Pixels of the longer side of what is drawn and sent to the browser; results keep the picture's own size."""


@dataclass(frozen=True)
class Chosen:
    """A file that a visitor chose.

    Attributes:
        path: where its bytes lie on this machine.
        name: what the visitor calls it.
    """

    path: Path
    name: str

    def plain(self, message: str) -> str:
        """The message with the visitor's name of the file in the place of ours."""
        return message.replace(str(self.path), self.name)


@dataclass(frozen=True)
class Screen:
    """A picture in the size that is drawn and sent to the browser, kept so that a control redraws without its file.

    Attributes:
        jpeg: its bytes: a tenth of its pixels, for a server keeps one for every visitor.
    """

    jpeg: bytes

    @classmethod
    def of(cls, path: Path, longest: int) -> Screen:
        """The upright picture, its longer side at most ``longest`` pixels.

        Raises:
            InputError: the picture cannot be used.
        """
        pixels, _ = load_view(path, within(longest))
        return cls.holding(Image.fromarray(pixels))

    @classmethod
    def holding(cls, picture: Image.Image) -> Screen:
        """A picture that was drawn already."""
        held = BytesIO()
        picture.save(held, "JPEG", quality=95)
        return cls(held.getvalue())

    def image(self) -> Image.Image:
        """The picture, RGB, the caller's own."""
        return Image.open(BytesIO(self.jpeg)).convert("RGB")


def within(longest: int) -> Callable[[int, int], View]:
    """The whole of a picture, its longer side at most ``longest`` pixels, as :func:`vision.images.load_view` asks it.

    Example:
        >>> within(100)(50, 200).size, within(100)(30, 40).size
        ((25, 100), (30, 40))
    """

    def plan(height: int, width: int) -> View:
        scale = min(1.0, longest / max(height, width))
        return View((0, 0, width, height), (max(1, round(height * scale)), max(1, round(width * scale))))

    return plan


def sent(picture: Image.Image) -> str:
    """Where a drawn picture lies for the browser: as PNG if it is see-through, else as JPEG, which is far quicker."""
    path: str = save_pil_to_cache(picture, get_upload_folder(), format="png" if picture.mode == "RGBA" else "jpeg")
    return path


def picture_input(
    label: str = "Picture",
    *,
    sources: Sequence[Literal["upload", "webcam", "clipboard"]] = ("upload", "webcam", "clipboard"),
    height: int = 320,
) -> gr.Image:
    """Where a visitor puts a picture. Its events take ``preprocess=False`` and read the value with :func:`chosen`.

    Gradio would decode the picture itself and answer a bad one in Pillow's words; and it would fetch any address that
    a client sends in the place of a file, of any size. Here only uploads are read.

    Args:
        label: what the picture is called.
        sources: where it may come from; a browser lends its camera on this machine and over HTTPS alone.
        height: of the input, in pixels.
    """
    picture = gr.Image(
        label=label,
        type="filepath",
        sources=list(sources),
        buttons=["fullscreen"],
        height=height,
        alt_text="The picture you chose",
    )
    uploads_only(picture, "a picture")
    return picture


def picture_output(label: str, alt_text: str) -> gr.Image:
    """Where an answer that is drawn on a picture is shown, to be taken away or seen large."""
    return gr.Image(label=label, interactive=False, buttons=["download", "fullscreen"], alt_text=alt_text)


def uploads_only(component: gr.components.Component, what: str) -> None:
    """Have a component refuse the addresses that Gradio would fetch, and files of other types in plain words.

    Where its events are preprocessed, a file is its path. Gradio would leave an empty file behind for each request, and
    a traceback in the log for each file of another type.

    Args:
        component: that takes a file, or several; its ``file_types`` are ends of names.
        what: the file is, for people: ``"a picture"``.
    """
    keep = component.async_move_resource_to_block_cache

    async def keep_uploads_only(path: str | Path | None) -> str | None:
        if str(path).lower().startswith(("http://", "https://")):
            raise refusal(f"{what} must be an uploaded file. Got an address instead: download it and upload the file")
        return await keep(path)

    component.async_move_resource_to_block_cache = keep_uploads_only  # type: ignore[assignment,method-assign]
    if isinstance(component, gr.File):
        several, types = component.file_count != "single", component.file_types

        def paths(payload: ListFiles | FileData | None) -> list[str] | str | None:
            files = payload.root if isinstance(payload, ListFiles) else [payload] if payload is not None else []
            for file in files:
                if types and Path(file.path).suffix.lower() not in types:
                    named = file.orig_name or Path(file.path).name
                    raise refusal(f"{what} must end in one of {', '.join(types)}. Got {named}")
            found = [file.path for file in files]
            return None if payload is None else found if several else found[0]

        component.preprocess = paths  # type: ignore[method-assign]


def example_pictures(wanted: tuple[tuple[str, str], ...], picture: gr.Image) -> None:
    """Offer those of the wanted pictures that are on this machine; see :func:`demos.examples.pictures`."""
    found = pictures(wanted)
    if found:
        gr.Examples(found, picture, cache_examples=False, api_visibility="private")


def chosen(value: dict[str, Any] | None, what: str = "a picture") -> Chosen | None:
    """The file that an event brought, if any; ``what`` it is, for people.

    Raises:
        gradio.Error: the value names no upload, or the upload was deleted since.
    """
    if value is None:
        return None
    path = Path(value.get("path") or "").resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):  # else a client could have us read any file here
        raise refusal(f"{what} must be an uploaded file. Got something else instead: upload the file first")
    if not path.is_file():
        raise refusal("this upload was deleted meanwhile, as all uploads are. Choose the file again")
    return Chosen(path, value.get("orig_name") or path.name)
