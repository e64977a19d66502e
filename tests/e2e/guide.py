"""Follows a page of docs/ as somebody would who types what stands there, on a machine of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rig.machine import Machine

_EDITOR = "sudo editor "


@dataclass
class Guide:
    """A page, and the machine that it is followed on.

    A section's blocks of `sh` are typed, in their order. Behind a line `sudo editor FILE` the blocks of `ini` and `toml` that
    follow are written into FILE, by `edited`: this is what a person does with an editor. Nothing else is put in its place.
    """

    page: Path
    machine: Machine
    before: dict[str, str] = field(default_factory=dict)  # the files that were edited, as they were

    def section(self, heading: str) -> str:
        """The text below this heading, up to the next one as high or higher."""
        found = re.search(rf"(?ms)^(#+) {re.escape(heading)}$\n(.*?)(?=^#{{1,2}} |\Z)", self.page.read_text())
        assert found is not None, f"{self.page.name} has no section {heading!r}"
        return found[2]

    def type(self, heading: str) -> str:
        """Type all commands of a section, in their order; what they showed."""
        return "".join(self.machine.run(text) for language, text in self.blocks(heading) if language == "sh")

    def blocks(self, heading: str) -> list[tuple[str, str]]:
        """Language and text of each block of a section."""
        return re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", self.section(heading))

    def follow(self, heading: str, answers: Mapping[str, str] | None = None) -> str:
        """Do what a section says; what its commands showed."""
        shown = ""
        file, find = "", ""
        for language, text in self.blocks(heading):
            if language == "sh":
                file, find = "", ""
                *lines, last = text.splitlines()
                if last.startswith(_EDITOR):
                    file = last.removeprefix(_EDITOR)
                else:
                    lines.append(last)
                shown += self.machine.run("\n".join(lines), answers) if lines else ""
                continue
            assert file, f"{heading}: no editor was opened for\n{text}"
            now = self.machine.root("cat", file)
            self.before.setdefault(file, now)
            if find:
                assert now.count(find) == 1, f"{file} has this {now.count(find)} times:\n{find}"
                self.machine.write(file, now.replace(find, text))
                find = ""
            elif "[" not in text.splitlines()[0] and text in now:
                find = text  # the page shows what is there, and then what it becomes
            else:
                self.machine.write(file, edited(now, text))
        assert not find, f"{heading}: what becomes of this?\n{find}"
        return shown


def edited(file: str, snippet: str) -> str:
    """A file with a snippet in it.

    A line with `#include` comes first. Of a section that is there, each setting gets its value in the line where it stands, also
    behind a `#` or a `;`. A section that is not there comes last.
    """
    if snippet.startswith("#include"):
        return snippet + file
    for head, body in re.findall(r"(?ms)^(\[[\w.]+\])\n(.*?)(?=^\[|\Z)", snippet):
        section = re.search(rf"(?ms)^{re.escape(head)}.*?$\n(.*?)(?=^\[|\Z)", file)
        if section is None:
            file = file.rstrip("\n") + f"\n\n{head}\n{body.rstrip()}\n"
            continue
        text = section[1]
        for line in body.split("\n"):
            name, sign, _ = line.partition("=")
            if not sign:
                assert not line.strip(), f"what is to be done with this line? {line}"
                continue
            text, count = re.subn(
                rf"(?m)^[#;]? ?{re.escape(name.strip())} *=.*$", lambda _, line=line: line, text, count=1
            )
            assert count, f"{head} has no line for {name.strip()}"
        file = file[: section.start(1)] + text + file[section.end(1) :]
    return file
