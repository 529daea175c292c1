"""The controls of the diffusion that most pictures do without."""

from __future__ import annotations

from ..protocol.limits import MAX_CFG, MAX_STEPS, MAX_WEIGHT
from ..protocol.request import Decoding, Injection, Sampler
from ..qt import QtWidgets
from ..translation import mark, tr
from . import fields

SAMPLERS = {
    Sampler.DPMPP_2M_KARRAS: "DPM++ 2M Karras",
    Sampler.DPMPP_2M_SDE_KARRAS: "DPM++ 2M SDE Karras",
    Sampler.EULER_A: "Euler a",
    Sampler.UNIPC: "UniPC",
}
INJECTIONS = {Injection.ATTENTION: mark("Attention"), Injection.CONVOLUTION: mark("Convolution")}
DECODINGS = {Decoding.FULL: mark("Careful (8 passes)"), Decoding.FAST: mark("Fast")}


class Advanced(QtWidgets.QWidget):
    """Steps, CFG and what else decides a picture; `fields` are its settings by name."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = fields.whole("steps", 1, MAX_STEPS, tr("How often the picture is refined."))
        self.cfg = fields.decimal("cfg", MAX_CFG, 0.5, tr("How strictly the picture follows the prompt."))
        self.sampler = fields.choices("sampler", SAMPLERS, tr("The solver that turns noise into a picture."))
        self.weight = fields.decimal(
            "weight", MAX_WEIGHT, 0.05, tr("How strongly layers are asked for; at 0 the model draws plain pictures.")
        )
        self.stop_at = fields.decimal(
            "stop_at", 1, 0.05, tr("After this part of the time the model goes on without being asked for layers.")
        )
        self.injection = fields.choices("injection", INJECTIONS, tr("Which SDXL file makes things transparent."))
        self.decoding = fields.choices("decoding", DECODINGS, tr("How carefully transparency is found."))
        fields.grid(
            self,
            [
                (tr("Steps"), self.steps),
                (tr("CFG"), self.cfg),
                (tr("Sampler"), self.sampler),
                (tr("Weight"), self.weight),
                (tr("Stop at"), self.stop_at),
                (tr("Injection"), self.injection),
                (tr("Decoding"), self.decoding),
            ],
        )
        self.fields = {
            "steps": fields.number(self.steps),
            "cfg": fields.number(self.cfg),
            "sampler": fields.choice(self.sampler, Sampler),
            "weight": fields.number(self.weight),
            "stop_at": fields.number(self.stop_at),
            "injection": fields.choice(self.injection, Injection),
            "decoding": fields.choice(self.decoding, Decoding),
        }

    def show_family(self, family: str) -> None:
        """Offer what means something to a family of models."""
        self.injection.setEnabled(family == "sdxl")
