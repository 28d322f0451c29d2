"""Chromium without a window."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Return the browser's path; skip without it."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (path := shutil.which(name)) is not None and shutil.which("chromedriver") is not None:
            return path
    pytest.skip("no Chromium with ChromeDriver (on Debian: apt-get install chromium chromium-driver)")


def start_chromium(profile: Path, window: str, downloads: Path | None = None) -> Chrome:
    """Start a browser that keeps what the console says.

    Args:
        profile: an empty directory of its own.
        window: ``WIDTH,HEIGHT``.
        downloads: where files go that a page offers.
    """
    options = ChromeOptions()
    options.binary_location = chromium()
    for flag in (*FLAGS, f"--window-size={window}", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    if downloads is not None:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
