"""A page as a parser sees it: elements, headings and words."""

import re
from html import unescape
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "wbr", "line", "path", "circle"}


class Page(HTMLParser):
    """Collects elements, attributes and headings, and checks that elements close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements, self.open, self.headings, self.text = [], [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag != "wbr":
            self.text.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings.append((self.open[-1], data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self):
        return " ".join("".join(self.text).split())

    def check_asks_for_nothing(self) -> None:
        """The page is one file: every picture is inside it, every link leads into it, and no script runs."""
        for tag, attributes in self.elements:
            for name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
                value = attributes.get(name)
                assert value is None or value.startswith(("data:image/jpeg;base64,", "#")), (tag, name, value)
        assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in self.elements)
        policy = next(meta for meta in self.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
        assert policy["content"].startswith("default-src 'none'")


def part(html: str, tag: str, id: str) -> str:
    """The inside of the element of that tag and id; such elements do not nest."""
    return html.split(f'<{tag} id="{id}">')[1].split(f"</{tag}>")[0]


def texts(html: str, style: str) -> list[str]:
    """The words of every `<dd>` of a style class, in order."""
    return [Page(found).words for found in re.findall(rf'<dd class="{style}">(.*?)</dd>', html, re.DOTALL)]


def words(fragment: str) -> str:
    """The words of a piece of a page whose elements need not all close."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", fragment.replace("<wbr>", ""))).split())
