"""The exercises: each solution passes its check, stub and wrong answers get the right message, no notebook drifts."""

from __future__ import annotations

import ast
import builtins
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from r2gen_lib import checks, cli
from r2gen_lib.assets import checkout
from r2gen_lib.course import exercise_cells as exercise_notebooks
from r2gen_lib.course import notebook_files
from r2gen_lib.course.exercise_masters import Answer, read_master, read_masters
from r2gen_lib.errors import CheckFailed, ExerciseError

NOTEBOOKS = checkout() / "notebooks"
MASTERS = read_masters(NOTEBOOKS / "exercises")
ANSWERS = [
    (master, number, kind, answer)
    for master in MASTERS
    for number, one in enumerate(master.exercises, 1)
    for kind, answer in [
        ("solution", Answer(one.solution)),
        ("stub", one.stub),
        *((f"wrong{n}", answer) for n, answer in enumerate(one.wrong, 1)),
    ]
]
_SPACES: dict[str, dict] = {}


def run(code: str, space: dict, name: str) -> None:
    exec(compile(code, f"<{name}>", "exec"), space)


def space_of(master) -> dict:
    """What the setup of a master's solutions leaves, made once."""
    if master.number not in _SPACES:
        space = _SPACES[master.number] = {"checks": checks, "__name__": "exercise"}
        for code in master.setup:
            run(code, space, f"{master.number} setup")
    return dict(_SPACES[master.number])


@pytest.mark.parametrize(
    ("master", "number", "kind", "answer"), ANSWERS, ids=[f"{m.number}.{n}-{kind}" for m, n, kind, _ in ANSWERS]
)
def test_an_answer_gets_its_message(master, number, kind, answer, capsys):
    one, space = master.exercises[number - 1], space_of(master)
    checks.forget()
    for code in (one.given, answer.code, one.check):
        run(code, space, f"{master.number}.{number} {kind}")
    (result,) = checks.results()
    assert result.exercise == f"{master.number}.{number}"
    assert result.title == one.title
    assert result.passed == (kind == "solution"), result.message
    assert answer.message in result.message
    printed = capsys.readouterr().out
    assert ("Right: " if result.passed else "Not yet: ") in printed
    if not kind.startswith("wrong"):
        shown = committed_output(master, number, kind)
        assert shown is None or masked(result.message) in masked(shown), "run: r2gen exercises --fresh"


def committed_output(master, number: int, kind: str) -> str | None:
    """What the notebook (stub) or the solutions show below the check; None where there is no notebook."""
    path = exercise_notebooks.find_notebook(master, NOTEBOOKS)
    path = path if kind == "stub" else exercise_notebooks.solutions_path(master, NOTEBOOKS)
    if path is None:
        return None
    (cell,) = [c for c in notebook_files.read_notebook(path).cells if c.id == f"exercise-{number}-check"]
    return "".join(output.get("text", "") for output in cell.outputs)


def masked(text: str) -> str:
    """Without numbers, which may end otherwise on another machine, and without what a model wrote."""
    return re.sub(r"'[^']*'|[-\d.]+", "#", " ".join(text.split()))


def test_three_to_five_a_notebook_with_hints_and_three_wrong_answers():
    assert [master.number for master in MASTERS] == ["00", "01", "02", "03", "04", "05", "05b", "06", "07"]
    for master in MASTERS:
        assert 3 <= len(master.exercises) <= 5, master.path
        for one in master.exercises:
            messages = [answer.message for answer in one.wrong]
            assert len(messages) >= 3 and len(set(messages)) == len(messages), one.title
            assert all(len(message) > 8 for message in messages), one.title


