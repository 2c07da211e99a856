"""NM-TRAN's reserved names: what a program may not do with them in this engine, and why."""

from __future__ import annotations

#: Names NONMEM gives a meaning this engine does not execute -> what to do instead.
UNSUPPORTED_NAMES: dict[str, str] = {
    "NEWL2": "code that depends on level two records is not supported; remove it",
    "NIREP": "simulation is not supported; remove the statement",
    "NPROB": "only one $PROBLEM is run; remove the statement",
    "RPTI": "repeated passes over records are not supported; remove the statement",
    "RPTO": "repeated passes over records are not supported; remove the statement",
    "RPTON": "repeated passes over records are not supported; remove the statement",
    "PNEWIF": "parallel control is not supported; remove the statement",
    "ISFINL": "the code is only run for estimation; remove the statement",
    "COMSAV": "copying passes are not supported; compute the value as a data column",
    "COMRES": "copying passes are not supported; remove the statement",
    "MIXNUM": "mixture models are not supported; fit one population",
    "MIXEST": "mixture models are not supported; fit one population",
    "MIXP": "mixture models are not supported; fit one population",
    "DOSTIM": "code at dose times is not supported; compute the value as a data column",
    "DOSREC": "code at dose times is not supported; compute the value as a data column",
    "TSTATE": "code that reads the time of the state is not supported; in $DES use T",
    "MNEXT": "only MPAST(i) is: what changes at MTIME(i) is written with it",
    "MNOW": "only MPAST(i) is: what changes at MTIME(i) is written with it",
    "SKIP_": "remove the statement",
    "CTLO": "interval likelihoods are not supported; Y must be prediction plus residual error",
    "CTUP": "interval likelihoods are not supported; Y must be prediction plus residual error",
    "YUP": "interval likelihoods are not supported; Y must be prediction plus residual error",
    "PR_Y": "interval likelihoods are not supported; Y must be prediction plus residual error",
    "CDEN_": "interval likelihoods are not supported; Y must be prediction plus residual error",
    "CORRL2": "correlation between residual errors of different records is not supported; remove the statement",
    "CALLFL": "only -1, in $PK -2 and 1, in $ERROR 0 are; remove it: the code is then evaluated at every record",
    "TSCALE": "time scaling is not supported; use one time unit in data and model",
    "XSCALE": "time scaling is not supported; use one time unit in data and model",
    "PRED_IGNORE_DATA": "dropping records by code is not supported; write IGNORE=(...) in $DATA",
    "PRED_IGNORE_DATA_TEST": "dropping records by code is not supported; write IGNORE=(...) in $DATA",
    "HTIME": "hold times are not supported; compute the change as an IF on T in $DES",
}

#: What INCLUDE nonmem_reserved_general declares (the file itself; help for ADDITIONAL_RECORD_COUNTERS) and nothing else
#: here knows: state and switches of NONMEM's own methods.
_INTERNAL = """
    CCRANMETHOD CONSTRAIN CRANMETHOD DB DHPRIOR EFIRSTDOS EFIRSTOBS EFIRSTREC ELASTDOS ELASTOBS ELASTREC EPS73 EST_BAYES
    EST_CHAIN EST_COUNTER EST_DEFAULT EST_DIRECT EST_IMP EST_IMPMAP EST_ITS EST_SAEM EST_STANDARD ETASTYPE FIRSTDOS
    FIRSTOBS FIRSTREC IBMETHOD ICOMPRS IDPROB IEST_COUNTER IKEY_BEOPRINT IKEY_PITER IKEY_SUBJ IKEY_TERM IMP_MODE INFNTY
    IPRNV IPS IRANM IRECIDX ISEED ITABLE ITERATION ITER_REPORT ITS_MODE LASTDOS LASTOBS LASTREC LB LDF LEV MAXDREC MDVI1
    MDVI2 MDVI3 MEPS MIXPT NDATINDR NEPSZ NETAZ NIND NINDOBS NINDREC NOBSIND NOBSIND_MAX NPAT NRECIND NTHETA OBJI
    OMEGANNL PATCOUNT PI PITERPRINT PNM_COMMAND PNM_COMPUTERS PNM_MSLEEP PNM_MTOUCH PNM_NODES PNM_NODE_NUMBER
    PNM_PARAPRINT PNM_PARSE_NUMBER PNM_RUN_MODE PNM_SPLIT PNM_TIMEOUT PNM_TIMEOUTI PNM_TRANSFER_TYPE PNM_WORKER_DIRS
    PNM_WSLEEP PNM_WTOUCH RANMETHOD REPS RTSIGNAL SAEM_MODE SBANNER SIGD SMALL SPEC SQINFN SRANMETHOD SREPS STOL TFD TFI
    TOL TRANMETHOD UB
"""
INTERNAL_NAMES = frozenset(_INTERNAL.split())

