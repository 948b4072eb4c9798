"""How fit a face is for being recognised: its size, its sharpness and where it looks."""

from __future__ import annotations

import numpy as np

from shared.types import AnyArray, Float32, Float64, UInt8
from vision.faces.align import ARCFACE

FULL_SIDE = 112.0
"""Pixels of a box's shorter side from which size costs nothing: the side of the square that networks read."""
HALF_SHARP = 0.05
"""Energy of fine detail (see :func:`detail`) at which a face counts as half sharp."""
_EYES_APART = 63.0
"""Millimetres between the pupils of an adult: N. A. Dodgson, "Variation and extrema of human interpupillary
distance", Proc. SPIE 5291 (2004)."""
_NOSE_AHEAD = 25.0
"""Millimetres, round, by which the tip of the nose stands before the eyes and the corners of the mouth."""


def _head() -> Float64:
    """Five points of a head in millimetres: x right, y down, z away from the viewer, their mean at the origin."""
    flat = np.array(ARCFACE)
    points = np.c_[flat * (_EYES_APART / np.linalg.norm(flat[1] - flat[0])), np.zeros(5)]
    points[2, 2] = -_NOSE_AHEAD
    centred: Float64 = points - points.mean(axis=0)
    return centred


_FROM_POINTS = np.linalg.pinv(_head())
"""From five points of a picture to the scaled axes of the picture in the head's own frame, shape (3, 5)."""


def head_pose(landmarks: AnyArray) -> Float32:
    """Where heads look, by fitting five points of a head under scaled parallel projection.

    That is the first step of D. DeMenthon and L. Davis, "Model-based object pose in 25 lines of code", IJCV 15 (1995).
    One average head stands for all, so the angles are good to some ten degrees, and less so beyond sixty.

    Args:
        landmarks: shape (n, 5, 2), pixels, as :class:`vision.types.Faces` has them.

    Returns:
        Shape (n, 3), float32, degrees: yaw in [-180, 180], positive where the face looks to the picture's right; pitch
        in [-90, 90], positive where it looks up; roll in [-180, 180], positive where the head leans clockwise.

    Example:
        >>> head_pose(np.array([ARCFACE])).round() + 0.0
        array([[0., 0., 0.]], dtype=float32)
    """
    points = np.asarray(landmarks, np.float64)
    axes = np.swapaxes(_FROM_POINTS @ (points - points.mean(axis=1, keepdims=True)), 1, 2)
    lengths = np.linalg.norm(axes, axis=2, keepdims=True)
    right, down = np.moveaxis(axes / np.where(lengths > 0, lengths, 1.0), 1, 0)
    away = np.cross(right, down)
    yaw = np.arctan2(-right[:, 2], away[:, 2])
    pitch = np.arcsin(np.clip(down[:, 2], -1, 1))
    roll = np.arctan2(down[:, 0], right[:, 0])
    angles: Float32 = np.degrees(np.stack([yaw, pitch, roll], axis=1)).astype(np.float32)
    return angles


def detail(crop: UInt8) -> float:
    """Energy of fine detail: the variance of the Laplacian over that of the brightness, 0 for a plain crop.

    J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000, measure focus by the
    variance of the Laplacian; dividing makes light and contrast count no more.

    Args:
        crop: shape (size, size, 3), uint8, RGB, an aligned face.

    Example:
        >>> detail(np.full((8, 8, 3), 90, np.uint8))
        0.0
    """
    grey = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    spread = float(inner.var())
    return float((around - 4 * inner).var()) / spread if spread > 1.0 else 0.0


def face_quality(xyxy: AnyArray, pose: AnyArray, details: AnyArray) -> tuple[Float32, Float32]:
    """Size, sharpness and pose as parts of one score.

    Args:
        xyxy: shape (n, 4), boxes in pixels of the picture.
        pose: shape (n, 3), as :func:`head_pose` gives it.
        details: shape (n,), as :func:`detail` gives it.

    Returns:
        The score of each face, shape (n,): the geometric mean of its parts. And the parts, shape (n, 3): size, which
        is the box's shorter side over :data:`FULL_SIDE`, at most 1; sharpness d / (d + :data:`HALF_SHARP`) of detail d;
        and frontality cos(yaw) cos(pitch), 0 for a face that looks away. All float32 in [0, 1].

    Example:
        >>> score, parts = face_quality([[0, 0, 56, 90]], [[60, 0, 0]], [HALF_SHARP])
        >>> parts.round(3).tolist(), score.round(3).tolist()
        ([[0.5, 0.5, 0.5]], [0.5])
    """
    boxes, angles = np.asarray(xyxy, np.float64), np.radians(np.asarray(pose, np.float64))
    d = np.asarray(details, np.float64)
    size = np.clip((boxes[:, 2:] - boxes[:, :2]).min(axis=1) / FULL_SIDE, 0, 1)
    frontal = np.clip(np.cos(angles[:, 0]), 0, 1) * np.cos(angles[:, 1])
    parts = np.clip(np.stack([size, d / (d + HALF_SHARP), frontal], axis=1), 0, 1)
    return np.cbrt(parts.prod(axis=1)).astype(np.float32), parts.astype(np.float32)
