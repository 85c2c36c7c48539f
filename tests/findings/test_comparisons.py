"""What speaks of an earlier picture, and what only looks so."""

from __future__ import annotations

import pytest

from r2gen_lib.findings.comparisons import comparing_sentences, speaks_of_earlier

TRUE = """
The heart is unchanged.
Stable cardiomegaly.
Heart size is stable.
The effusion is no longer visible.
No change in the right middle lobe opacity.
No significant change.
There has been no significant interval change.
Interval removal of the chest tube.
The nodule is again seen in the left base.
The heart is again enlarged.
The granuloma is seen again.
Compared to the prior study, the opacity is smaller.
In comparison with the earlier radiograph the lungs are clearer.
The edema has improved.
The consolidation has nearly resolved.
The pneumothorax has not grown.
The effusion is now worse.
Persistent elevation of the right diaphragm.
The lungs remain overinflated.
The heart remains enlarged.
A previously described mass lies in the hilum.
The nodule was seen previously.
The opacity is larger than before.
Increased since the previous examination.
This was present on the prior CT.
Smaller than on the previous chest radiograph.
As on the last film, the tube ends in the stomach.
The nodule has been the same for two years.
There is a new opacity in the left base.
No new infiltrate.
Newly visible fracture, a new rib fracture.
Redemonstration of sternal wires.
Similar to the prior radiograph.
Findings are stable since the last examination.
The tube is still in place.
""".strip().splitlines()
FALSE = """
The aorta shows no change in calibre.
The trachea is of unchanged calibre.
The patient is stable.
The patient remains stable.
She is clinically stable.
Prior surgery of the breast.
Prior chest surgery.
Evidence of prior granulomatous disease.
Previous median sternotomy.
There has been previous aortic valve replacement.
Old rib fractures on the left.
Degenerative changes of the thoracic spine.
Chronic interstitial change.
Increased interstitial markings.
Decreased lung volumes.
The left base is denser compared to the right.
The left lung is smaller compared with the other side.
No prior studies are available.
No prior radiograph for comparison.
None available for comparison.
Comparison: none.
Without comparison studies.
Bilateral opacities, left worse than right.
The remaining lung is clear.
The New York heart class is not known.
A newborn with clear lungs.
The heart is normal in size.
There is no pneumothorax.
Loss of volume due to postsurgical change.
""".strip().splitlines()


@pytest.mark.parametrize("text", TRUE)
def test_a_comparison_is_found(text):
    assert speaks_of_earlier(text)


@pytest.mark.parametrize("text", FALSE)
def test_what_only_looks_like_one_is_none(text):
    assert not speaks_of_earlier(text)


def test_the_sentences_that_compare_are_given_as_they_stand():
    text = "The heart is normal. Lungs: UNCHANGED opacity.  No effusion."
    assert comparing_sentences(text) == ["Lungs: UNCHANGED opacity."]
    assert comparing_sentences("") == []
