"""Every relative link, anchor and path in the repository's pages leads somewhere; addresses are left alone."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "data/*.md", "data/weights/*/*.md", "notebooks/*.md", "notebooks/*/*.md",
                    "findings/*.md", "r2gen_lib/*.md", "tests/cases/*.md")
    for path in ROOT.glob(pattern)
)  # fmt: skip
NOTEBOOKS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/**/*.ipynb"))
LINK = re.compile(r"\]\(([^()\s]+)\)")
FOLDERS = "benchmarks|data|docs|findings|notebooks|r2gen_lib|tests"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./-]*)`")
MODULE = re.compile(r"`(r2gen_lib(?:\.\w+)+)")


def _unfenced(text: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for title in re.findall(r"^#{1,6} (.+)$", _unfenced(text), flags=re.M):
        title = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title.strip()).lower()
        kept = "".join(c for c in title if c in " -_" or unicodedata.category(c)[0] in "LN").replace(" ", "-")
        count = 0
        while (name := f"{kept}-{count}" if count else kept) in found:
            count += 1
        found.add(name)
    return found


def broken(page: str, text: str) -> list[str]:
    """What in ``text``, which stands at ``page``, leads nowhere."""
    wrong = []
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists():
            wrong.append(f"{link}: no such file")
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(f"{link}: no such heading")
    ours = "\n".join(line for line in text.splitlines() if "==" not in line)  # a pinned wheel's files are in the wheel
    for path in [] if page.startswith("docs/recipes/") else PATH.findall(ours):  # recipes name files yet to be made
        if not (ROOT / path).exists() and "CHECKPOINT_SPLIT" not in path:
            wrong.append(f"`{path}`: no such file")
    for name in MODULE.findall(text):
        parts = name.split(".")
        places = [ROOT.joinpath(*parts[:n]) for n in range(len(parts), 1, -1)]
        if not any(place.is_dir() or place.with_suffix(".py").is_file() for place in places):
            wrong.append(f"`{name}`: no such module")
    return wrong


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page(page):
    assert broken(page, _unfenced((ROOT / page).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_links_of_a_notebook(page):
    nbformat = pytest.importorskip("nbformat")
    cells = nbformat.read(ROOT / page, 4).cells
    assert broken(page, "\n\n".join(_unfenced(cell.source) for cell in cells if cell.cell_type == "markdown")) == []


def test_what_leads_nowhere_is_seen():
    text = "[a](nowhere.md) [b](README.md#no-such) [c](https://example.org/x) [d](#run-it) `docs/nothing.md` "
    found = broken("README.md", text + "`r2gen_lib.nothing.at_all` `r2gen_lib.metrics.nlg`")
    assert [line.split(":")[0] for line in found] == [
        "nowhere.md", "README.md#no-such", "`docs/nothing.md`", "`r2gen_lib.nothing.at_all`",
    ]  # fmt: skip


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_bytes()) <= 9_000, "move details into docs/"


def test_every_page_of_docs_is_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = [page for page in PAGES if page.startswith(("docs/", "data/")) and not page.startswith("docs/recipes/")]
    assert [page for page in pages if f"]({page})" not in text] == []


def test_every_command_is_in_the_readme():
    from r2gen_lib import cli

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names = re.findall(r"^    ([a-z-]+)(?:\s|$)", cli.parser().format_help(), flags=re.M)
    assert len(names) > 15 and [name for name in names if f"`r2gen {name}" not in text] == []


@pytest.mark.parametrize("card", sorted(ROOT.glob("data/weights/*/README.md")), ids=lambda card: card.parent.name)
def test_a_model_card_quotes_what_was_measured(card):
    import json

    name = card.parent.name
    systems = json.loads((ROOT / "data" / "measured" / f"{name}_test.json").read_text())["systems"]
    text = card.read_text(encoding="utf-8")
    assert text.startswith("---\nlicense: mit\n") and "not for clinical use" in text and "simulated" in text
    controls = ("constant report", "shuffled pictures", "blank picture", "nearest neighbour")
    metrics = {
        "clinical macro F1, by rules": "clinical macro F1 (rules, 14, uncertain positive)",
        "clinical micro F1, by rules": "clinical micro F1 (rules, 14, uncertain positive)",
        "CIDEr": "CIDEr", "BLEU-4": "Bleu_4", "METEOR": "METEOR", "ROUGE-L": "ROUGE_L",
    }  # fmt: skip
    for title, metric in metrics.items():
        model = systems["model"][metric]
        told = [f"{model['score']:.3f} [{model['low']:.3f}, {model['high']:.3f}]"]
        told += [f"{systems[control][metric]['score']:.3f}" for control in controls]
        assert f"| {title} | {' | '.join(told)} |" in text
