"""What a Monolix project asks for beyond the model, and what it calls things: its results folder is written by this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nlmevae.ir.expression import Expression
from nlmevae.ir.individual import Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectCovariate:
    """A covariate of the project: `value` reads items of covariates before it; `item` is its name in programs, a data
    item unless it is `computed`. `categories`: what its values 0, 1, ... stand for; empty: continuous."""

    name: str
    item: str
    value: Expression
    computed: bool = False
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRequest:
    """Of a Monolix project.

    Attributes:
        folder: `exportpath` as written; "" where it is not said.
        likelihood: the method of the -2LL in the folder; None: no log-likelihood task.
        samples: draws of each subject's parameters.
        shown: name in programs, of a parameter or of an element -> Mlxtran's name (``{"F_mlx": "F", "THETA(1)":
            "ka_pop", "OMEGA(2,1)": "corr_V_ka"}``).
        transforms: individual parameter without a random effect, in both spellings -> its distribution.
        covariates: in the order of Monolix's files.
    """

    folder: str = ""
    likelihood: Literal["is", "lin"] | None = "is"
    samples: int = 0
    shown: Mapping[str, str] = field(default_factory=dict)
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    covariates: tuple[ProjectCovariate, ...] = ()
