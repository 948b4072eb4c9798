"""The picture input of the vision pages: a file from the visitor's machine, read by this project's own loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from demos.examples import pictures
from demos.pages import refusal


@dataclass(frozen=True)
class Chosen:
    """A picture that a visitor chose.

    Attributes:
        path: where its bytes lie on this machine.
        name: what the visitor calls it.
    """

    path: Path
    name: str

    def plain(self, message: str) -> str:
        """The message with the visitor's name of the file in the place of ours."""
        return message.replace(str(self.path), self.name)


def picture_input(label: str = "Picture") -> gr.Image:
    """Where a visitor puts a picture. Its events take ``preprocess=False`` and read the value with :func:`chosen`.

    Gradio would decode the picture itself and answer a bad one in Pillow's words; and it would fetch any address that
    a client sends in the place of a file, of any size. Here only uploads are read.
    """
    picture = gr.Image(
        label=label,
        type="filepath",
        sources=["upload", "clipboard"],
        buttons=["fullscreen"],
        height=320,
        alt_text="The picture you chose",
    )
    keep = picture.async_move_resource_to_block_cache

    async def keep_uploads_only(path: str | Path | None) -> str | None:
        if str(path).lower().startswith(("http://", "https://")):
            raise refusal("a picture must be an uploaded file. Got an address instead: download it and upload the file")
        return await keep(path)

    picture.async_move_resource_to_block_cache = keep_uploads_only  # type: ignore[assignment,method-assign]
    return picture


def example_pictures(wanted: tuple[tuple[str, str], ...], picture: gr.Image) -> None:
    """Offer those of the wanted pictures that are on this machine; see :func:`demos.examples.pictures`."""
    found = pictures(wanted)
    if found:
        gr.Examples(found, picture, cache_examples=False, api_visibility="private")


def chosen(value: dict[str, Any] | None) -> Chosen | None:
    """The picture that an event brought, if any.

    Raises:
        gradio.Error: the value names no upload, or the upload was deleted since.
    """
    if value is None:
        return None
    path = Path(value.get("path") or "").resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):  # else a client could have us read any file here
        raise refusal("a picture must be an uploaded file. Got something else instead: upload the file first")
    if not path.is_file():
        raise refusal("this upload was deleted meanwhile, as all uploads are. Choose the picture again")
    return Chosen(path, value.get("orig_name") or path.name)
