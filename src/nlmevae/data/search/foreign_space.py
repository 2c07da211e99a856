"""A search written in another program's language, put in the place of this program's options."""

from __future__ import annotations

import os
from typing import get_args

from nlmevae.data.dataset import Dataset
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import SettingsError
from nlmevae.ir import Diagnostic, Model
from nlmevae.ir.candidate import EffectForm

_LINEAR_AS = tuple(form for form in get_args(EffectForm) if form in ("power", "exponential"))


def with_foreign_space(
    spec: SearchSpec,
    model: Model,
    dataset: Dataset,
    *,
    scm_file: str | os.PathLike[str] | None,
    mfl: str | None,
    linear_as: str | None,
    model_path: str = "",
) -> tuple[SearchSpec, list[Diagnostic]]:
    """`spec` itself without `scm_file` and `mfl`.

    Raises:
        SettingsError: both are given, or other options that say what is searched.
        UnsupportedError: they ask for what cannot be searched exactly.
    """
    given = [f"--{name}" for name, value in (("scm-file", scm_file), ("mfl", mfl)) if value is not None]
    if linear_as is not None and linear_as not in _LINEAR_AS:
        raise SettingsError(f"linear_as is {linear_as!r}", hint="power and exponential are possible")
    if not given:
        if linear_as is not None:
            raise SettingsError(
                "--linear-as needs a search by --scm-file or --mfl", hint="give --forms power,exponential instead"
            )
        return spec, []
    own = [f"--{name}" for name in ("covariates", "parameters", "effects", "forms") if getattr(spec, name)]
    clash = [*given, *own]
    if len(clash) > 1:
        raise SettingsError(
            f"{' and '.join(clash)} each say what is searched",
            hint="give one of them; --force and --forbid may be added",
        )
    if scm_file is not None:
        from nlmevae.data.search.scm_space import read_scm_space

        return read_scm_space(scm_file, model, spec, linear_as=linear_as, model_path=model_path)
    from nlmevae.data.search.mfl import read_mfl
    from nlmevae.data.search.mfl_space import mfl_space

    return mfl_space(read_mfl(str(mfl)), model, dataset, spec, linear_as=linear_as)
