"""Credentialed data stay where they are: notebooks that show them are not saved with their outputs.

MIMIC-CXR may be used only by people who signed its use agreement, so neither a sentence nor a picture of it may end
up in a notebook that others get. Two things are looked for in a notebook's outputs:

* the *marker*. From ``mark(studies)`` on (``load_studies`` calls it), every cell that runs in that kernel leaves a
  hidden marker in its outputs. It does not matter what the cell shows: a picture, a score, a table.
* *sentences* of credentialed reports. ``mark`` keeps their hashes, not their words, in the cache, so the check
  recognises a report in the outputs of another kernel, or of a cell whose marker was removed.

Jupyter asks before each save if ``jupyter_server_config.py`` (or the command line, as ``--FileContentsManager...``) has

    c.FileContentsManager.pre_save_hook = "r2gen_lib.privacy.pre_save_check"

nbconvert before each conversion if ``jupyter_nbconvert_config.py`` has (and JupyterLab's "Save and Export" if the
server's configuration has)

    c.Exporter.preprocessors = ["r2gen_lib.privacy.nbconvert_check"]

and git before each commit if ``.git/hooks/pre-commit`` (executable) has

    git diff --cached --name-only --diff-filter=ACM -z -- '*.ipynb' | xargs -0 -r python -m r2gen_lib.privacy

What it cannot catch: editors that save notebooks without Jupyter's server (VS Code, Colab: use the git check); text
that was pasted or typed into a cell's source; pictures and paraphrases whose marker someone removed; sentences of under
six words, or that three or more studies share (stock phrases, which point to nobody); files that a cell writes itself.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from r2gen_lib.data.credentialed_sentences import holds_known_sentence, keep_sentences
from r2gen_lib.data.study import Study
from r2gen_lib.errors import PrivacyError, R2GenError, shown

#: The MIME type of the marker among a cell's outputs.
MARKER = "application/vnd.r2gen.credentialed+json"
_REST = " and {more} more"  # of a list
_marked_sources: set[str] = set()


def mark(studies: Iterable[Study]) -> bool:
    """Note that this process has credentialed studies; in a notebook, mark this cell and all that run after it.

    Returns:
        Whether any study is credentialed. Nothing happens if none is.

    Raises:
        CacheError: the sentences' hashes cannot be written to the cache.
    """
    credentialed = [study for study in studies if study.credentialed]
    if not credentialed:
        return False
    keep_sentences([study.report, *study.sections.values()] for study in credentialed)
    is_first = not _marked_sources
    _marked_sources.update(study.source or "unnamed source" for study in credentialed)
    shell = _shell()
    if shell is not None and is_first:
        _leave_marker()  # at once, should the kernel die within this cell
        shell.events.register("post_run_cell", _leave_marker)
    return True


def _shell() -> Any:
    """IPython's shell, or None outside a notebook."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def _leave_marker(result: Any = None) -> None:
    """One output that shows nothing. IPython passes the cell's ``result``."""
    from IPython.display import display

    display({MARKER: {"sources": sorted(_marked_sources)}, "text/plain": ""}, raw=True)


def refuse_credentialed_outputs(notebook: Mapping[str, Any], name: str | Path = "notebook") -> None:
    """See that no output of a notebook shows credentialed data.

    Args:
        notebook: in format 4: as Jupyter, nbformat or ``json`` gives it.
        name: of the file, for the message.

    Raises:
        PrivacyError: naming the cells, never their contents.
    """
    cells = [cell for cell in notebook.get("cells", ()) if cell.get("cell_type") == "code"]
    marked, quoted, sources = [], [], set()
    for number, cell in enumerate(cells, start=1):
        found = [output["data"][MARKER] for output in cell.get("outputs", ()) if MARKER in output.get("data", {})]
        sources.update(source for marker in found for source in _sources(marker))
        if found:
            marked.append(number)
        elif holds_known_sentence(_texts(cell.get("outputs", ()))):
            quoted.append(number)
    if holds_known_sentence(_strings(notebook.get("metadata", {}).get("widgets", {}))):
        quoted.append("the saved widgets")
    if marked or quoted:
        raise PrivacyError(_refusal(name, marked, quoted, sources))


