"""Pages for the browser: one HTML file with everything in it, from the templates beside this module.

Every value is escaped (jinja2's autoescape), an undefined one is an error, and the page's own content policy forbids it
to fetch anything. Nothing in it is a script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r2gen_lib.files import atomic_write
from r2gen_lib.metrics.names import score_name

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
#: What a page says in place of credentialed text and pictures.
WITHHELD = (
    "These data are credentialed: they may be seen only under a use agreement, so this page shows no report, no study "
    "and no picture of them, and no training report either. Scores and counts are over all studies."
)
SHOWN = (
    "These data are credentialed, and this page was asked to show their reports and pictures. It must not be passed on "
    "to anyone who has not signed their use agreement."
)


@lru_cache
def environment_of(templates: Path) -> Environment:
    """Reads the templates of a folder. HTML in a value is shown as it is written; a missing value is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(templates), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"score_name": score_name, "number": number}
    return environment


def write_page(path: Path, template: str, values: Mapping[str, Any]) -> Path:
    """Fill a template and write it whole or not at all.

    Raises:
        jinja2.TemplateError: a value that the template asks for is missing.
    """
    page = environment_of(TEMPLATES).get_template(template).render(values)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def number(value: float, digits: int = 3) -> str:
    """A number with so many digits and a true minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")


def flat_settings(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as a table's rows: one value a row, in words; a mapping becomes a row for each of its fields."""
    rows: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            rows |= {f"{key}: {name}": _words(one) for name, one in value.items()} or {key: "as the preset has it"}
        else:
            rows[key] = _words(value)
    return rows


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value) or "(not given)"
