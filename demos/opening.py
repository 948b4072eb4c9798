"""Models that are opened once for all visitors, and let go again when they take too much memory together."""

from __future__ import annotations

import gc
import mmap
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from shared.catalogue import ModelCard, ModelFile
from shared.errors import TriptychError
from shared.serving.tidying import trimmer
from shared.settings import offline
from shared.weights import locate
from shared.weights.words import human

T = TypeVar("T")

MOST_MEMORY = 2048
"""MiB that opened models may take, unless a page is told otherwise."""
_STATM = Path("/proc/self/statm")


def resident() -> int | None:
    """Bytes of this process that are in memory (proc(5)); ``None`` where the system does not tell.

    Example:
        >>> taken = resident()
        >>> taken is None or taken > 1_000_000
        True
    """
    try:
        return int(_STATM.read_text("ascii").split()[1]) * mmap.PAGESIZE
    except OSError:
        return None


class Room:
    """The memory that opened models share: those asked longest ago go when the process has grown too much.

    Args:
        most: bytes by which the process may grow from now on before models are let go.
        taken: tells the bytes that the process takes, or ``None`` where nobody knows; then nothing is let go.
    """

    def __init__(self, most: int = MOST_MEMORY << 20, *, taken: Callable[[], int | None] = resident) -> None:
        self.most, self._taken = most, taken
        self._begun = taken() or 0
        self._order: OrderedDict[int, Model[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def used(self, model: Model[Any]) -> None:
        """A model was asked for: it is now the last to go."""
        with self._lock:
            self._order[id(model)] = model
            self._order.move_to_end(id(model))

    def drop(self, model: Model[Any]) -> None:
        """A model is no longer here; of one that never was nothing is known anyway."""
        with self._lock:
            self._order.pop(id(model), None)

    def tidy(self, kept: Model[Any] | None = None) -> None:
        """Let go of models until the process fits, but never of ``kept``."""
        trim = trimmer() or bool
        if self._full():
            trim()  # what is free already may be enough
        while self._full() and (oldest := self._oldest(kept)) is not None:
            oldest.forget()
            gc.collect()  # a runtime's handle lies in a cycle with what wraps it
            trim()

    def _full(self) -> bool:
        taken = self._taken()
        return taken is not None and taken - self._begun > self.most

    def _oldest(self, kept: Model[Any] | None) -> Model[Any] | None:
        with self._lock:
            return next((model for model in self._order.values() if model is not kept), None)


@dataclass(eq=False)
class Model(Generic[T]):
    """One model of a page. Whoever asks first opens it; the others wait for that same one.

    Attributes:
        job: what it is for, for people.
        card: what is known of it before it is opened.
        open: opens it, fetching files that are not here.
        built: how it comes to be where it has no files to fetch, for people; else empty.
        room: the memory that it shares with others; ``None`` keeps it open for good.

    Example:
        >>> from shared.testing import fake_card
        >>> model = Model("Greet", fake_card(name="hello"), lambda: "hello")
        >>> model.opened, model.get(print), model.opened
        Opening hello
        (False, 'hello', True)
    """

    job: str
    card: ModelCard
    open: Callable[[], T]
    built: str = ""
    room: Room | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _value: list[T] = field(default_factory=list, repr=False)
    _warming: list[bool] = field(default_factory=list, repr=False)

    @property
    def opened(self) -> bool:
        """Whether it is in memory."""
        return bool(self._value)

    def missing(self) -> list[ModelFile]:
        """The files that its first use will fetch."""
        found = locate(self.card)
        return [file for file in self.card.files if found[file.name] is None]

    def get(self, say: Callable[[str], object]) -> T:
        """The opened model; others may be let go for it.

        Args:
            say: told in words what the caller is about to wait for; not called when it waits for nothing.

        Raises:
            WeightsError: a file cannot be had. The next call tries again.
        """
        if not self.opened:
            say(self._waiting())
        with self._lock:
            new = not self._value
            if new:
                self._value.append(self.open())
            value = self._value[0]
        if self.room is not None:
            self.room.used(self)
            if new:
                self.room.tidy(self)
        return value

    def forget(self) -> None:
        """Let go of it; whoever asks next opens it anew, and who has it keeps it."""
        with self._lock:
            self._value.clear()
        if self.room is not None:
            self.room.drop(self)

    def warm(self) -> None:
        """Begin to open it beside everything else, unless a file would be fetched; who asks meanwhile waits for it."""
        if self.opened or self._warming or self.missing():
            return
        self._warming.append(True)
        # No daemon: a runtime that compiles a graph while the interpreter goes away would take it down.
        threading.Thread(target=self._opened_quietly, name=f"warm {self.card.name}").start()

    def _opened_quietly(self) -> None:
        with suppress(TriptychError):  # whoever asks is told
            self.get(lambda _: None)

    def _waiting(self) -> str:
        missing = [] if offline() else self.missing()
        if missing:
            return f"Fetching {self.card.name} ({human(sum(file.size or 0 for file in missing))}), once"
        size = f" ({human(self.card.size)})" if self.card.files else ""
        return f"{'Building' if self.built else 'Opening'} {self.card.name}{size}"
