"""Which options $ESTIMATION and $COVARIANCE have (NONMEM help), and which of them act here.

Most of them steer NONMEM's own search, sampling or output and do not change what the maximum of the likelihood is: they
are accepted and named in a note. Those that change the model, the data or what is maximised stop.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from nlmevae.errors import ModelSyntaxError, UnsupportedError
from nlmevae.frontends.nonmem.options import Option, abbreviates

#: METHOD of the classical methods, which read MAXEVALS, and of those that read EONLY.
CLASSICAL = ("0", "ZERO", "1", "CONDITIONAL", "HYBRID")
EM = ("ITS", "IMP", "IMPMAP", "SAEM", "DIRECT")

#: A user-defined likelihood: Y is no prediction.
LIKELIHOOD = ("LIKELIHOOD", "-2LOGLIKELIHOOD", "-2LLIKELIHOOD", "-2LL")

#: Options that act, or that ask for what is done anyway (individual modes are always computed).
USED = (
    "METHOD", "MAXEVALS", "EONLY", "BIONLY", "OMITTED", "INTERACTION", "NOINTERACTION", "SEED", "FILE",
    "FORMAT", "DELIM", "NOTITLE", "NOLABEL", "PREDICTION", "POSTHOC",
)  # fmt: skip

#: Options without effect: of NONMEM's search, of its sampling, of its own output. The first one that a shortened name
#: fits is meant.
NOT_APPLICABLE = (
    "PRINT", "MSFO", "ORDER", "NSIGDIGITS", "SIGDIGITS", "SIGL", "SIGLO", "ABORT", "NOABORT", "NOHABORT",
    "SADDLE_RESET", "SADDLE_HESS", "LAPLACIAN", "LAPLACE", "NOLAPLACIAN", "NUMERICAL", "NONUMERICAL",
    "NOPOSTHOC", "HYBRID", "CENTERING", "NOCENTERING", "FO", "NOFO", "ETABARCHECK", "NOETABARCHECK", "SLOW",
    "NOSLOW", "FAST", "NOFAST", "SORT", "NOSORT", "REPEAT", "NOREPEAT", "REPEAT1", "NOREPEAT1", "REPEAT2",
    "NOREPEAT2", "STIELTJES", "GRID", "THETABOUNDTEST", "NOTHETABOUNDTEST", "TBT", "NOTBT", "OMEGABOUNDTEST",
    "NOOMEGABOUNDTEST", "OBT", "NOOBT", "SIGMABOUNDTEST", "NOSIGMABOUNDTEST", "SBT", "NOSBT", "ETASTYPE",
    "FNLETA", "FNLMOD", "MCETA", "OPTMAP", "ETADER", "NUMDER", "NONINFETA", "KNUTHSUMOFF", "NOPRIOR", "PRIORC",
    "LNTWOPI", "OLNTWOPI", "NOCOV", "NOSUB", "TOL", "ATOL", "SSTOL", "SSATOL", "AUTO", "NBURN", "NITER",
    "NSAMPLE", "ISAMPLE", "ISAMPEND", "ISCALE_MIN", "ISCALE_MAX", "IACCEPT", "IACCEPTL", "PACCEPT", "OACCEPT",
    "DF", "DFS", "STDOBJ", "CTYPE", "CITER", "CNSAMP", "CINTERVAL", "CALPHA", "CONSTRAIN", "CLOCKSEED",
    "RANMETHOD", "MAPITER", "MAPITERS", "MAPINTER", "MAPCOV", "MUM", "GRD", "THIN", "OVARF", "SVARF",
    "BAYES_PHI_STORE", "PHITYPE", "ETASAMPLES", "EVALSHORT", "SELECT", "TBLN", "DERCONT", "KAPPA", "IKAPPA",
    "MADAPT", "MASSRESET", "PMADAPT", "PKAPPA", "TPU", "GRDQ", "WISHTYPE",
    "PSCALE_MAX", "PSCALE_MIN", "LEVWT", "LEVCENTER", "PARAFILE", "PARAFPRINT", "FPARAFILE",
)  # fmt: skip
_FAMILIES = ("NUTS", "ISAMPLE_M", "PSAMPLE_M", "OSAMPLE_M")

#: Distributions of parameters: with them the maximum of the likelihood is not what is asked for.
PRIORS = ("TTDF", "OLKJDF", "SLKJDF")

#: Options of $COVARIANCE that act; SIRSAMPLE has a warning of its own.
COVARIANCE_USED = ("MATRIX", "UNCONDITIONAL", "CONDITIONAL", "OMITTED", "SIRSAMPLE")
COVARIANCE_NOT_APPLICABLE = (
    "PRINT", "SPECIAL", "COMPRESS", "SLOW", "NOSLOW", "FAST", "TOL", "ATOL", "SIGL", "SIGLO", "NOFCOV", "THBND",
    "E", "R", "S", "PARAFILE", "PARAFPRINT", "RESUME", "NORESUME", "FILE", "FORMAT", "IACCEPT", "IACCEPTL",
    "RANMETHOD", "PRECOND", "PRECONDS", "PFCOND", "PRETYPE", "FPOSDEF", "CHOLROFF", "KNUTHSUMOFF", "POSDEF",
    "SIRNITER", "SIRCENTER", "SIRDF", "SIRPRINT", "SIRTHBND", "SIRMINWT", "SIRMAXWT", "SIR_CAPCORR", "SIRSEED",
    "SIRCLOCKSEED", "SIRPARAFILE", "SIRPARAFPRINT",
)  # fmt: skip


def estimation_option(option: Option) -> str:
    """The full name of an option of $ESTIMATION.

    Raises:
        UnsupportedError: it changes the model or what is maximised.
        ModelSyntaxError: NONMEM has no such option.
    """
    if option.key in LIKELIHOOD or abbreviates(option.key, *LIKELIHOOD):
        raise UnsupportedError(
            f"$ESTIMATION {option.token.text}: a user-defined likelihood is not supported",
            hint="remove it if Y is a prediction with residual error",
            location=option.at,
        )
    if option.key == "ZERO":
        raise UnsupportedError(
            f"$ESTIMATION ZERO={option.value}: random effects cannot be kept at 0 in a part of the estimation",
            hint="remove ZERO and METHOD=HYBRID to estimate with all of them, or take the ETAs out of the model",
            location=option.at,
        )
    if option.key == "BOOTDATA":
        if switched_on(option):
            raise UnsupportedError(
                "$ESTIMATION BOOTDATA=1: nlmevae does not draw subjects, so there are none that were not drawn",
                hint="remove BOOTDATA to estimate from all subjects",
                location=option.at,
            )
        return option.key
    if option.key.startswith(_FAMILIES):
        return option.key
    return _full_name(option, "ESTIMATION", (*PRIORS, *USED, *NOT_APPLICABLE), ("ZERO", "BOOTDATA", *LIKELIHOOD))


def covariance_option(option: Option) -> str:
    """The full name of an option of $COVARIANCE; ModelSyntaxError if NONMEM has no such option."""
    return _full_name(option, "COVARIANCE", (*COVARIANCE_USED, *COVARIANCE_NOT_APPLICABLE))


def switched_on(option: Option) -> bool:
    """``NOTITLE``, ``NOTITLE=1``; not ``NOTITLE=0``."""
    return option.value is None or option.value.strip().strip("0.") != ""


def as_written(option: Option) -> str:
    """``SIGL=9``, ``NOABORT``."""
    return option.token.text if option.value is None else f"{option.token.text}={' '.join(option.value.split())}"


def _full_name(option: Option, record: str, known: tuple[str, ...], others: Iterable[str] = ()) -> str:
    if option.key in known:
        return option.key
    for name in known:
        if abbreviates(option.key, name):
            return name
    near = get_close_matches(option.key, (*known, *others), n=1)
    is_number = option.key.lstrip("+-.")[:1].isdigit()
    hint = "write values behind a name and =, as MAXEVAL=9999" if is_number else "remove it"
    raise ModelSyntaxError(
        f"{option.token.text} is not an option of ${record}",
        hint=f"did you mean {near[0]}?" if near else hint,
        location=option.at,
    )