def test_no_notebook_has_drifted(capsys):
    assert cli.main(["exercises", "--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("master", MASTERS, ids=lambda master: master.number)
def test_what_the_cells_use_is_made_earlier(master):
    """In the notebook itself, too, where others edit: what an exercise's cells read is bound before."""
    path = exercise_notebooks.find_notebook(master, NOTEBOOKS)
    if path is None:
        pytest.skip(f"there is no notebook {master.number} yet")
    bound = {*dir(builtins)}
    for cell in notebook_files.read_notebook(path).cells:
        if cell.cell_type == "code":
            tree = ast.parse(re.sub(r"^( *)[%!].*$", r"\1pass", cell.source, flags=re.MULTILINE))
            missing = _read(tree) - bound - _bound(tree)
            if cell.id.startswith("exercise-"):
                assert not missing, f"{path.name}, cell {cell.id}: {sorted(missing)} is made nowhere before"
            bound |= _bound(tree)


def _bound(tree: ast.AST) -> set[str]:
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    names |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    names |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    return names | {(a.asname or a.name).split(".")[0] for n in imports for a in n.names}


def _read(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


MASTER = """# %% notebook 07_more
# %% setup
base = 2
# %% exercise Double it | difficulty 1 | 5 minutes
# Write `double(x)`.
# %% hint
# Use `base`.
# %% stub gave 1
def double(x):
    return x
# %% check
checks.check_visual_token_count(lambda *_: double(1));
# %% solution
def double(x):
    return base * x
# %% wrong a
double = 1
# %% wrong b
double = 2
# %% wrong c
double = 3
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of notebooks with one master, 07, and no notebook."""
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises" / "07.py").write_text(MASTER)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("# %% notebook 07_more\n", "", 1, "as the first block"),
        ("07_more", "08_more", 1, "whose name begins 07"),
        ("# %% hint", "# %% hnt", 6, "found a block 'hnt', expected one of"),
        ("difficulty 1", "difficulty 7", 4, "expected `Title | difficulty 1 | importance 2 | 5 minutes`"),
        ("# Use `base`.", "Use `base`.", 7, "expected a line that begins with '# '"),
        ("    return base * x", "    return base *", 15, "this is no Python"),
        ("# %% wrong c\ndouble = 3\n", "", 4, "it has 2, expected three"),
        ("# %% hint\n# Use `base`.\n", "", 4, "lacks hints"),
        ("# %% stub gave 1", "# %% stub", 8, "a piece of the message"),
        ("# %% solution", "# %% check", 13, "a second check"),
        ("double = 3", "", 20, "the wrong is empty"),
        ("double = 3", "double = 3\n# %% setup\nx = 1", 22, "setup after an exercise"),
    ],
)
def test_a_master_that_is_wrong_names_file_and_line(folder, old, new, line, message):
    path = folder / "exercises" / "07.py"
    path.write_text(MASTER.replace(old, new))
    with pytest.raises(ExerciseError) as raised:
        read_master(path)
    assert f"07.py:{line}: " in str(raised.value) and message in str(raised.value)


def test_importance_a_guess_and_a_reason_are_shown_where_the_master_has_them(folder):
    rated = MASTER.replace("difficulty 1 | 5", "difficulty 1 | importance 3 | 5")
    rated = rated.replace("# %% hint", "# %% guess\n# How large?\n# %% hint")
    rated = rated.replace("# %% wrong a", "# %% why\n# Why twice?\n# %% wrong a")
    (folder / "exercises" / "07.py").write_text(rated)
    master = read_master(folder / "exercises" / "07.py")
    cells = {cell.id: cell.source for cell in exercise_notebooks.section_cells(master)}
    assert cells["exercise-1-text"].startswith("**1. Double it** (difficulty 1, importance 3, 5 minutes). Write")
    assert "*Guess first.* How large?" in cells["exercise-1-text"] and cells["exercise-1-why-text"] == "Why twice?"
    order = [name for name in cells if name.startswith("exercise-1")]
    endings = ["-text", "-guess", "", "-check", "-why-text", "-why"]
    assert order == [f"exercise-1{ending}" for ending in endings]
    solved = {cell.id: cell.source for cell in exercise_notebooks.solution_cells(master)}
    assert solved["exercise-1-explanation"] == "Why twice?" and "exercise-1-guess" not in solved


def test_a_guess_and_a_reason_are_kept_with_the_answer(tmp_path, capsys):
    checks.forget()
    checks.guess("02.1", "")
    assert "Nothing is kept yet" in capsys.readouterr().out
    checks.guess("02.1", 64)
    checks.check_visual_token_count(lambda image, patch, stages: 49)
    checks.why("02.1", " Each stage halves the side. ")
    assert capsys.readouterr().out.count("Kept with your answers.") == 2
    (saved,) = json.loads(checks.save_json(tmp_path / "answers.json").read_text())["results"]
    assert (saved["passed"], saved["guess"], saved["why"]) == (False, "64", "Each stage halves the side.")
    with pytest.raises(CheckFailed, match="found no exercise '02.77'"):
        checks.guess("02.77", "x")


def write_notebook(folder: Path, *cells) -> Path:
    notebook = new_notebook(cells=list(cells))
    notebook_files.write_notebook(notebook_files.clean(notebook), folder / "07_more.ipynb")
    return folder / "07_more.ipynb"


def exercises(folder: Path, *options: str) -> int:
    return cli.main(["exercises", "--folder", str(folder), *options])


def test_a_section_that_is_lacking_comes_before_the_summary_and_the_rest_stays(folder, capsys):
    executed = new_code_cell("1 + 1", id="sum", execution_count=1)
    cells = [new_markdown_cell("# 07", id="title"), executed, new_markdown_cell("## Summary", id="summary")]
    path = write_notebook(folder, *cells)
    assert exercises(folder, "--check") == 1
    assert "07_more.ipynb is not what its master" in capsys.readouterr().out
    assert exercises(folder, "--no-run") == 0
    written = notebook_files.read_notebook(path).cells
    section = ["exercises", "exercises-checks", "exercise-1-text", "exercise-1", "exercise-1-check", "exercises-report"]
    assert [cell.id for cell in written] == ["title", "sum", *section, "summary"]
    assert written[1].execution_count == 1
    assert "difficulty 1, 5 minutes" in written[4].source and "<details>" in written[4].source
    assert exercises(folder, "--check") == 0
    before = path.read_bytes()
    assert exercises(folder, "--no-run") == 0 and path.read_bytes() == before


def test_another_section_is_replaced_whole_and_outputs_of_equal_cells_stay(folder):
    output = new_output("stream", name="stdout", text="kept\n")
    same = new_code_cell("from r2gen_lib import checks", id="exercises-checks", execution_count=1, outputs=[output])
    cells = [new_markdown_cell("## 9. Exercises\n\nold", id="old"), same, new_code_cell("old", id="exercise-9")]
    path = write_notebook(folder, *cells, new_markdown_cell("## References", id="references"))
    assert exercises(folder, "--no-run") == 0
    written = {cell.id: cell for cell in notebook_files.read_notebook(path).cells}
    assert "old" not in written and "exercise-9" not in written and "references" in written
    assert written["exercises-checks"].outputs[0].text == "kept\n"


def test_a_changed_cell_is_drift(folder):
    path = write_notebook(folder, new_markdown_cell("# 07", id="title"))
    assert exercises(folder, "--no-run") == 0 and exercises(folder, "--check") == 0
    path.write_text(path.read_text().replace("return x", "return x + 1"))
    assert exercises(folder, "--check") == 1


def test_an_id_that_is_taken_is_named(folder, capsys):
    write_notebook(folder, new_code_cell("1", id="exercise-1"))
    assert exercises(folder, "--no-run") == 2
    assert "cell id exercise-1: taken outside the section" in capsys.readouterr().err


def test_without_a_notebook_the_solutions_are_written(folder, capsys):
    assert exercises(folder, "--no-run") == 0
    assert "there is no notebook 07 yet" in capsys.readouterr().out
    solved = notebook_files.read_notebook(folder / "solutions" / "07_more_solutions.ipynb")
    assert "base * x" in "".join(cell.source for cell in solved.cells)
    assert exercises(folder, "--only", "03") == 2


def test_a_solution_that_fails_its_check_is_not_written(folder, capsys):
    assert exercises(folder) == 2  # it is executed, and 2 is not 49
    assert "a solution fails its check: visual_token_count(224, 16, 2) gave 2, expected 49" in capsys.readouterr().err
    assert not (folder / "solutions").exists()


def test_strict_raises_and_errors_in_the_answer_are_explained():
    checks.forget()

    def raises(image, patch, stages):
        return [1, 2][image]

    with pytest.raises(CheckFailed, match=r"exercise 02.1, Count the tokens: raises\(224, 16, 2\) raised an error"):
        checks.check_visual_token_count(raises, strict=True)
    assert checks.check_visual_token_count(raises) is False
    assert "`return [1, 2][image]`" in checks.results()[-1].message
    assert checks.check_visual_token_count(None) is False
    assert "expected a function, found None" in checks.results()[-1].message
    assert checks.check_visual_token_count(lambda *_: None) is False
    assert "Is the return statement missing?" in checks.results()[-1].message
    assert checks.check_counterfactual(dict.fromkeys("abc")) is False


def test_answers_of_a_strange_type_never_stop_a_notebook():
    for name in checks.__all__:
        if name.startswith("check_"):
            for strange in (None, 3, "x", [], lambda *_: "x", lambda *_: [], lambda *_: 1j, lambda: 1):
                for count in (1, 2, 3):
                    assert getattr(checks, name)(*[strange] * count) is False, name


def test_report_and_json_for_whoever_grades(tmp_path, capsys):
    checks.forget()
    checks.report()
    checks.check_visual_token_count(lambda image, patch, stages: (image // patch // 2 ** (stages - 1)) ** 2)
    checks.check_gain(lambda words: 1.0)
    capsys.readouterr()
    checks.report()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-1] == "right" and lines[2].endswith("not yet") and lines[3].endswith("not tried")
    saved = json.loads(checks.save_json(tmp_path / "answers.json", student="A. Student").read_text())
    assert saved["student"] == "A. Student" and saved["version"] and saved["saved"]
    first, second = saved["results"]
    assert first["exercise"] == "02.1" and first["passed"] is True and first["time"]
    assert second["title"] == "Match the scale" and second["passed"] is False and "expected" in second["message"]


def test_right_answers_written_otherwise_pass():
    def splice(embed, visual, before, after, reports):
        ends = [embed(torch.tensor(ids)).expand(len(reports), -1, -1) for ids in (before, after)]
        head, longest = torch.cat([ends[0], visual, ends[1]], dim=1), max(map(len, reports))
        padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in reports])  # padding is embedded, too
        mask = torch.tensor([[1] * (head.shape[1] + len(r)) + [0] * (longest - len(r)) for r in reports]).bool()
        labels = [[-100] * head.shape[1] + ids + [-100] * (longest - len(ids)) for ids in reports]
        return [torch.cat([head, embed(padded)], dim=1), mask, torch.tensor(labels)]

    def accumulate(model, parts):
        counts, total = [int((labels >= 0).sum()) for _, labels in parts], 0
        for (inputs, labels), count in zip(parts, counts, strict=True):
            loss = torch.nn.functional.cross_entropy(model(inputs), labels) * count / sum(counts)
            loss.backward()
            total = total + loss.detach()
        return total

    def mask(prompt, report, padded):
        return torch.arange(padded - 1).sub(prompt - 1).div(report, rounding_mode="floor") == 0

    assert checks.check_splice(splice) and checks.check_accumulate(accumulate)
    assert checks.check_report_loss_mask(mask)
    assert checks.check_visual_token_count(lambda image, patch, stages: (image / patch / 2 ** (stages - 1)) ** 2)
    assert checks.check_window(lambda x, c, w: np.interp(x, [c - w / 2, c + w / 2], [0, 255]).astype(np.uint8))
    assert checks.check_merge(lambda W, A, B, alpha: W + (alpha / A.shape[0] * B @ A).to(W.dtype))
    assert checks.check_gain(lambda words: words.norm(dim=1).median() / words.shape[1] ** 0.5)