#: Elements (NAME(index)) this engine does not execute -> what to do instead.
UNSUPPORTED_ELEMENTS: dict[str, str] = {
    "MNEXT": UNSUPPORTED_NAMES["MNEXT"],
    "MIXP": UNSUPPORTED_NAMES["MIXP"],
    "COM": "copying passes are not supported; compute the value as a data column",
    "P": "read the variable assigned in $PK by its name",
    "TNPRI": "prior distributions are not supported; remove $PRIOR",
    "LEVET": "random effects between levels are not supported; use one level of ETAs",
    "DA": "code of derivatives is not supported; remove it",
    "DP": "code of derivatives is not supported; remove it",
    "E": "algebraic equations ($AES) are not supported; solve them in $DES or $ERROR",
    "G": "code of derivatives is not supported; remove it",
    "HH": "code of derivatives is not supported; remove it",
    "AD_1": "delay differential equations are not supported",
    "AD_2": "delay differential equations are not supported",
}

#: Fortran's and NM-TRAN's names of the functions in `ir.FUNCTIONS`.
FUNCTION_NAMES: dict[str, str] = {
    "EXP": "EXP", "DEXP": "EXP",
    "LOG": "LOG", "ALOG": "LOG", "DLOG": "LOG",
    "LOG10": "LOG10", "ALOG10": "LOG10", "DLOG10": "LOG10",
    "SQRT": "SQRT", "DSQRT": "SQRT",
    "ABS": "ABS", "DABS": "ABS",
    "SIN": "SIN", "DSIN": "SIN", "COS": "COS", "DCOS": "COS", "TAN": "TAN", "DTAN": "TAN",
    "ASIN": "ASIN", "DASIN": "ASIN", "ACOS": "ACOS", "DACOS": "ACOS", "ATAN": "ATAN", "DATAN": "ATAN",
    "SINH": "SINH", "DSINH": "SINH", "COSH": "COSH", "DCOSH": "COSH", "TANH": "TANH", "DTANH": "TANH",
    "INT": "INT", "MOD": "MOD", "AMOD": "MOD", "DMOD": "MOD",
    "MIN": "MIN", "AMIN1": "MIN", "DMIN1": "MIN", "MAX": "MAX", "AMAX1": "MAX", "DMAX1": "MAX",
    "PHI": "PHI", "GAMLN": "GAMLN",
}  # fmt: skip

#: Protected functions that are not known (the others: `protected_functions`) -> the plain one to write.
PROTECTED_FUNCTIONS: dict[str, str] = {"PTAN": "TAN"}

#: Data items whose value belongs to one record, so that a variable assigned under a condition on them
#: would have to keep its value from record to record.
RECORD_ITEMS = frozenset(
    {"NEWIND", "NDREC", "TIME", "DATE", "DAT1", "DAT2", "DAT3", "DV", "MDV", "EVID", "AMT", "RATE", "II", "ADDL", "SS"}
)
