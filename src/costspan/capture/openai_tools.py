"""Fees beside the tokens of an OpenAI response: searches, containers, and tools that are models of their own.

- Web searches: `tool_usage` counts the billable ones and is believed where it is sent. Elsewhere each ``web_search_call``
  that searched counts, and those that say not what they did (as all did before actions were told apart); opened pages
  and searches within them are free.
- File searches: each call.
- Containers: each one that a code interpreter or a hosted shell ran in. Whether an earlier response had started it and
  paid for it, an answer does not say.
- Images: tokens of the image model. Which that was, the response says in its tools; where it does not, or where an image
  comes without its tokens, the reading is flagged.
- SVG: tokens of the model that is named beside them.
"""

from __future__ import annotations

from collections.abc import Mapping

from costspan.capture import openai
from costspan.capture.consumption import Consumption
from costspan.capture.endpoint import Shape
from costspan.capture.fields import Fields, number, part, strangers
from costspan.text import clean
from costspan.usage import Portion, Unit

__all__ = ["ToolTally", "of_images", "of_response"]

#: Containers that are told apart in one answer.
_MAX_CONTAINERS = 256
_TOOLS = frozenset({"web_search", "image_gen"})


class ToolTally:
    """Output items, counted by what they cost. Grows by an item at a time, as a stream delivers them."""

    __slots__ = ("_containers", "file_searches", "images", "svgs", "web_searches")

    def __init__(self) -> None:
        self.web_searches = 0
        self.file_searches = 0
        self.images = 0
        self.svgs: list[Mapping[str, object]] = []
        self._containers: set[str] = set()

    @property
    def containers(self) -> int:
        """Different containers seen."""
        return len(self._containers)

    def add(self, item: object) -> None:
        """Count an output item; anything else is ignored."""
        if not isinstance(item, Mapping) or item.get("status") == "failed":
            return
        kind = item.get("type")
        if kind == "web_search_call":
            self.web_searches += _searched(item)
        elif kind == "file_search_call":
            self.file_searches += 1
        elif kind == "code_interpreter_call":
            self._add_container(item.get("container_id"))
        elif kind == "shell_call":
            environment = item.get("environment")
            if isinstance(environment, Mapping) and environment.get("type") == "container_reference":
                self._add_container(environment.get("container_id"))
        elif kind == "image_generation_call":
            self._add_image(item)

    def _add_container(self, container: object) -> None:
        if len(self._containers) < _MAX_CONTAINERS:
            self._containers.add(clean(container if type(container) is str else ""))

    def _add_image(self, item: Mapping[str, object]) -> None:
        self.images += 1
        svg = item.get("svg_usage")
        if isinstance(svg, Mapping) and len(self.svgs) < _MAX_CONTAINERS:
            self.svgs.append(svg)


def of_response(body: Fields, tally: ToolTally | None = None) -> tuple[dict[Unit, int], Consumption]:
    """Return fees of the response's own model, and what other models consumed for it.

    ``tally`` has the output items where they are no longer in ``body``.

    Raises:
        InvalidUsage: for numbers that cannot be.
    """
    if tally is None:
        tally = ToolTally()
        output = body.get("output")
        for item in output if type(output) is list else ():
            tally.add(item)
    told = part(body, "tool_usage")
    searches = tally.web_searches
    web = part(told, "web_search")
    if web.get("num_requests") is not None:
        searches = number(web, "num_requests", "tool_usage.web_search.")
    fees = {
        Unit.WEB_SEARCH: searches,
        Unit.FILE_SEARCH: tally.file_searches,
        Unit.CODE_SESSION: tally.containers,
    }
    others, unknown = _images(body, part(told, "image_gen"), tally)
    svgs = [_svg(svg) for svg in tally.svgs]
    unknown += strangers(told, _TOOLS, "tool_usage.")
    unknown += strangers(web, frozenset({"num_requests"}), "tool_usage.web_search.")
    unknown += tuple(name for svg in svgs for name in svg.unknown)
    return fees, Consumption(others + tuple(portion for svg in svgs for portion in svg.portions), unknown)


def of_images(body: Fields) -> Consumption:
    """Return what the author of an SVG consumed beside the image model of an images answer."""
    svg = part(body, "svg_usage")
    return _svg(svg) if svg else Consumption(())


def _searched(item: Mapping[str, object]) -> bool:
    action = item.get("action")
    return action is None or (isinstance(action, Mapping) and action.get("type") in ("search", None))


def _images(body: Fields, usage: Fields, tally: ToolTally) -> tuple[tuple[Portion, ...], tuple[str, ...]]:
    if not strangers(usage, frozenset()):
        return (), ("output.image_generation_call",) if tally.images > len(tally.svgs) else ()
    model = _image_model(body)
    if not model:
        return (), strangers(usage, frozenset(), "tool_usage.image_gen.")
    consumed = openai.consumption(usage, model=model, shape=Shape.IMAGES)
    return consumed.portions, tuple(f"tool_usage.image_gen.{name}" for name in consumed.unknown)


def _image_model(body: Fields) -> str:
    """The model of the image tool, where the response's tools name exactly one."""
    tools = body.get("tools")
    named = {
        clean(tool["model"])
        for tool in (tools if type(tools) is list else ())
        if isinstance(tool, Mapping) and tool.get("type") == "image_generation" and type(tool.get("model")) is str
    }
    return named.pop() if len(named) == 1 else ""


def _svg(usage: Mapping[str, object]) -> Consumption:
    model = usage.get("model")
    if type(model) is not str or not model:
        return Consumption((), strangers(usage, frozenset(), "svg_usage."))
    consumed = openai.consumption(usage, model=clean(model))
    return Consumption(consumed.portions, tuple(f"svg_usage.{name}" for name in consumed.unknown))
