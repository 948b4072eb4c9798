"""MobileSAM's checkpoint as two ONNX graphs, exported once: the image encoder, and the decoder of prompts.

The networks are those of two kept libraries: the encoder is timm's TinyViT, whose last stage here keeps its resolution
and is followed by SAM's neck, and the decoder of prompts is transformers' SAM. This file renames the checkpoint's
weights to theirs and joins the parts. (C. Zhang et al., "Faster Segment Anything: towards lightweight SAM for mobile
applications", 2023; A. Kirillov et al., "Segment anything", ICCV 2023.)
"""

from __future__ import annotations

import pickle
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.backends import open_backend
from shared.catalogue import ModelCard
from shared.errors import DataError
from shared.lazy import require
from shared.types import AnyArray
from shared.weights.exports import Checkpoint, Exported

LIBRARY = "mobile-sam"
SIZE = 1024
"""Side of the square that the encoder reads, in pixels."""
ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
TOLERANCE = 1e-3
"""How far an output of a graph may lie from the module's own, as a share of the module's largest value in it."""
_CELLS = SIZE // 16
_OPSET = 17
_ENCODER_NAMES = (
    (r"image_encoder\.neck\.(\d)\.", r"neck.\1."),
    (r"image_encoder\.patch_embed\.seq\.0\.c\.", "vit.patch_embed.conv1.conv."),
    (r"image_encoder\.patch_embed\.seq\.0\.bn\.", "vit.patch_embed.conv1.bn."),
    (r"image_encoder\.patch_embed\.seq\.2\.c\.", "vit.patch_embed.conv2.conv."),
    (r"image_encoder\.patch_embed\.seq\.2\.bn\.", "vit.patch_embed.conv2.bn."),
    (r"image_encoder\.layers\.0\.downsample\.", "vit.stages.1.downsample."),
    (r"image_encoder\.layers\.1\.downsample\.", "vit.stages.2.downsample."),
    (r"image_encoder\.layers\.2\.downsample\.", "vit.stages.3.downsample."),
    (r"image_encoder\.layers\.", "vit.stages."),
    (r"\.c\.weight$", ".conv.weight"),
)
_DECODER_NAMES = (
    (r"prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix", "prompts.shared_embedding.positional_embedding"),
    (r"prompt_encoder\.point_embeddings\.", "prompts.point_embed."),
    (r"prompt_encoder\.mask_downscaling\.0\.", "prompts.mask_embed.conv1."),
    (r"prompt_encoder\.mask_downscaling\.1\.", "prompts.mask_embed.layer_norm1."),
    (r"prompt_encoder\.mask_downscaling\.3\.", "prompts.mask_embed.conv2."),
    (r"prompt_encoder\.mask_downscaling\.4\.", "prompts.mask_embed.layer_norm2."),
    (r"prompt_encoder\.mask_downscaling\.6\.", "prompts.mask_embed.conv3."),
    (r"prompt_encoder\.", "prompts."),
    (r"mask_decoder\.output_upscaling\.0\.", "masks.upscale_conv1."),
    (r"mask_decoder\.output_upscaling\.1\.", "masks.upscale_layer_norm."),
    (r"mask_decoder\.output_upscaling\.3\.", "masks.upscale_conv2."),
    (r"mask_decoder\.(\w+)(\.\d)?\.layers\.0\.(weight|bias)$", r"masks.\1\2.proj_in.\3"),
    (r"mask_decoder\.(\w+)(\.\d)?\.layers\.1\.(weight|bias)$", r"masks.\1\2.layers.0.\3"),
    (r"mask_decoder\.(\w+)(\.\d)?\.layers\.2\.(weight|bias)$", r"masks.\1\2.proj_out.\3"),
    (r"mask_decoder\.transformer\.norm_final_attn\.", "masks.transformer.layer_norm_final_attn."),
    (r"mask_decoder\.transformer\.layers\.(\d)\.norm(\d)\.", r"masks.transformer.layers.\1.layer_norm\2."),
    (r"mask_decoder\.", "masks."),
)
_UNUSED = re.compile(r"image_encoder\.(norm_head|head)\.|num_batches_tracked$|attention_bias_idxs$")


