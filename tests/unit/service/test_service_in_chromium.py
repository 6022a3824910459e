"""A review of five accounts in a real browser, with scripts switched off: clicks, keys and plain forms."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
import uvicorn
from published_company import KEYS, NOW
from reviewed_company import AGENDA, publish

import chromium
from absent import missing
from lifecycle_ml.service.app import create_app

pytestmark = pytest.mark.slow


@pytest.fixture
def browser(tmp_path):
    """A Chromium that runs no scripts."""
    program = chromium.program()
    if program is None:
        missing("Chromium", f"install {chromium.NEEDS}")
    with chromium.running(program, tmp_path / "profile") as opened:
        opened.call("Emulation.setScriptExecutionDisabled", value=True)
        yield opened


@pytest.fixture
def address(settings, workspace, store):
    """The service on a port of its own, over seven accounts, five of which call for a decision."""
    publish(store)
    app = create_app(settings, workspace, clock=lambda: NOW + timedelta(hours=6))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service ended before it listened"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_a_review_of_five_accounts_ends_in_the_ledger(browser, address, store):
    """Sign in, begin, decide five times, read the list; the store holds all five, and who decided."""
    browser.go(f"{address}/review")
    browser.write("input[name=key]", KEYS["act"])
    browser.click("main button[type=submit]", loads=True)
    assert "5 accounts call for a decision" in browser.text()
    browser.click(".begin a", loads=True)

    for number, account in enumerate(AGENDA):
        said = browser.text()
        assert f"account {number + 1} of 5, {number} decided" in said
        assert account.replace("-", " ") in said
        browser.write("input[name=decision]", f"keep {account} & grow it")
        browser.write("input[name=next_step]", "call the <sponsor>")
        if number == 0:
            browser.write("input[name=decided_by]", "Ada Byron")
        # from the second account on it is there already
        assert number == 0 or browser.attribute("input[name=decided_by]", "value") == "Ada Byron"
        browser.click(".decide button[type=submit]", loads=True)

    said = browser.text()
    assert "5 decisions since 30 June 2026, 08:00 UTC." in said
    assert said.count("Call the <sponsor>") == 5
    assert not browser.has("#left")

    kept = store.decisions(NOW)
    assert [each.account_id for each in kept] == list(AGENDA)
    for each in kept:
        assert each.details == {
            "decision": f"keep {each.account_id} & grow it",
            "decided_by": "Ada Byron",
            "next_step": "call the <sponsor>",
            "due": "2026-07-14",
        }


def test_a_browser_asks_for_what_is_missing_before_it_sends(browser, address, store):
    """A form without a decision stays where it is, and one left for later leads to the next account."""
    browser.go(f"{address}/review")
    browser.write("input[name=key]", KEYS["act"])
    browser.click("main button[type=submit]", loads=True)
    browser.click(".begin a", loads=True)
    browser.click(".decide button[type=submit]")
    assert "account 1 of 5, 0 decided" in browser.text()

    browser.click(".decide p a", loads=True)
    assert "account 2 of 5, 0 decided" in browser.text()
    browser.click(".decide p a:last-child", loads=True)
    assert "0 decisions" in browser.text()
    assert "5 accounts left" in browser.text()
    assert store.decisions(NOW) == []
