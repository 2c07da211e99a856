"""What a Monolix project calls things, where the model's own names are not enough."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nlmevae.ir import Model, ProjectCovariate, Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class MonolixNames:
    """All of it may be left out: names then follow from labels and individual parameters.

    Attributes:
        shown: name in programs, of an endpoint or of an element -> Mlxtran's name (``{"F_": "F", "Y": "concentration",
            "OMEGA(2,1)": "corr_V_ka"}``).
        transforms: individual parameter, as in programs -> its distribution; of those without a random effect, which
            the model does not know.
        categories: covariate -> what its values 0, 1, ... stand for.
        covariates: all of the project's; None: those of the data.
    """

    shown: Mapping[str, str] = field(default_factory=dict)
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    covariates: tuple[ProjectCovariate, ...] | None = None

    @classmethod
    def of_model(cls, model: Model) -> MonolixNames:
        """Of a Monolix project its own; of another model none."""
        project = model.project
        if project is None:
            return cls()
        return cls(
            shown=project.shown,
            transforms=project.transforms,
            categories={c.item: c.categories for c in project.covariates if c.categories and not c.computed},
            covariates=project.covariates,
        )

    def of(self, name: str) -> str:
        return self.shown.get(name, name)


def word(text: str) -> str:
    """Letters, digits and underscores, as Monolix writes names in its files: ``THETA(4)`` -> ``THETA4``, ``WT on CL``
    -> ``WT_on_CL``."""
    if re.fullmatch(r"(THETA|ETA|EPS)\(\d+\)", text):
        return re.sub(r"[()]", "", text)
    return re.sub(r"\W+", "_", text).strip("_") or "parameter"


def observation_names(names: Sequence[str]) -> tuple[str, ...]:
    """Of the endpoints, each a word of its own; y1, y2, ... where they would not differ (``DVID=1``, ``DVID/=1``)."""
    words = tuple(map(word, names))
    return words if len(set(words)) == len(words) else tuple(f"y{k}" for k in range(1, len(words) + 1))