def _refusal(name: str | Path, marked: list, quoted: list, sources: set[str]) -> str:
    found = []
    if marked:
        names = ", ".join(sorted(sources))
        found.append(f"code cells {shown(marked, rest=_REST)} ran with credentialed studies loaded ({names})")
    if quoted:
        found.append(f"the outputs of code cells {shown(quoted, rest=_REST)} hold sentences of credentialed reports")
    return (
        f"{name}: {'; '.join(found)}. The use agreement of these data forbids passing them on, so this file is not "
        "saved with its outputs. Clear all outputs (and the saved widget state), then save again; your code is kept."
    )


def _sources(marker: Any) -> list[str]:
    return [str(source) for source in marker.get("sources", ())] if isinstance(marker, Mapping) else []


def _texts(outputs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """All text that outputs hold, pictures left out."""
    for output in outputs:
        yield _joined(output.get("text", ""))
        yield "\n".join([str(output.get("evalue", "")), *output.get("traceback", ())])
        for kind, value in output.get("data", {}).items():
            if kind.startswith("image/") and kind != "image/svg+xml":
                continue
            text = _joined(value) if isinstance(value, (str, list)) else "\n".join(_strings(value))
            yield html.unescape(text) if kind in ("text/html", "image/svg+xml") else text


def _joined(text: Any) -> str:
    """Notebook files hold a text as one string, or as its lines."""
    return text if isinstance(text, str) else "".join(map(str, text))


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def pre_save_check(model: Mapping[str, Any], path: str = "", **_: Any) -> None:
    """Jupyter's ``pre_save_hook``: refuses to save a notebook that shows credentialed data.

    Raises:
        tornado.web.HTTPError: the one error at which Jupyter does not save. A check that itself fails refuses too.
    """
    if model.get("type") != "notebook" or not model.get("content"):
        return
    from tornado.web import HTTPError

    try:
        refuse_credentialed_outputs(model["content"], path or "notebook")
    except PrivacyError as error:
        raise HTTPError(403, str(error)) from error
    except Exception as error:  # Jupyter would log it and save
        what = f"{type(error).__name__}: {error}"
        raise HTTPError(500, f"{path}: not saved, as its outputs could not be checked ({what}).") from error


def nbconvert_check(notebook: Mapping[str, Any], resources: Mapping[str, Any]) -> tuple[Mapping, Mapping]:
    """A preprocessor of nbconvert: gives both back as they are.

    Raises:
        PrivacyError: the outputs show credentialed data, so no HTML, PDF or other file is made of them.
    """
    refuse_credentialed_outputs(notebook, resources.get("metadata", {}).get("name") or "notebook")
    return notebook, resources


def check_notebooks(paths: Iterable[str | Path]) -> list[str]:
    """What ``refuse_credentialed_outputs`` has against each of these notebook files; empty if nothing."""
    import nbformat

    refusals = []
    for path in paths:
        try:
            refuse_credentialed_outputs(nbformat.read(path, as_version=4), path)
        except R2GenError as error:
            refusals.append(str(error))
        except Exception as error:  # nbformat raises many kinds; what cannot be read is not known to be clean
            refusals.append(f"{path}: cannot be read as a notebook ({type(error).__name__}: {error}). Repair the file.")
    return refusals


def main(paths: Sequence[str]) -> int:
    """``python -m r2gen_lib.privacy NOTEBOOK...``: prints what is refused; 0 if nothing is, else 1."""
    refusals = check_notebooks(paths)
    for refusal in refusals:
        print(refusal, file=sys.stderr)
    return int(bool(refusals))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
