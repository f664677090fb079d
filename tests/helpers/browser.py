"""The browser that reports are looked at with: the system's Chromium, else the one that Playwright installs.

python tests/helpers/browser.py    makes sure that there is one, if it can; `make test` runs it first
"""

import os
import shutil
import subprocess
import sys

from playwright.sync_api import Browser, Error, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def open_browser(playwright: Playwright) -> Browser | None:
    """A headless Chromium; None where this machine has none."""
    installed = next(filter(None, map(shutil.which, NAMES)), None)
    try:
        return playwright.chromium.launch(executable_path=installed)
    except Error:
        return None


def main() -> None:
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        if browser is not None:
            browser.close()
            return
    patience = os.environ | {"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "15000"}
    install = [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]
    if subprocess.run(install, env=patience, capture_output=True, check=False).returncode:
        print("no browser could be installed: the tests that need one are skipped; install chromium to run them")


if __name__ == "__main__":
    main()
