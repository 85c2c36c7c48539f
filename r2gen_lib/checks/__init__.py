"""Checks of the exercises: they say in words what is right, or what came out, what was expected and the likeliest slip.

    from r2gen_lib import checks

    checks.check_visual_token_count(visual_token_count)  # prints, returns True or False; strict=True raises instead
    checks.report()                                      # a table of what was done
    checks.save_json("answers.json", student="...")      # the same for whoever grades
    checks.quiz("02")                                    # questions about the notebook; checks.quiz("02", "bdac")

One module a notebook; every check in them is here too, under its name. The exercises themselves are in
``notebooks/exercises`` (docs/recipes/add_an_exercise.md adds one).
"""

from r2gen_lib.checks import alignment, data, delta, evaluation, looking, scale, start, teaching, training  # noqa: F401
from r2gen_lib.checks.core import CHECKS, forget, guess, report, results, save_json, why
from r2gen_lib.checks.self_check import quiz

globals().update(CHECKS)
__all__ = ["forget", "guess", "quiz", "report", "results", "save_json", "why"]
__all__ += sorted(CHECKS)