def checkpoint(card: ModelCard, files: Mapping[str, Path]) -> Checkpoint:
    """The checkpoint of a catalogue row."""
    return Checkpoint(LIBRARY, card.name, dict(files), dict(card.options), card.licence, card.opt_in)


def export(given: Checkpoint, task: str) -> Exported:
    """Both graphs of a checkpoint, each held against its module on one input.

    Raises:
        DataError: the file is no such checkpoint, cannot be exported, or a graph answers differently from its module.
    """
    torch = require("torch", extra="torch")
    path = next(iter(given.files.values()))
    encoder, decoder = modules(path)
    rng = np.random.default_rng(0)
    picture = rng.standard_normal((1, 3, SIZE, SIZE)).astype(np.float32)
    with torch.inference_mode():
        embedding = encoder(torch.from_numpy(picture)).numpy()
    tokens = (rng.random((2, 3, 2)) * SIZE).astype(np.float32), np.array([[1, 2, 3], [1, 0, -1]], np.float32)
    names = ("embedding", "coordinates", "labels")
    axes = {"coordinates": {0: "prompts", 1: "tokens"}, "labels": {0: "prompts", 1: "tokens"}}
    card = ModelCard(
        given.name,
        task,
        "sam",
        "openvino",
        given.licence,
        f"{given.name}, exported: the thing at a point or in a box, {SIZE} px",
        options={"size": SIZE, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        opt_in=given.opt_in,
    )
    return Exported(
        card,
        {
            ENCODER: _graph(torch, encoder, {"pixels": picture}, ["embedding"], None),
            DECODER: _graph(torch, decoder, dict(zip(names, (embedding, *tokens))), ["masks", "expected_iou"], axes),
        },
    )


def modules(path: Path) -> tuple[Any, Any]:
    """The encoder and the decoder of a checkpoint, as PyTorch modules.

    The encoder takes normalised pixels, (1, 3, 1024, 1024), to the embedding, (1, 256, 64, 64). The decoder takes the
    embedding, coordinates (prompts, tokens, 2) in pixels of the encoder's square and labels (prompts, tokens): 1 on the
    thing, 0 beside it, 2 and 3 a box's top left and bottom right corner, -1 none; to mask logits (prompts, 4, 256, 256)
    and the overlaps (prompts, 4) with the thing that it expects of them.

    Raises:
        DataError: the file is no such checkpoint.
    """
    torch = require("torch", extra="torch")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise DataError(
            f"{path} must be a checkpoint of weights alone; nothing else of a pickle is read. {error}"
        ) from error
    encoder, decoder = _encoder(torch), _decoder(torch)
    _fill(encoder, state, _ENCODER_NAMES, "image_encoder.", path)
    _fill(decoder, state, _DECODER_NAMES, "", path)
    return encoder.eval(), decoder.eval()


def _encoder(torch: Any) -> Any:
    timm = require("timm", extra="torch")
    sam = require("transformers.models.sam.modeling_sam", extra="torch")

    class Encoder(torch.nn.Module):  # type: ignore[misc]  # torch is imported late
        def __init__(self) -> None:
            super().__init__()
            self.vit = timm.create_model("tiny_vit_5m_224", pretrained=False, num_classes=0)
            self.vit.head = torch.nn.Identity()
            self.vit.stages[3].downsample.conv2.conv.stride = (1, 1)  # MobileSAM keeps the third stage's resolution
            self.neck = torch.nn.Sequential(
                torch.nn.Conv2d(320, 256, 1, bias=False),
                sam.SamLayerNorm(256, data_format="channels_first"),
                torch.nn.Conv2d(256, 256, 3, padding=1, bias=False),
                sam.SamLayerNorm(256, data_format="channels_first"),
            )

        def forward(self, pixels: Any) -> Any:
            return self.neck(self.vit.stages(self.vit.patch_embed(pixels)))

    return Encoder()


def _decoder(torch: Any) -> Any:
    sam = require("transformers.models.sam.modeling_sam", extra="torch")
    configs = require("transformers.models.sam.configuration_sam", extra="torch")
    config = configs.SamConfig()
    config.mask_decoder_config.layer_norm_eps = 1e-5  # of SAM's own code
    config.mask_decoder_config._attn_implementation = "eager"

    class Decoder(torch.nn.Module):  # type: ignore[misc]  # torch is imported late
        def __init__(self) -> None:
            super().__init__()
            self.prompts = sam.SamPromptEncoder(config)
            self.masks = sam.SamMaskDecoder(config.mask_decoder_config)

        def forward(self, embedding: Any, coordinates: Any, labels: Any) -> tuple[Any, Any]:
            places = self.prompts.shared_embedding(((coordinates + 0.5) / SIZE)[None])
            kinds = torch.cat([kind.weight for kind in self.prompts.point_embed])
            told = places + kinds[labels.clamp(min=0).long()][None]
            sparse = torch.where((labels < 0)[None, ..., None], self.prompts.not_a_point_embed.weight, told)
            dense = self.prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
            cells = (torch.arange(_CELLS, dtype=torch.float32) + 0.5) / _CELLS
            grid = torch.stack(torch.meshgrid(cells, cells, indexing="xy"), dim=-1)
            where = self.prompts.shared_embedding(grid[None]).permute(0, 3, 1, 2)
            # The exported graph shares what both calls have in common.
            one, three = (
                self.masks(embedding, where, sparse, dense, multimask_output=several) for several in (False, True)
            )
            return torch.cat([one[0], three[0]], dim=2)[0], torch.cat([one[1], three[1]], dim=2)[0]

    return Decoder()


def _fill(module: Any, state: Mapping[str, Any], names: Sequence[tuple[str, str]], prefix: str, path: Path) -> None:
    mine = {name: value for name, value in state.items() if name.startswith("image_encoder.") == bool(prefix)}
    renamed = {_renamed(name, names): value for name, value in mine.items() if not _UNUSED.search(name)}
    own = {name: value for name, value in module.state_dict().items() if not _UNUSED.search(name)}
    missing, strange = sorted(own.keys() - renamed.keys()), sorted(renamed.keys() - own.keys())
    if missing or strange:
        raise DataError(
            f"{path} must be a checkpoint of MobileSAM. It lacks {len(missing)} weights ({missing[:2]}) and has "
            f"{len(strange)} others ({strange[:2]})"
        )
    try:
        module.load_state_dict(renamed, strict=False)
    except RuntimeError as error:
        raise DataError(f"{path} must be a checkpoint of MobileSAM. {error}") from error


def _renamed(name: str, names: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in names:
        name = re.sub(pattern, replacement, name)
    return name


def _graph(
    torch: Any,
    module: Any,
    feed: Mapping[str, AnyArray],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]] | None,
) -> bytes:
    """The graph of a module, which must answer as the module does."""
    tensors = tuple(torch.from_numpy(value) for value in feed.values())
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every shape that it takes as fixed; the check below judges
        path = Path(folder) / "graph.onnx"
        try:
            torch.onnx.export(
                module,
                tensors,
                str(path),
                input_names=list(feed),
                output_names=list(outputs),
                opset_version=_OPSET,
                dynamic_axes={name: dict(found) for name, found in axes.items()} if axes else None,
                dynamo=False,
            )
        except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
            raise DataError(f"MobileSAM cannot be exported to ONNX with this version of torch: {error}") from error
        wanted = module(*tensors)
        got = open_backend("openvino", path).run([feed])[0]
        for name, value in zip(outputs, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            apart, largest = float(np.abs(got[name] - value.numpy()).max()), float(np.abs(value.numpy()).max())
            if not apart <= TOLERANCE * largest:
                raise DataError(
                    f"an exported graph must answer as its module does: {name} differs by {apart:.3g} of {largest:.3g}"
                )
        return path.read_bytes()
