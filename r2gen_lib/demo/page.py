"""The demo's page: NiceGUI elements around the functions of ``demo``."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from nicegui import run, ui
from PIL import Image

from r2gen_lib.config import DEFAULT_CHECKPOINT
from r2gen_lib.demo import actions as demo
from r2gen_lib.errors import R2GenError
from r2gen_lib.findings.finding import FINDING_NAMES

TITLE = "R2GenGPT: a picture in, a report out"
_MODELS: dict[str, Any] = {}
_BUSY = asyncio.Lock()  # one report at a time


def serve(checkpoints: dict[str, str], port: int, browser: bool) -> None:
    """Serve the page at 127.0.0.1 until Ctrl-C."""
    ui.page("/", title=TITLE)(lambda: Page(checkpoints))
    print(f"the demo is at http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    ui.run(host="127.0.0.1", port=port, title=TITLE, show=browser, reload=False, show_welcome_message=False)


def load(name: str) -> Any:
    """The model of a checkpoint; the last one stays in memory."""
    from r2gen_lib import R2GenGPT

    if name not in _MODELS:
        _MODELS.clear()
        _MODELS[name] = R2GenGPT.from_trained(name)
    return _MODELS[name]


class Page:
    """One visitor's page: a picture, choices, and the report."""

    def __init__(self, checkpoints: dict[str, str]) -> None:
        self.grey: np.ndarray | None = None
        self.report = ""
        ui.label(TITLE).classes("text-h5")
        ui.label(demo.NOTICE).classes("text-bold text-negative")
        with ui.row().classes("w-full"):
            with ui.column().classes("w-full sm:w-80"):
                self._picture_choices()
            with ui.column().classes("w-full sm:w-80"):
                self.image = ui.image().classes("w-full").props('alt="The picture that the model is shown"')
                self.caption = ui.label("No picture yet.")
                ui.label("The report").classes("text-h6")
                self.text = ui.markdown()
                self.before = ui.markdown()
            with ui.column().classes("w-full sm:w-96"):
                self._report_choices(checkpoints)

    def _picture_choices(self) -> None:
        ui.label("A simulated chest").classes("text-h6")
        self.patient = ui.input("Patient (any name)", value="Ada").classes("w-full")
        self.findings = ui.select(list(FINDING_NAMES), multiple=True, value=[], label="Findings").classes("w-full")
        self.side = ui.select({"": "open", "left": "left", "right": "right"}, value="", label="Side").classes("w-full")
        ui.label("Severity")
        self.severity = ui.slider(min=0, max=1, step=0.05, value=1.0).props("label")
        ui.button("Draw and describe", on_click=self.draw)
        ui.separator()
        ui.label("Or a picture of yours: PNG, JPEG, DICOM, of no patient")
        ui.upload(on_upload=self.upload, auto_upload=True, max_file_size=50_000_000).classes("w-full")

    def _report_choices(self, checkpoints: dict[str, str]) -> None:
        ui.label("How it is written").classes("text-h6")
        first = DEFAULT_CHECKPOINT if DEFAULT_CHECKPOINT in checkpoints else next(iter(checkpoints), None)
        self.model = ui.select(checkpoints, value=first, label="Model").classes("w-full")
        self.way = ui.select(list(demo.WAYS), value="greedy", label="Decoding").classes("w-full")
        self.tokens = ui.number("Most tokens", value=60, min=5, max=100, precision=0).classes("w-full")
        self.temperature = ui.number("Temperature (drawn)", value=0.8, min=0.1, max=2, step=0.1).classes("w-full")
        self.seed = ui.number("Seed (drawn)", value=0, min=0, precision=0).classes("w-full")
        ui.button("Describe again", on_click=self.describe)
        self.explain = ui.select(list(demo.explained()), label="What speaks for").classes("w-full")
        ui.button("Show it over the picture", on_click=self.show_saliency)

    async def draw(self) -> None:
        """Draw the chest that is asked for and describe it."""
        names, severity = list(self.findings.value), self.severity.value
        grey = await self._try(demo.draw_chest, self.patient.value, names, severity, self.side.value)
        if grey is not None:
            words = ", ".join(names).lower() or "no finding"
            self._take(grey, f"Simulated: {self.patient.value}, {words}.")
            await self.describe()

    async def upload(self, event: Any) -> None:
        """Take an uploaded picture and describe it."""
        grey = await self._try(demo.read_upload, event.file.name, await event.file.read())
        if grey is not None:
            self._take(grey, f"{event.file.name}, {grey.shape[1]} x {grey.shape[0]} pixels")
            await self.describe()

    async def describe(self) -> None:
        """Write the report, piece by piece, and mark what changed since the last one."""
        if self.grey is None:
            ui.notify("Draw a chest or drop a picture first.")
            return
        choices = int(self.tokens.value), float(self.temperature.value), int(self.seed.value)
        async with _BUSY:
            self.text.content, self.before.content = "*reading the picture ...*", ""
            model = await self._try(load, self.model.value)
            if model is None:
                return
            pieces = demo.written(model, self.grey, **demo.decoding_of(self.way.value, *choices))
            now = ""
            while (text := await self._try(next, pieces, None)) is not None:
                self.text.content = now = text
        before, after = demo.changes(self.report, now)
        self.text.content = after
        self.before.content = f"**Before:** {before}" if before else ""
        self.report = now

    async def show_saliency(self) -> None:
        """Lay what speaks for the chosen finding over the picture."""
        if self.grey is None or not self.explain.value:
            ui.notify("Choose a finding, with a picture there.")
            return
        async with _BUSY:
            model = await self._try(load, self.model.value)
            picture = model and await self._try(demo.overlay, model, self.grey, self.explain.value)
        if picture is not None:
            self.image.set_source(Image.fromarray(picture))

    def _take(self, grey: np.ndarray, words: str) -> None:
        self.grey = grey
        self.image.set_source(Image.fromarray(grey))
        self.caption.text = words

    async def _try(self, function: Any, *arguments: Any) -> Any:
        """Call it in a thread; an error we know becomes a message and None."""
        try:
            return await run.io_bound(function, *arguments)
        except R2GenError as error:
            ui.notify(str(error), type="negative", multi_line=True, close_button="OK", timeout=0)
            return None
