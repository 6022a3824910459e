"""What a browser would do: read pages strictly, find forms, sign in and press buttons."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from published_company import KEYS

VOID = {"meta", "link", "input", "br", "img"}


class Strict(HTMLParser):
    """Collects tags and text, and fails on tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.text += " " if tag in {"td", "th", "dd", "small", "b"} else ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(response, status=200):
    """The page's text with its blanks folded."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return re.sub(r"\s+", " ", Strict(response.text).text)


def token_of(response):
    """The token of the first form."""
    return re.search(r'name="token" value="([0-9a-f]{64})"', response.text).group(1)


def signed_in(client, role="read", key=None):
    """Sign a client in with the key of a role, or another one."""
    form = client.get("/sign-in")
    client.post("/sign-in", data={"key": key or KEYS[role], "token": token_of(form), "next": "/"})
    return client


def form_of(page, path):
    """Return the hidden fields of the form that posts to a path."""
    form = page.text.partition(f'<form method="post" action="{path}">')[2].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', form))


def listed(response):
    """Return the account ids of a list page, in order, as their addresses have them."""
    body = response.text.partition("<tbody>")[2].partition("</tbody>")[0]
    return re.findall(r'<a href="/accounts/([^"]+)">', body)