@pytest.mark.parametrize("shift", range(100, 110))
def test_an_interval_is_judged_by_its_width_whatever_the_random_numbers(shift):
    def interval(values, resamples, seed, tails=(2.5, 97.5)):
        rng = np.random.default_rng(shift + seed)
        return np.percentile(rng.choice(values, (resamples, len(values))).mean(axis=1), tails)

    assert checks.check_bootstrap(interval)
    assert not checks.check_bootstrap(lambda *given: interval(*given, tails=(5, 95)))


WHY = "Two threads share two cores, and the slower one is waited for."
TURNS = [("guess", 2.0), *[("alone", 1.0), ("beside", 3.0), ("alone", 5.0), ("beside", 2.0)] * 2]


def checked(record, alone, beside, why=WHY) -> tuple[bool, str]:
    """Whether exercise 03.4 is right, and what its check says."""
    checks.forget()
    passed = checks.check_busy_neighbour(record, alone, beside, why)
    (result,) = checks.results()
    return passed, result.message


def test_a_guess_counts_before_a_measurement_however_far_off_it_is():
    passed, message = checked(TURNS, 3.0, 2.5)
    assert passed and "you guessed 2.0 times as long, and measured 0.8 times (3.00 and 2.50 s)" in message
    assert checked([("guess", 100), *TURNS[1:]], 3.0, 2.5)[0]
    assert checked([TURNS[0], *TURNS[:0:-1]], 3.0, 2.5)[0], "the busy process first"
    assert checked([*TURNS[1:], *TURNS[:1]], 3.0, 2.5)[1].startswith("nothing was measured after the guess")
    assert checked([TURNS[1], *TURNS], 3.0, 2.5)[0], "a step before the guess is no part of the measurement"
    assert checked(TURNS[1:], 3.0, 2.5)[1].startswith("there is no guess in the record")


