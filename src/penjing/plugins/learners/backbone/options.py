"""What a user may set for a backbone tier. Light: neither torch nor transformers is imported."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from penjing.core.errors import PlanError
from penjing.plugins.learners.backbone import models
from penjing.training.nets.augment_options import AugmentConfig
from penjing.training.regime import Regime, acting


class Options(Regime):
    """A model that has learnt from many pictures, with a linear head."""

    model: str = "efficientnet-lite0"
    """The model: a packaged one, path:FOLDER, hf:REPO[@REVISION], or a bare name: a packaged model, a folder, or (with a "/") one of the hub."""
    tune: Literal["frozen", "full"] = "frozen"
    """What is learnt: the head alone over a frozen model, or the head first and then everything (LP-FT)."""
    size: int | None = Field(default=None, ge=16, le=1024)
    """Pixels a side that pictures are brought to; the model's own size where none is given. Half of it costs a quarter of the time."""
    fit: Literal["crop", "stretch", "pad"] = "crop"
    """How a picture that is no square becomes one: its middle is cut out, it is stretched, or bars are added."""
    epochs: int = Field(default=5, ge=1, le=1000)
    """Most times that fine-tuning goes through the training rows; the best by validation loss, once calibrated, is kept. Only with tune: full, as
    all that says how a net descends."""
    learning_rate: float = Field(default=5e-4, gt=0, le=1)
    """Highest step of the optimizer. The default suits small convolutional models; transformers want 2e-5 to 1e-4. Only with tune: full."""
    batch_size: int = Field(default=32, ge=1, le=4096)
    """Rows in one step of fine-tuning. Only with tune: full."""
    augment: AugmentConfig = AugmentConfig()
    """Changes to training pictures by chance while fine-tuning; mirrored and cropped unless said otherwise. Whether a mirrored picture still shows
    the same depends on what is asked. Only with tune: full."""
    runtime: Literal["openvino-runtime", "onnx-runtime", "torch-runtime"] = "openvino-runtime"
    """The engine that the learnt model is exported to."""

    @property
    def alone(self) -> str:
        return "has nothing but a head to learn" if self.tune == "frozen" else ""

    @model_validator(mode="after")
    def _acts(self) -> Self:
        """Refuse what would do nothing."""
        acting(self, self.tune, {"augment": ("full",)}, ("full",))
        return self

    def resolved(self) -> dict[str, Any]:
        """Return the options with the model's folder in place of its name, and the size meant: what the processor is given. Raises PlanError."""
        model = models.described(models.resolve(self.model))
        return {**self.model_dump(mode="json"), "model": str(model.folder), "size": self.size_for(model)}

    def size_for(self, model: models.Model) -> int:
        """Return the pixels a side. Raises PlanError where the model reads no pictures of that size."""
        size = self.size or model.size
        if model.fixed and size != model.size:
            raise PlanError(f"The model {self.model!r} reads pictures of {model.size} pixels a side only, and size is {size}. Leave size out.")
        return size
