"""A prompt's template: Jinja in a sandbox, one block a message, and nothing that could run code.

A block's name is the role of its message: ``system``, ``user`` or ``assistant``, with a number behind it where a role
comes several times (``user_2``). The sandbox is Jinja's immutable one, without its global functions, without a
loader, and without attributes and methods of anything but loops and tables, so a template reaches the variables that it
is given and nothing else. Nor does it multiply or pad texts, which would fill the memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from shared.errors import DataError, UsageError
from shared.lazy import require

ROLES = ("system", "user", "assistant")
MOST_CHARACTERS = 1_000_000
"""Of all messages together."""
_PADDING = ("center", "format", "indent", "wordwrap", "attr")
_BLOCK = re.compile(rf"({'|'.join(ROLES)})(_\d+)?")


@dataclass(frozen=True)
class Compiled:
    """A template that was checked.

    Attributes:
        blocks: names of its blocks, in order.
        uses: names of the variables that it reads.
        template: Jinja's.
    """

    blocks: tuple[str, ...]
    uses: frozenset[str]
    template: Any

    def messages(self, values: Mapping[str, Any]) -> list[dict[str, str]]:
        """The messages, ``role`` and ``content`` each.

        Raises:
            UsageError: the template fails on these values, does what no prompt may, or writes too much.
        """
        jinja2 = require("jinja2", extra="all")
        context = self.template.new_context(dict(values))
        found, length = [], 0
        for name in self.blocks:
            pieces = []
            try:
                for piece in self.template.blocks[name](context):
                    pieces.append(piece)
                    length += len(piece)
                    if length > MOST_CHARACTERS:
                        raise UsageError(
                            f"a prompt must have at most {MOST_CHARACTERS:,} characters. Give it less text"
                        )
            except jinja2.exceptions.SecurityError as error:
                raise UsageError(f"the block {name} of a prompt must only write its variables. {error}") from error
            except (jinja2.exceptions.TemplateError, TypeError, ValueError, ArithmeticError) as error:
                raise UsageError(f"the block {name} of a prompt fails on these variables. {error}") from error
            found.append({"role": name.partition("_")[0], "content": "".join(pieces)})
        return found


@lru_cache(maxsize=64)
def compile_template(source: str, where: str) -> Compiled:
    """Check a template and make it ready.

    Args:
        source: the template.
        where: what it is, for messages.

    Raises:
        DataError: it is no Jinja, has text outside its blocks, a block of no role, or takes another file in.

    Example:
        >>> made = compile_template("{% block user %}Hello {{ name }}{% endblock %}", "greeting")
        >>> made.messages({"name": "Ann"}), sorted(made.uses)
        ([{'role': 'user', 'content': 'Hello Ann'}], ['name'])
    """
    jinja2 = require("jinja2", extra="all")
    meta = require("jinja2.meta", extra="all")
    environment = _sandbox()(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.globals.clear()  # neither range nor any other: loops are over what is given, so they end
    for name in _PADDING:
        environment.filters.pop(name)
    nodes = jinja2.nodes
    try:
        tree = environment.parse(source)
        template = environment.from_string(source)
    except jinja2.exceptions.TemplateError as error:
        line = getattr(error, "lineno", None)
        raise DataError(f"{where}{f', line {line}' if line else ''} must be a Jinja template. {error}") from error
    for kind in (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends):
        if tree.find(kind) is not None:
            raise DataError(f"{where} must stand alone. It takes another template in ({kind.__name__.lower()})")
    blocks = []
    for node in tree.body:
        if isinstance(node, nodes.Block):
            blocks.append(node.name)
        elif not (isinstance(node, nodes.Output) and not _written(nodes, node).strip()):
            raise DataError(
                f"{where}, line {node.lineno}: everything that a prompt says must stand in a block, "
                "{% block system %} or {% block user %}. Got text or a statement outside of one"
            )
    named = [node.name for node in tree.find_all(nodes.Block)]
    wrong = [name for name in named if not _BLOCK.fullmatch(name)]
    if wrong or not blocks or len(named) > len(blocks):
        raise DataError(
            f"{where} must have blocks that are called {', '.join(ROLES)} (or user_2), none within another. "
            f"Got {wrong or named or 'none'}"
        )
    return Compiled(tuple(blocks), frozenset(meta.find_undeclared_variables(tree)), template)


@cache
def _sandbox() -> type[Any]:
    sandbox, runtime = (require(f"jinja2.{name}", extra="all") for name in ("sandbox", "runtime"))

    class Sandbox(sandbox.ImmutableSandboxedEnvironment):  # type: ignore[name-defined,misc]  # jinja2 is imported late
        intercepted_binops = frozenset({"*", "**", "%"})

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            """Whether a template may read it: what loops know of themselves, ``loop.index`` say."""
            return isinstance(obj, runtime.LoopContext) and super().is_safe_attribute(obj, attr, value)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            """A product or remainder of numbers."""
            if operator == "**" or not all(isinstance(one, int | float) for one in (left, right)):
                raise sandbox.SecurityError(f"{operator} is for numbers, and ** for nothing")
            return super().call_binop(context, operator, left, right)

    return Sandbox


def _written(nodes: Any, output: Any) -> str:
    """What an output node says; anything but plain text counts as said."""
    return "".join(part.data if isinstance(part, nodes.TemplateData) else "x" for part in output.nodes)
