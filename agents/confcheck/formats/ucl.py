"""UCL, Rspamd's format, as far as a checker needs it: sections, values, comments, macros, and what was left open.

Rspamd's own reader says more (`rspamadm configtest`); this one tells only of quotes, braces and names that cannot be
right, and finds every value with its line.
"""

import re
from dataclasses import dataclass, field

from confcheck.document import Entry, Include, Key, NotReadable, Place, Reading, Role

_BLANK = re.compile(r"(?:[\s;,\ufeff]|#[^\n]*|\{%.*?%\}|\{#.*?#\})*", re.DOTALL)
_INLINE = re.compile(r"[^\S\n]*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'(?:[^'\\\n]|\\.)*'", re.DOTALL)
_NAME = re.compile(r"[^\s=:{}\[\];,#\"']+")
_COMMENT_MARK = re.compile(r"/\*|\*/")
_SECTION = re.compile(r"([\w.-]+)[^\S\n]*\{")
_MACRO = re.compile(r"\.([a-z_]+)[^\S\n]*(\([^)\n]*\))?[^\S\n]*")
_HEREDOC = re.compile(r"<<([A-Z]+)\r?\n(.*?)\n\1(?=[\s;,])", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_DEEPEST = 100


@dataclass(slots=True)
class _Reader(Place):
    open: list[tuple[Key, str, int]] = field(default_factory=list)  # what is open: key, its mark, its line
    parts: list[Entry | Include] = field(default_factory=list)
    members: dict[Key, int] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.open[-1][0] if self.open else ()

    def skip(self, pattern: re.Pattern[str] = _BLANK) -> None:
        while True:
            found = pattern.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if not self.text.startswith("/*", self.at):
                return
            self.comment()

    def comment(self) -> None:
        """Pass a comment, in which others may lie."""
        line, depth = self.line, 0
        for found in _COMMENT_MARK.finditer(self.text, self.at):
            depth += 1 if found[0] == "/*" else -1
            if depth == 0:
                self.at = found.end()
                return
        raise NotReadable(line, "a comment that does not end")

    def read(self) -> None:
        self.skip()
        if self.next in {"{", "["}:  # the whole file in braces, as JSON has it
            self.enter((), self.next)
        while True:
            self.skip()
            if self.at >= len(self.text):
                break
            if self.next in {"}", "]"}:
                self.leave()
            elif self.open and self.open[-1][1] == "[":
                number = self.members.get(self.key, 0)
                self.members[self.key] = number + 1
                self.value((*self.key, str(number)), listed=True)
            else:
                self.statement()
        if self.open:
            raise NotReadable(self.open[-1][2], f"a {self.open[-1][1]} that is not closed")

    def enter(self, key: Key, mark: str) -> None:
        if len(self.open) > _DEEPEST:
            raise NotReadable(self.line, "nested too deeply")
        self.open.append((key, mark, self.line))
        self.at += 1

    def leave(self) -> None:
        if not self.open or {"{": "}", "[": "]"}[self.open[-1][1]] != self.next:
            raise NotReadable(self.line, f"a {self.next} that closes nothing")
        self.open.pop()
        self.at += 1

    def statement(self) -> None:
        if found := _MACRO.match(self.text, self.at):
            self.macro(found)
            return
        named = self.quoted(self.key, Role.NAME) if self.next in {'"', "'"} else self.bare_name()
        key = (*self.key, named.text)
        self.parts.append(Entry(key, named.text, named.span, named.line, named.quote, Role.NAME))
        self.skip(_INLINE)
        if self.next and self.next in "=:":
            while self.next and self.next in "=:":
                self.at += 1
                self.skip(_INLINE)
        elif self.next in {'"', "'"}:
            key = self.section_name(key) or key
        elif found := _SECTION.match(self.text, self.at):
            key = (*key, found[1])
            self.parts.append(Entry(key, found[1], found.span(1), self.line, role=Role.NAME))
            self.at = found.end() - 1
        self.value(key)

    def macro(self, found: re.Match[str]) -> None:
        line = self.line
        self.at = found.end()
        if self.next in {'"', "'"}:
            named = self.quoted(self.key, Role.NAME).text
        else:
            end = re.compile(r"[^\n;]*").match(self.text, self.at)
            named = end[0].strip() if end else ""
            self.at = end.end() if end else self.at
        if found[1] in {"include", "includes"}:
            optional = re.search(r"\btry\s*=\s*true\b", found[2] or "")
            self.parts.append(Include(self.key, named, line, needed=not optional))

    def section_name(self, key: Key) -> Key | None:
        """Take the "normal" of `worker "normal" {`; nothing where the string is a value."""
        start = self.at
        named = self.quoted(key, Role.NAME)
        self.skip(_INLINE)
        if self.next == "{":
            self.parts.append(Entry((*key, named.text), named.text, named.span, named.line, named.quote, Role.NAME))
            return (*key, named.text)
        self.at = start
        return None

    def value(self, key: Key, *, listed: bool = False) -> None:
        if not listed:
            before = self.at
            self.skip(re.compile(r"[\s]*"))
            if self.next not in {"{", "["}:
                self.at = before
        if self.next in {"{", "["}:
            self.enter(key, self.next)
        elif self.next in {'"', "'"}:
            entry = self.quoted(key, Role.VALUE)
            self.parts.append(Entry(key, entry.text, entry.span, entry.line, entry.quote, listed=listed))
        elif found := _HEREDOC.match(self.text, self.at):
            self.parts.append(Entry(key, found[2], found.span(2), self.line, "<<", listed=listed))
            self.at = found.end()
        else:
            self.bare_value(key, listed=listed)

    def bare_value(self, key: Key, *, listed: bool) -> None:
        start, line, depth, at = self.at, self.line, 0, self.at
        while at < len(self.text) and (letter := self.text[at]) not in "\n;":
            if letter == "#" and (at == start or self.text[at - 1].isspace()):
                break
            if letter in ",]" and depth == 0 and self.open and (listed or letter == ","):
                break
            if letter == "{" and not self.text[at + 1 : (self.text + "\n").find("\n", at)].strip():
                break  # opens a section
            depth += {"{": 1, "}": -1}.get(letter, 0)
            if depth < 0:
                break
            at += 1
        text = self.text[start:at].strip()
        self.at = at
        if self.next == "{":
            self.enter((*key, text) if text else key, "{")
            return
        if listed and not text:
            raise NotReadable(line, "something that is no value")
        self.parts.append(Entry(key, text, (start, start + len(text)), line, listed=listed))

    def bare_name(self) -> Entry:
        found = _NAME.match(self.text, self.at)
        if not found:
            raise NotReadable(self.line, "something that is no name")
        line = self.line
        self.at = found.end()
        return Entry(self.key, found[0], found.span(), line, role=Role.NAME)

    def quoted(self, key: Key, role: Role) -> Entry:
        line, quote = self.line, self.next
        found = (_STRING if quote == '"' else _LITERAL).match(self.text, self.at)
        if not found:
            raise NotReadable(line, "a quote that is not closed")
        self.at = found.end()
        return Entry(key, _ESCAPE.sub(_unescaped, found[0][1:-1]), found.span(), line, quote, role)


def _unescaped(found: re.Match[str]) -> str:
    if len(found[1]) > 1:
        return chr(int(found[1][1:], 16))
    return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(found[1], found[1])


def read(text: str) -> Reading:
    """Read *text*. Raises NotReadable."""
    reader = _Reader(text)
    reader.read()
    return Reading(
        tuple(each for each in reader.parts if isinstance(each, Entry)),
        tuple(each for each in reader.parts if isinstance(each, Include)),
    )
