"""How each finding is drawn into the volume: which voxels change and to what.

A finding becomes one or more edits: a soft weight (0..1) in a box of the volume and the Hounsfield units that it pulls
towards, or a displacement (a bent spine, a low diaphragm). The weight *is* the ground truth: what was edited is known
to the voxel. Everything random comes from the generator passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from r2gen_lib.errors import SimulationError
from r2gen_lib.findings.finding import MIDLINE, Finding
from r2gen_lib.simulation.anatomy.geometry import Edit
from r2gen_lib.simulation.anatomy.thorax import Thorax
from r2gen_lib.simulation.drawers import bones as bone_findings
from r2gen_lib.simulation.drawers import devices as device_findings
from r2gen_lib.simulation.drawers import heart as heart_findings
from r2gen_lib.simulation.drawers import lung as lung_findings
from r2gen_lib.simulation.drawers import lung_markings
from r2gen_lib.simulation.drawers import pleura as pleura_findings
from r2gen_lib.simulation.drawers import shape as shape_findings

DRAWERS: dict[str, Callable[[Thorax, Finding, np.random.Generator], list[Edit]]] = {
    **lung_findings.DRAWERS,
    **lung_markings.DRAWERS,
    **pleura_findings.DRAWERS,
    **shape_findings.DRAWERS,
    **heart_findings.DRAWERS,
    **bone_findings.DRAWERS,
    **device_findings.DRAWERS,
}


def draw(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> list[Edit]:
    """The edits of one finding: one set a side where it is bilateral.

    Args:
        thorax: the anatomy.
        finding: what to draw; an open side or severity is chosen by ``rng``.
        rng: the study's generator for this finding.

    Raises:
        SimulationError: nothing draws it.
    """
    severity = finding.severity if finding.severity is not None else float(rng.uniform(0.3, 0.7))
    either = str(rng.choice(["left", "right"]))  # always drawn, so that naming the side changes nothing else
    if finding.name in MIDLINE:
        sides = [""]
    else:
        sides = ["left", "right"] if finding.side == "bilateral" else [finding.side or either]
    if finding.name not in DRAWERS:
        raise SimulationError(
            f"finding {finding.name!r}: found no drawer, expected a line in DRAWERS of one of simulation/drawers. "
            "docs/recipes/add_a_finding.md says how."
        )
    function = DRAWERS[finding.name]
    return [edit for side in sides for edit in function(thorax, replace(finding, side=side, severity=severity), rng)]
