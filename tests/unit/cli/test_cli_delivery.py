"""What other systems get from the command line: the queue as a file, deliveries, and what was given up."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime

import pytest

from lifecycle_ml.actions.action import ActionEvent
from lifecycle_ml.cli.deliver import deliver
from lifecycle_ml.cli.queue import write_queue
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.outbox import Outbox
from lifecycle_ml.store.store import Store
from open_action import open_action

NOW = datetime(2026, 6, 30, 2)
ACTION = open_action(NOW, account_id="A-1", title="=Ask who takes over")


@pytest.fixture
def settings(tmp_path):
    """Settings over a store with two published actions."""
    read = Settings.read(tmp_path, {})
    store = Store.open(read.store_url)
    publication = store.begin(NOW.date(), NOW, NOW)
    other = replace(ACTION, action_id="act_2", owner="Kim")
    store.publish(publication, [ActionEvent("opened", NOW, each) for each in (ACTION, other)])
    store.close()
    return read


def test_the_queue_is_written_as_csv(settings, capsys):
    """One owner's, safe in a spreadsheet, and nothing but the file on the output."""
    write_queue(settings, "Dana", "csv")
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))

    assert (row["action_id"], row["title"], row["hours"]) == ("act_1", "'=Ask who takes over", "1.0")


def test_the_queue_is_written_as_json(settings, capsys):
    """Everybody's, as it is."""
    write_queue(settings, None, "json")
    rows = json.loads(capsys.readouterr().out)

    assert [row["action_id"] for row in rows] == ["act_1", "act_2"]
    assert rows[0]["title"] == "=Ask who takes over"


def test_another_format_is_refused_with_the_nearest(settings):
    """A misspelling is named."""
    with pytest.raises(ConfigError, match=r"--format 'jsn' is not one. Did you mean 'json'\?"):
        write_queue(settings, None, "jsn")


def test_delivering_without_a_webhook_says_what_to_set(settings):
    """Nothing would ever be sent."""
    with pytest.raises(ConfigError, match="LIFECYCLE_WEBHOOKS names the addresses"):
        deliver(settings, dead=False, retry=None, as_json=False)


def test_what_was_given_up_is_listed_and_made_due_again(settings, capsys):
    """With its id, its error and how to send it again."""
    outbox = Outbox.open(settings.store_url)
    outbox.take_over(["crm"], NOW)
    (first,) = outbox.claim("crm", NOW, 1)
    outbox.failed(first, "answered 410", NOW, None)
    deliver(settings, dead=True, retry=None, as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["endpoint"], row["last_error"]) == (first.message_id, "crm", "answered 410")

    deliver(settings, dead=False, retry=first.message_id, as_json=False)
    assert "is due again for one address" in capsys.readouterr().out
    deliver(settings, dead=True, retry=None, as_json=False)
    assert "Nothing was given up." in capsys.readouterr().out
    outbox.close()
