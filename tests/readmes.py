"""What the project's pages for readers hold: code blocks, commands, links and the names of files."""

import re
import shlex
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"(?:[\w.]+/)*[\w.]*\w\.(?:py|typed|yaml|toml|md|csv|jinja)|(?:[a-z_.]+/)+")
NAMED = re.compile(r"# ([\w/]+\.py)\n")  # a block's first line names the file that it is
PROGRAM = "robust-sweep"


@dataclass(frozen=True)
class Page:
    """A Markdown file of the project."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def prose(self) -> str:
        return FENCE.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        return [code for kind, code in FENCE.findall(self.text) if kind == language]

    @cached_property
    def files(self) -> dict[str, str]:
        """The Python blocks that say which file they are, by its name."""
        return {found[1]: code for code in self.blocks("python") if (found := NAMED.match(code))}

    def save(self, folder: Path) -> None:
        """Write the files of the page, as a reader does."""
        for name, code in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(code)

    @cached_property
    def entry_points(self) -> dict[str, dict[str, str]]:
        """What the page's package brings: names and what they stand for, by entry-point group."""
        projects = [tomllib.loads(code)["project"] for code in self.blocks("toml")]
        return projects[0]["entry-points"] if projects else {}

    def install(self, folder: Path) -> None:
        """Save the files, and leave beside them what pip leaves of an installed package."""
        self.save(folder)
        found = folder / "my_package-0.1.0.dist-info"
        found.mkdir()
        (found / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 0.1.0\n")
        groups = [
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in p.items()) for group, p in self.entry_points.items()
        ]
        (found / "entry_points.txt").write_text("\n".join(groups))

    @cached_property
    def commands(self) -> list[list[str]]:
        """Every robust-sweep command of the shell blocks, without the program's name."""
        lines = "\n".join(self.blocks("bash")).replace("\\\n", " ").splitlines()
        return [words[1:] for line in lines if (words := shlex.split(line, comments=True))[:1] == [PROGRAM]]

    @cached_property
    def mentioned_commands(self) -> list[list[str]]:
        """Those that stand in a sentence or a table, where placeholders are in capitals."""
        return [shlex.split(code)[1:] for code in CODE.findall(self.prose) if code.startswith(f"{PROGRAM} ")]

    @cached_property
    def links(self) -> list[str]:
        return [link for link in LINK.findall(self.prose) if not link.startswith(("http:", "https:"))]

    @cached_property
    def mentioned_files(self) -> list[str]:
        """Every file and folder of the project that stands in backticks."""
        return [code for code in CODE.findall(self.prose) if FILE.fullmatch(code) and code not in self.files]

    @cached_property
    def anchors(self) -> set[str]:
        """What a link may point at, as GitHub names headings."""
        headings = re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


PACKAGES = ("orchestrator", "trainables", "search_spaces")
PAGES = {page.name: page for folder in (".", *PACKAGES) for page in map(Page, sorted((ROOT / folder).glob("*.md")))}