def test_a_new_attempt_begins_with_its_guess():
    earlier = [("guess", 1.0), ("alone", 90.0), ("alone", 90.0)]
    assert checked([*earlier, *TURNS], 3.0, 2.5)[0]
    assert not checked([*TURNS, *earlier], 3.0, 2.5)[0]


@pytest.mark.parametrize("guess", [None, ..., "2", 0, -1.0, float("nan"), True])
def test_a_guess_is_a_number_above_0(guess):
    passed, message = checked([("guess", guess), *TURNS[1:]], 3.0, 2.5)
    assert not passed and message.startswith("the guess is") and "expected a number above 0" in message


def test_steps_are_in_turns_and_three_of_each_kind():
    assert "1 step(s) alone and 1 beside" in checked(TURNS[:3], 1.0, 3.0)[1]
    assert "8 step(s) alone and 0 beside" in checked([TURNS[0], *[("alone", 1.0)] * 8], 1.0, 1.0)[1]
    blocks = [TURNS[0], *sorted(TURNS[1:])]
    assert "Take turns: one step alone, one beside" in checked(blocks, 3.0, 2.5)[1]
    late = [*TURNS, ("beside", 2.0)]
    assert "Take turns" in checked(late, 3.0, 2.0)[1]


@pytest.mark.parametrize(
    ("alone", "beside", "message"),
    [
        (7 / 3, 2.0, "alone is 2.333, expected 1, the median of its 3 steps. That is the mean"),
        (1.0, 8 / 3, "beside is 2.667, expected 2, the median of its 3 steps. That is the mean"),
        (0.5, 2.0, "That is the quickest step"),
        (5.5, 2.0, "That is the slowest step"),
        (7.0, 2.0, "That is the sum"),
        (2.0, 1.0, "statistics.median gives it"),
    ],
)
def test_a_median_that_is_none_is_named(alone, beside, message):
    steps = [("alone", 1.0), ("beside", 2.0), ("alone", 0.5), ("beside", 1.0), ("alone", 5.5), ("beside", 5.0)]
    passed, said = checked([("guess", 2.0), *steps], alone, beside)
    assert not passed and message in said


@pytest.mark.parametrize("why", ["", "It has to wait.", "I think that it will be slower by a certain amount."])
def test_a_reason_is_a_sentence_about_what_is_waited_for(why):
    passed, message = checked(TURNS, 3.0, 2.5, why)
    assert not passed and f"your reason has {len(why.split())} words" in message


def test_a_busy_process_is_ended_whatever_happens():
    """Also by an interrupt in the middle of the step, as the notebook's stop button sends it."""
    master = next(master for master in MASTERS if master.number == "03")
    space, begun = space_of(master), []
    run(master.exercises[3].given, space, "03.4 given")

    class Noted(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            begun.append(self)

    def interrupted(**inputs):
        assert begun[-1].poll() is None, "it is at work during the step"
        raise KeyboardInterrupt

    space |= {"model": interrupted, "subprocess": SimpleNamespace(Popen=Noted, PIPE=subprocess.PIPE)}
    with pytest.raises(KeyboardInterrupt):
        space["timed_step"](busy=True)
    assert [process.returncode is not None for process in begun] == [True]
    assert [name for name, _ in space["record"]] == ["alone"], "a step that was interrupted is not kept"
