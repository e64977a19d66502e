"""A browser in which tests look at the pages: Debian's Chromium without a window, driven by Playwright, and axe for who cannot see them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, async_playwright, expect

DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}

# What is waited for comes in a moment; the five seconds that Playwright gives it are not enough where all cores are taken.
expect.set_options(timeout=20_000)

# Chromium keeps its own processes from root by a sandbox that root cannot have.
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--force-color-profile=srgb")
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# What axe calls by these would keep somebody from working here.
_GRAVE = frozenset({"serious", "critical"})


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A Chromium of its own; it takes less than a second."""
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    assert program is not None, "there is no Chromium: run scripts/setup --tests"
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield opened
        finally:
            await opened.close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """For one test."""
    async with chromium() as opened:
        yield opened


@dataclass
class Window:
    """Somebody's window. `faults`: what the browser complained of, such as a script that the page's policy forbids."""

    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)

    def _complained(self, message: ConsoleMessage) -> None:
        # an answer of 4xx is the page's to show, and no fault
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"{message.type}: {message.text}")

    async def seen_by_all(self) -> list[str]:
        """What axe has against the page as it is now, where it is serious: one line each."""
        found = await Axe().run(self.page, options={"resultTypes": ["violations"]})
        return [
            f"{violation['id']}: {node['html'][:200]}"
            for violation in found.response["violations"]
            if violation["impact"] in _GRAVE
            for node in violation["nodes"]
        ]

    async def cramped(self) -> bool:
        """Whether one has to scroll sideways."""
        return bool(
            await self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        )

    async def picture(self, file: Path) -> None:
        """What is seen now, whole."""
        await self.page.screenshot(path=file, full_page=True, animations="disabled", caret="hide")


@asynccontextmanager
async def window(
    browser: Browser,
    *,
    language: str = "en",
    size: ViewportSize = DESK,
    dark: bool = False,
    motion: bool = False,
    scripts: bool = True,
) -> AsyncIterator[Window]:
    """Of a person who has not been here before. Its page must not complain of anything, and asks nobody else."""
    context = await browser.new_context(
        locale=language, viewport=size, color_scheme="dark" if dark else "light",
        reduced_motion="no-preference" if motion else "reduce", java_script_enabled=scripts,
    )  # fmt: skip
    try:
        made = Window(context, await context.new_page())
        made.page.set_default_timeout(15_000)
        made.page.on("console", made._complained)
        made.page.on("pageerror", lambda error: made.faults.append(f"error: {error}"))
        yield made
    finally:
        await context.close()
    assert made.faults == []
