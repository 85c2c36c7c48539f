"""Every finding, an entry each: how its codes and reports name it, and how it is said (docs/recipes/add_a_finding.md).

How it looks is its drawer's business (``simulation.drawers``). The other files of this folder read what they need here.
"""

from __future__ import annotations

from dataclasses import dataclass

from r2gen_lib.errors import SimulationError
from r2gen_lib.findings.report_phrases import OBSERVATIONS

#: Where in the chest, most telling first.
LUNG_ZONES = ("upper lobe", "middle lobe", "lower lobe", "lingula", "apex", "base", "hilum", "retrocardiac")
#: "heart": a valve, a coronary artery; "abdomen": under the diaphragm; "axilla": the armpit; "neck" and "lumbar": the
#: spine at the picture's top and bottom edge; "thorax": between the ribs and the lung (a chest tube).
ZONES = (*LUNG_ZONES, "paratracheal", "trachea", "mediastinum", "heart", "aorta", "breast", "axilla", "thorax", "neck",
         "lumbar", "abdomen")  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A finding that the simulator draws, and the words for it.

    Attributes:
        name: as it is shown and typed.
        midline: it has no side, whatever else its code says.
        single: there is one of it: two sides in a sentence of a report settle nothing.
        usually_both: it is on both sides unless something says otherwise.
        zones: those of ``ZONES`` that its drawer knows, most telling first; a code's other places are dropped.
        report_words: the beginnings of the words by which reports name it: its side is looked up beside them.
        headings: MeSH headings that mean this and nothing else, whatever their modifiers; headings that mean one thing
            or another have their rules in ``mesh_rules``.
        observation: CheXpert's, by which its usual words are labelled; "" for none.
        phrases: phrases of its own for the rules that label reports, in the notation of ``report_phrases``.
        present, absent: sentences that say and deny it. A finding that has them can be asked about
            (``r2gen counterfactual``) and written into reports.
        sentences: ways to say where it is and how much of it (``sentences``). ``{side}``: left, right or bilateral;
            ``{place}``: a part of the lungs with its article; ``{degree}``: mild to severe; ``{size}``: small to large.
        bilateral: the same of both sides, where "a bilateral" would be wrong.
    """

    name: str
    midline: bool = False
    single: bool = False
    usually_both: bool = False
    zones: tuple[str, ...] = ()
    report_words: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    observation: str = ""
    phrases: tuple[str, ...] = ()
    present: str = ""
    absent: str = ""
    sentences: tuple[str, ...] = ()
    bilateral: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := [zone for zone in self.zones if zone not in ZONES]:
            self._refuse("zones", f"{unknown[0]!r}, expected some of {', '.join(ZONES)}")
        if self.observation and self.observation not in OBSERVATIONS:
            self._refuse("observation", f"{self.observation!r}, expected one of {', '.join(OBSERVATIONS)}")
        if self.midline == bool(self.report_words):
            found = "words beside midline=True" if self.midline else "none"
            self._refuse("report_words", f"{found}, expected some for a finding that has sides, and none for another")
        said = [bool(self.present), bool(self.absent), bool(self.sentences)]
        if any(said) and not (all(said) and self.observation):
            self._refuse("present, absent, sentences, observation", "some of them, expected all four or no sentence")
        if self.phrases and not self.observation:
            self._refuse("phrases", "some without an observation, expected the observation that they name")

    def _refuse(self, field: str, found: str) -> None:
        raise SimulationError(f"findings/kinds.py: {self.name}, {field}: found {found}. Mend its entry.")


#: In the order of the labels that the vision encoder learns, the rows of its shipped head: a new finding is the last.
KINDS: tuple[Kind, ...] = (
    Kind("Cardiomegaly", midline=True, headings=("Cardiomegaly",),
         observation="Cardiomegaly", present="The heart is enlarged.", absent="The heart is normal in size.",
         sentences=("The heart is {degree} enlarged.", "There is {degree} cardiomegaly.",
                    "Heart size is {degree} enlarged.", "The cardiac silhouette is enlarged.")),
    Kind("Pleural Effusion", report_words=("effusion", "pleural fluid", "hydropneumothora"),
         headings=("Pleural Effusion", "Hemothorax"),
         observation="Pleural Effusion", present="There is a pleural effusion.",
         absent="There is no pleural effusion.",
         sentences=("There is a {size} {side} pleural effusion.", "{size} {side} pleural effusion."),
         bilateral=("There are {size} bilateral pleural effusions.", "{size} bilateral pleural effusions.")),
    Kind("Blunted Costophrenic Angle", report_words=("blunt", "costophrenic")),
    Kind("Pneumothorax", zones=("apex", "base"), report_words=("pneumothora",), headings=("Pneumothorax",),
         observation="Pneumothorax", present="There is a pneumothorax.", absent="There is no pneumothorax.",
         sentences=("There is a {size} {side} pneumothorax.", "{size} {side} pneumothorax."),
         bilateral=("There are {size} bilateral pneumothoraces.", "{size} bilateral pneumothoraces.")),
    Kind("Pleural Thickening", zones=("apex", "base"),
         report_words=("pleural thick", "apical thick", "pleural scar", "apical cap", "pleuroparenchym"),
         observation="Pleural Other", present="There is pleural thickening.",
         absent="There is no pleural thickening.",
         sentences=("There is {side} pleural thickening.", "{degree} {side} pleural thickening.")),
    Kind("Atelectasis", zones=LUNG_ZONES, report_words=("atelecta", "collapse", "bandlike", "bibasilar", "basilar"),
         headings=("Pulmonary Atelectasis",),
         observation="Atelectasis", present="There is atelectasis.", absent="There is no atelectasis.",
         sentences=("There is {degree} atelectasis in {place}.", "Atelectasis in {place}.")),
    Kind("Opacity", zones=LUNG_ZONES, report_words=("opaci", "infiltrat", "airspace", "air space", "densit"),
         observation="Lung Opacity", present="There is an airspace opacity.", absent="The lungs are clear.",
         sentences=("There is an opacity in {place}.", "There is airspace opacity in {place}.",
                    "Opacity in {place}.")),
    Kind("Consolidation", zones=LUNG_ZONES, report_words=("consolid", "pneumoni"),
         headings=("Consolidation", "Pneumonia"),
         observation="Consolidation", present="There is a consolidation.", absent="There is no consolidation.",
         sentences=("There is consolidation in {place}.", "Consolidation in {place}.")),
    Kind("Edema", midline=True, headings=("Pulmonary Edema",),
         observation="Edema", present="There is pulmonary edema.", absent="There is no pulmonary edema.",
         sentences=("There is {degree} pulmonary edema.", "{degree} pulmonary edema.")),
    Kind("Vascular Congestion", midline=True, headings=("Pulmonary Congestion", "Blood Vessels"),
         observation="Edema", present="There is pulmonary vascular congestion.",
         absent="The pulmonary vascularity is normal.",
         sentences=("There is {degree} pulmonary vascular congestion.", "The pulmonary vasculature is prominent.")),
    Kind("Bronchovascular Markings", midline=True, zones=LUNG_ZONES, observation="Lung Opacity"),
    Kind("Interstitial Markings", midline=True, zones=LUNG_ZONES,
         headings=("Lung Diseases, Interstitial", "Fibrosis"), observation="Lung Opacity"),
    Kind("Nodule", zones=LUNG_ZONES, report_words=("nodul",), headings=("Nodule",),
         observation="Lung Lesion", present="There is a pulmonary nodule.", absent="There is no pulmonary nodule.",
         sentences=("There is a nodule in {place}.", "There is a {size} nodule in {place}."),
         bilateral=("There are nodules in {place}.", "{size} nodules in {place}.")),
    Kind("Mass", zones=LUNG_ZONES, report_words=("mass", "lesion"),
         observation="Lung Lesion", present="There is a lung mass.", absent="There is no lung mass.",
         sentences=("There is a mass in {place}.", "There is a {size} mass in {place}."),
         bilateral=("There are masses in {place}.",)),
    Kind("Calcified Granuloma", zones=LUNG_ZONES, report_words=("granulom", "calcifi"), headings=("Granuloma",)),
    Kind("Calcified Lymph Nodes", zones=("hilum", "mediastinum"), report_words=("calcifi", "lymph", "node")),
    Kind("Scar", zones=LUNG_ZONES, report_words=("scar", "fibro"), observation="Lung Opacity"),
    Kind("Emphysema", midline=True,
         headings=("Emphysema", "Pulmonary Emphysema", "Lung, Hyperlucent", "Hypovolemia")),
    Kind("Hyperinflation", midline=True, headings=("Pulmonary Disease, Chronic Obstructive",)),
    Kind("Hypoinflation", midline=True),
    Kind("Flattened Diaphragm", usually_both=True, report_words=("diaphragm",)),
    Kind("Elevated Diaphragm", report_words=("diaphragm",)),
    Kind("Eventration", report_words=("eventrat",), headings=("Diaphragmatic Eventration",)),
    Kind("Lucency", zones=LUNG_ZONES, report_words=("lucen", "bulla", "bleb", "cavit", "cyst")),
    Kind("Volume Loss", single=True, zones=("upper lobe", "middle lobe", "lower lobe"),
         report_words=("volume loss", "loss of volume", "loss of lung volume", "shift", "deviat", "lobectomy"),
         headings=("Volume Loss", "Shift"), observation="Lung Opacity"),
    Kind("Tortuous Aorta", midline=True),
    Kind("Aortic Calcification", midline=True, headings=("Atherosclerosis",)),
    Kind("Enlarged Mediastinum", midline=True, zones=("paratracheal",),
         headings=("Mediastinum", "Lymph Nodes", "Trachea, Carina"),
         observation="Enlarged Cardiomediastinum", present="The mediastinum is widened.",
         absent="The mediastinum is normal.",
         sentences=("The mediastinum is widened.", "There is widening of the mediastinum.")),
    Kind("Enlarged Hilum", usually_both=True, report_words=("hilar", "hilum", "hila", "pulmonary arter"),
         headings=("Pulmonary Artery", "Hypertension, Pulmonary")),
    Kind("Epicardial Fat", usually_both=True, report_words=("fat",), headings=("Epicardial Fat",)),
    Kind("Hiatal Hernia", midline=True, headings=("Hernia, Hiatal",)),
    Kind("Scoliosis", single=True, report_words=("scolio", "dextro", "levo", "curvature", "convex"),
         headings=("Scoliosis",)),
    Kind("Kyphosis", midline=True, headings=("Kyphosis",)),
    Kind("Degenerative Spine", midline=True),
    Kind("Vertebral Deformity", midline=True, zones=("lumbar",), observation="Fracture"),
    Kind("Rib Fracture", report_words=("rib",),
         observation="Fracture", present="There is a rib fracture.", absent="There is no rib fracture.",
         sentences=("There is a {side} rib fracture.", "{side} rib fracture."),
         bilateral=("There are bilateral rib fractures.",)),
    Kind("Clavicle Fracture", report_words=("clavic",),
         observation="Fracture", present="There is a clavicle fracture.", absent="There is no clavicle fracture.",
         sentences=("There is a {side} clavicle fracture.", "{side} clavicle fracture."),
         bilateral=("There are bilateral clavicle fractures.",)),
    Kind("Osteopenia", midline=True, headings=("Bone Diseases, Metabolic",)),
    Kind("Spinal Hardware", midline=True, zones=("neck", "lumbar"), headings=("Spinal Fusion",),
         observation="Support Devices"),
    Kind("Device", single=True, zones=("heart",),
         report_words=("pacemaker", "pacer", "generator", "icd", "aicd", "defibrillator", "device", "stimulator"),
         observation="Support Devices", present="A pacemaker is in place.", absent="There is no pacemaker.",
         sentences=("A pacemaker is in place.", "There is a {side} sided pacemaker."),
         bilateral=("A pacemaker is in place.",)),
    Kind("Catheter", report_words=("catheter", "picc", "line", "port", "jugular", "ij", "subclavian"),
         observation="Support Devices", present="A central venous catheter is in place.",
         absent="There is no catheter.",
         sentences=("A {side} central venous catheter is in place.", "There is a {side} central venous catheter."),
         bilateral=("Central venous catheters are in place.",)),
    Kind("Tube", single=True, zones=("trachea", "abdomen", "thorax"), report_words=("tube",),
         observation="Support Devices", present="There is an endotracheal tube.",
         absent="There is no endotracheal tube.",
         sentences=("There is {kind} tube.", "{kind} tube is in place.")),
    Kind("Surgical Clips", zones=(*LUNG_ZONES, "breast", "axilla", "neck", "abdomen"),
         report_words=("clip", "suture", "surgical"), observation="Support Devices"),
    Kind("Sternal Wires", midline=True, observation="Support Devices"),
    Kind("Stent", single=True, zones=("heart", "aorta", "abdomen"), report_words=("stent",),
         observation="Support Devices"),
    Kind("Foreign Body", zones=(*LUNG_ZONES, "breast", "neck", "abdomen"),
         report_words=("foreign", "bullet", "piercing", "ring", "fragment")),
)  # fmt: skip
