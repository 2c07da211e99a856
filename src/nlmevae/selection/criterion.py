"""What one more effect must be worth: penalties on the scale of -2 log-likelihood.

bicc   Delattre, Lavielle, Poursat (2014), the paper's equation 11: log N per coefficient on a parameter with a
       random effect, log n_tot on one without
bic    log N per coefficient
aic    2 per coefficient
lrt:p  the quantile 1 - p of chi-squared with as many degrees of freedom as the effect has coefficients
ebic   log N per coefficient and 2 log(number of candidates) per effect (Chen and Chen, Biometrika 95 (2008) 759-771,
       with gamma = 1)
mbic   log N per coefficient and 2 log(candidates on the parameter / 2) per effect, not below log N: the modified BIC
       (Bogdan, Ghosh, Doerge, Genetics 167 (2004) 989-999) of one regression per parameter, with two effects
       expected on each. With up to two candidates per parameter it is the BICc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.errors import SettingsError

NAMES = ("bicc", "bic", "aic", "lrt:p", "ebic", "mbic")
_TITLES = {"bicc": "BICc", "bic": "BIC", "aic": "AIC", "ebic": "Extended BIC", "mbic": "Modified BIC"}
#: Effects on one parameter that the modified BIC expects before seeing data.
_EXPECTED_EFFECTS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A selection criterion. kind: "bicc", "bic", "aic", "lrt", "ebic" or "mbic"; level: the p of "lrt"."""

    kind: str
    level: float | None = None

    @property
    def name(self) -> str:
        """As a user writes it."""
        return self.kind if self.level is None else f"{self.kind}:{self.level:g}"

    def penalties(
        self,
        *,
        n_coefficients: np.ndarray,
        random_effect: np.ndarray,
        n_subjects: int,
        n_obs_total: int,
        n_candidates: int,
        n_on_parameter: np.ndarray,
    ) -> np.ndarray:
        """(n_units,) charge of each effect, units of -2 log-likelihood.

        n_coefficients (n_units,); random_effect (n_units,) bool: does the effect's parameter have one; n_candidates:
        of the whole search; n_on_parameter (n_units,): on the effect's parameter.
        """
        k = np.asarray(n_coefficients, dtype=np.float64)
        log_n = np.log(n_subjects)
        if self.kind == "aic":
            return 2.0 * k
        if self.kind == "lrt":
            return chi_squared_quantile(self.level, k)
        if self.kind in ("bicc", "mbic"):
            own = k * np.where(np.asarray(random_effect, dtype=bool), log_n, np.log(n_obs_total))
            return own if self.kind == "bicc" else own + _for_number(n_on_parameter, _EXPECTED_EFFECTS)
        return k * log_n + (_for_number(n_candidates, 1.0) if self.kind == "ebic" else 0.0)

    def sentence(self, *, n_subjects: int, n_obs_total: int, n_candidates: int, n_on_parameter: np.ndarray) -> str:
        """What it charges, with the numbers of this search."""
        log_n = f"log({n_subjects}) = {np.log(n_subjects):.2f}"
        if self.kind == "aic":
            return "AIC charges 2 per coefficient."
        if self.kind == "lrt":
            first, second = chi_squared_quantile(self.level, np.array([1.0, 2.0]))
            return (
                f"Likelihood-ratio criterion at p = {self.level:g}: an effect with one coefficient costs {first:.2f}, "
                f"one with two {second:.2f} (chi-squared quantiles)."
            )
        title = _TITLES[self.kind]
        if self.kind == "bicc":
            return (
                f"{title} charges {log_n} per coefficient on a parameter with a random effect, "
                f"log({n_obs_total}) = {np.log(n_obs_total):.2f} on one without."
            )
        if self.kind == "bic":
            return f"{title} charges {log_n} per coefficient."
        if self.kind == "ebic":
            multiplicity = f"2 log({n_candidates}) = {_for_number(n_candidates, 1.0):.2f} per effect for the candidates"
        else:
            most = int(np.max(n_on_parameter))
            charge = float(_for_number(most, _EXPECTED_EFFECTS))
            multiplicity = (
                f"2 log({most}/{_EXPECTED_EFFECTS:g}) = {charge:.2f} per effect for the candidates on a parameter"
            )
            if most <= _EXPECTED_EFFECTS:
                multiplicity = f"nothing more, with at most {most} candidates on a parameter"
            elif np.min(n_on_parameter) < most:
                multiplicity += ", less where there are fewer"
        return f"{title} charges {log_n} per coefficient and {multiplicity}."


def _for_number(n_candidates: np.ndarray | int, expected: float) -> np.ndarray:
    """2 log(number of candidates / expected effects), not below 0."""
    return np.maximum(2.0 * np.log(np.maximum(n_candidates, 1) / expected), 0.0)


def title_of(kind: str) -> str:
    """As it is written in text: ``bicc`` -> BICc; what has no other name as it is."""
    return _TITLES.get(kind, kind.upper())


def parse_criterion(text: str) -> Criterion:
    """ "bicc", "bic", "aic", "lrt:0.01", "ebic", "mbic"; capitals do not matter.

    Raises:
        SettingsError: any other text, or a p outside (0, 1).
    """
    kind, colon, rest = text.strip().lower().partition(":")
    if kind == "lrt":
        return Criterion(kind="lrt", level=_level(text, rest))
    if colon or kind not in NAMES:
        raise SettingsError(
            f"'{text}' is not a selection criterion.", hint=f"Choose one of {', '.join(NAMES)} (for example lrt:0.01)."
        )
    return Criterion(kind=kind)


def chi_squared_quantile(p: float | None, degrees: np.ndarray) -> np.ndarray:
    """The values that chi-squared variables with these degrees of freedom exceed with probability p."""
    from scipy.special import gammainccinv

    return 2.0 * gammainccinv(np.asarray(degrees) / 2.0, p)


def _level(text: str, rest: str) -> float:
    hint = "Write the significance level after a colon, between 0 and 1: lrt:0.01."
    try:
        level = float(rest)
    except ValueError:
        raise SettingsError(f"'{text}' has no significance level.", hint=hint) from None
    if not 0.0 < level < 1.0:
        raise SettingsError(f"The significance level of '{text}' is not between 0 and 1.", hint=hint)
    return level
