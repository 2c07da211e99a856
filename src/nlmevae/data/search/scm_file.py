"""What a PsN scm configuration file asks for: relations, states, their code, and the settings of its decisions."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal

from nlmevae.data.search.option_values import as_number
from nlmevae.data.search.scm_code import StateCode, read_code
from nlmevae.data.search.scm_text import ScmEntry, scm_entries
from nlmevae.data.search.suggestion import suggestion
from nlmevae.errors import Location, SettingsError

Direction = Literal["forward", "backward", "both"]

SECTIONS = (
    "test_relations", "valid_states", "included_relations", "code", "lower_bounds", "upper_bounds", "inits",
    "ofv_forward", "ofv_backward",
)  # fmt: skip

#: Settings that say what is searched or how it is decided; each is read.
_READ = frozenset({
    "model", "search_direction", "p_forward", "p_backward", "p_value", "pvalue", "gof", "continuous_covariates",
    "categorical_covariates", "logit", "time_varying", "missing_data_token", "max_steps",
})  # fmt: skip
#: Settings of PsN's runs, which have no meaning for a search in one run: nothing is lost when they are not read.
_OF_PSN = frozenset({
    "directory", "logfile", "retries", "min_retries", "threads", "nm_version", "nmfe", "nmfe_options", "nmqual",
    "picky", "tweak_inits", "abort_on_fail", "compress", "clean", "seed", "crash_restarts", "handle_crashes",
    "nm_output", "shrinkage", "cpu_time", "grid_batch_size", "grid_poll_interval", "run_on_lsf", "lsf_resources",
    "lsf_queue", "lsf_project_name", "lsf_job_name", "lsf_ttl", "lsf_options", "run_on_torque", "run_on_sge",
    "run_on_slurm", "run_on_ud", "run_on_zink", "torque_queue", "torque_prefix_command", "sge_queue",
    "sge_resource", "slurm_account", "slurm_partition", "slurm_prepend_flags", "nodes", "model_subdir",
    "parallel_states", "one_model_per_covariate", "only_successful", "linearize", "epsilon", "error", "error_code",
    "foce", "nointer", "noabort", "second_order", "update_derivatives", "lst_file", "derivatives_data",
    "do_not_drop", "base_ofv", "global_init", "extra_files", "degree", "significant_digits_accept",
    "accepted_ofv_difference", "add_retries", "verbose", "silent", "rplots", "ctype4", "always_datafile_in_nmrun",
    "check_nmtran", "display_iterations", "last_est_complete", "prepend_model_file_name", "quick_summarize", "so",
    "zip", "nice", "estimate_fo", "sde", "both_directions", "parafile",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ScmRelation:
    """``CL=WGT`` of [test_relations]."""

    parameter: str
    covariate: str
    at: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class ScmInclusion:
    """``CL=WGT-2`` of [included_relations]."""

    parameter: str
    covariate: str
    state: int
    at: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class ScmFile:
    """Names are upper case.

    Attributes:
        model: as the file names it, "" if it does not.
        p_forward, p_backward: None where not given (PsN's own are 0.05 and 0.01).
        missing: PsN's missing_data_token.
        max_steps: None without a limit.
        has_bounds: the file has bounds or initial estimates of coefficients.
        decides_by_ofv: gof=ofv, the limits of [ofv_forward] and [ofv_backward] count.
    """

    path: str
    model: str
    direction: Direction
    p_forward: float | None
    p_backward: float | None
    continuous: tuple[str, ...]
    categorical: tuple[str, ...]
    logit: tuple[str, ...]
    missing: float
    relations: tuple[ScmRelation, ...]
    included: tuple[ScmInclusion, ...]
    continuous_states: tuple[int, ...]
    categorical_states: tuple[int, ...]
    codes: tuple[StateCode, ...]
    max_steps: str | None
    has_bounds: bool
    decides_by_ofv: bool

    def states(self, covariate: str) -> tuple[int, ...]:
        return self.categorical_states if covariate in self.categorical else self.continuous_states

    def code_of(self, parameter: str, covariate: str, state: int) -> StateCode | None:
        """The entry of [code] for a state: the one with fewer "*" counts."""
        fitting = [c for c in self.codes if c.fits(parameter, covariate, state)]
        return min(fitting, key=lambda c: c.n_stars, default=None)


def read_scm_file(path: str | os.PathLike[str]) -> ScmFile:
    """
    Raises:
        SettingsError: it cannot be read, or a part of it is unknown or contradictory; with its place.
    """
    sections, entries = scm_entries(path)
    by_section: dict[str, dict[str, ScmEntry]] = {name: {} for name in ("", *SECTIONS)}
    for entry in entries:
        if entry.section not in by_section:
            raise SettingsError(
                f"[{entry.section}] is no section of an scm file that is known here",
                hint=suggestion(entry.section, SECTIONS, "sections are"),
                location=entry.at(),
            )
        by_section[entry.section][entry.key.lower() if not entry.section else entry.key.upper()] = entry
    settings = by_section[""]
    _check_settings(settings.values())
    if "test_relations" not in sections or not by_section["test_relations"]:
        raise SettingsError(
            f"{path} has no [test_relations], which says what is searched",
            hint="add it, with a line like CL=WGT,AGE; if this is no configuration file of scm, give one",
        )
    scm = ScmFile(
        path=str(path),
        model=settings["model"].value if "model" in settings else "",
        direction=_direction(settings.get("search_direction")),
        p_forward=_number(settings.get("p_forward") or settings.get("p_value") or settings.get("pvalue")),
        p_backward=_number(settings.get("p_backward") or settings.get("p_value") or settings.get("pvalue")),
        continuous=_words(settings.get("continuous_covariates")),
        categorical=_words(settings.get("categorical_covariates")),
        logit=_words(settings.get("logit")),
        missing=_missing(settings.get("missing_data_token")),
        relations=_relations(by_section["test_relations"]),
        included=_inclusions(by_section["included_relations"]),
        continuous_states=_states(by_section["valid_states"].get("CONTINUOUS"), (1, 2, 3)),
        categorical_states=_states(by_section["valid_states"].get("CATEGORICAL"), (1, 2)),
        codes=tuple(read_code(entry) for entry in by_section["code"].values()),
        max_steps=settings["max_steps"].value if "max_steps" in settings else None,
        has_bounds=any(by_section[name] for name in ("lower_bounds", "upper_bounds", "inits")),
        decides_by_ofv="gof" in settings and settings["gof"].value.lower() == "ofv",
    )
    _check(scm, by_section, settings)
    return scm


def _check_settings(entries) -> None:
    for entry in entries:
        if entry.key.lower() not in _READ | _OF_PSN:
            raise SettingsError(
                f"{entry.key} is no setting of scm that is known here, so it may change what is searched",
                hint=suggestion(entry.key, sorted(_READ), "settings that are read:") + "; remove the line if it is one "
                "of PsN's run settings",
                location=entry.at(),
            )


def _check(scm: ScmFile, by_section: dict[str, dict[str, ScmEntry]], settings: dict[str, ScmEntry]) -> None:
    """Names that belong together do."""
    for key in by_section["valid_states"]:
        if key not in ("CONTINUOUS", "CATEGORICAL"):
            entry = by_section["valid_states"][key]
            raise SettingsError(
                f"[valid_states] {entry.key}: kinds of covariates are continuous and categorical",
                hint="correct the name",
                location=entry.at(),
            )
    for name in scm.continuous:
        if name in scm.categorical:
            entry = settings["categorical_covariates"]
            raise SettingsError(
                f"{name} is continuous and categorical", hint="take it out of one list", location=entry.at(name)
            )
    for relation in scm.relations:
        if relation.covariate not in (*scm.continuous, *scm.categorical):
            raise SettingsError(
                f"{relation.covariate} is neither in continuous_covariates nor in categorical_covariates",
                hint="add it to one of them",
                location=relation.at,
            )
    tested = {(r.parameter, r.covariate) for r in scm.relations}
    for inclusion in scm.included:
        if (inclusion.parameter, inclusion.covariate) not in tested:
            raise SettingsError(
                f"{inclusion.parameter}-{inclusion.covariate} is included, but not in [test_relations]",
                hint=f"add {inclusion.covariate} to {inclusion.parameter} there",
                location=inclusion.at,
            )
    if "time_varying" in settings and (names := settings["time_varying"].words()):
        raise SettingsError(
            f"{', '.join(names)} change over time: only covariates with one value per subject are searched",
            hint="add the baseline value as a column, and name that column here",
            location=settings["time_varying"].at(),
        )


def _direction(entry: ScmEntry | None) -> Direction:
    value = "forward" if entry is None else entry.value.lower()
    if value not in ("forward", "backward", "both"):
        raise SettingsError(
            f"search_direction is {value!r}",
            hint="forward, backward and both are possible",
            location=entry and entry.at(),
        )
    return value  # type: ignore[return-value]


def _number(entry: ScmEntry | None) -> float | None:
    if entry is None:
        return None
    found = as_number(entry.value)
    if found is None or not 0.0 <= found <= 1.0:
        raise SettingsError(f"{entry.key} is {entry.value!r}", hint="give a number from 0 to 1", location=entry.at())
    return found


def _missing(entry: ScmEntry | None) -> float:
    """-99 is PsN's own."""
    found = -99.0 if entry is None else as_number(entry.value)
    if found is None:
        raise SettingsError(f"missing_data_token is {entry.value!r}", hint="give a number", location=entry.at())
    return found


def _words(entry: ScmEntry | None) -> tuple[str, ...]:
    return () if entry is None else tuple(dict.fromkeys(entry.words()))


def _relations(entries: dict[str, ScmEntry]) -> tuple[ScmRelation, ...]:
    found = []
    for parameter, entry in entries.items():
        if not entry.words():
            raise SettingsError(
                f"{parameter} has no covariates", hint="name some, or remove the line", location=entry.at()
            )
        for word in dict.fromkeys(entry.words()):
            found.append(ScmRelation(parameter=parameter, covariate=word, at=entry.at(word)))
    return tuple(found)


def _inclusions(entries: dict[str, ScmEntry]) -> tuple[ScmInclusion, ...]:
    found = []
    for parameter, entry in entries.items():
        for word in entry.words():
            covariate, _, state = word.rpartition("-")
            if not covariate or not state.isdigit():
                raise SettingsError(
                    f"{word} is not COVARIATE-STATE", hint="write it like WGT-2", location=entry.at(word)
                )
            found.append(
                ScmInclusion(parameter=parameter, covariate=covariate, state=int(state), at=entry.at(covariate))
            )
    return tuple(found)


def _states(entry: ScmEntry | None, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    if entry is None:
        return otherwise
    words = [w for w in re.split(r"[,\s]+", entry.value) if w]
    if not words or not all(w.isdigit() and int(w) > 0 for w in words):
        raise SettingsError(
            f"[valid_states] {entry.key} is {entry.value!r}", hint="give numbers, as in 1,2,4", location=entry.at()
        )
    return tuple(dict.fromkeys(int(w) for w in words))
