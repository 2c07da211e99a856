"""One model, one-compartment with CL and V, in many styles of writing a control stream."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import dataclass

PARAMETERS = ("typical", "direct", "mu", "mu_log", "if_block", "if_line", "carrier", "second", "continued")
THETAS = ("one_line", "records", "lines", "numbered", "named", "names_option", "repeated", "commas", "units")
NAMES = ("plain", "abbr", "abbr_eta")
CASES = ("upper", "lower")
INDENTS = ("", "  ", "\t")
COMMENTS = (False, True)
ENDS = ("\n", "\r\n")
EQUALS = (" = ", "=")
ORDERS = ("usual", "thetas_first", "code_last")
TAILS = ("", "newline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    parameters: str
    thetas: str
    names: str
    case: str
    indent: str
    comments: bool
    end: str
    equals: str
    order: str
    tail: str

    def __str__(self) -> str:
        indent = {"": "flush", "  ": "blanks", "\t": "tabs"}[self.indent]
        parts = [self.parameters, self.thetas, self.names, self.case, indent, self.order]
        return "-".join((*parts, "comments" if self.comments else "bare", "crlf" if self.end == "\r\n" else "lf"))


def styles(count: int, seed: int = 1) -> list[Style]:
    """`count` of them: every value of every axis with every other of at least the first two axes."""
    rng = random.Random(seed)
    axes = {
        "names": NAMES, "case": CASES, "indent": INDENTS, "comments": COMMENTS, "end": ENDS, "equals": EQUALS,
        "order": ORDERS, "tail": TAILS,
    }  # fmt: skip
    pairs = itertools.cycle(itertools.product(PARAMETERS, THETAS))
    found: dict[Style, None] = {}
    while len(found) < count:
        parameters, thetas = next(pairs)
        chosen = {name: rng.choice(values) for name, values in axes.items()}
        found[Style(parameters=parameters, thetas=thetas, **chosen)] = None
    return list(found)


def stream_text(style: Style) -> str:
    """The control stream."""
    head = ["$PROBLEM styles", "$INPUT ID TIME AMT DV WT SEX AGE", "$DATA data.csv IGNORE=@"]
    head += [*_abbreviations(style), "$SUBROUTINES ADVAN1 TRANS2", ""]
    code = [
        "$PK",
        *(_line(style, text, k) for k, text in enumerate(_pk(style))),
        "",
        "$ERROR",
        _line(style, "Y = F + F*EPS(1)", 0),
    ]
    variances = ["$OMEGA 0.1 ; IIV_CL", "$OMEGA 0.2", "$SIGMA 0.04"]
    last = ["$ESTIMATION METHOD=1 INTERACTION MAXEVAL=9999", "$COVARIANCE ; and no more"]
    thetas = _thetas(style)
    match style.order:
        case "thetas_first":
            records = [*head, *thetas, *variances, *code, *last]
        case "code_last":
            records = [*head, *thetas, *variances, *last, *code]
        case _:
            records = [*head, *code, *thetas, *variances, *last]
    lines = [_cased(style, line) for line in records]
    return style.end.join(lines) + (style.end if style.tail else "")


def _abbreviations(style: Style) -> list[str]:
    if style.names == "abbr":
        return ["$ABBREVIATED REPLACE THETA(TCL)=THETA(1)", "$ABBR REPLACE THETA(TV)=THETA(2)"]
    if style.names == "abbr_eta":
        return ["$ABBR REPLACE ETA_CL=ETA(1)", "$ABBR REPLACE ETA(IV)=ETA(2)"]
    return []


def _pk(style: Style) -> list[str]:
    cl, v = ("THETA(1)", "THETA(2)")
    if style.names == "abbr":
        cl, v = ("THETA(TCL)", "THETA(TV)")
    elif style.thetas == "named":
        cl, v = ("THETA(CL)", "THETA(V)")
    one, two = ("ETA_CL", "ETA(IV)") if style.names == "abbr_eta" else ("ETA(1)", "ETA(2)")
    match style.parameters:
        case "typical":
            lines = [f"TVCL = {cl}", f"CL = TVCL*EXP({one})", f"TVV = {v}", f"V = TVV*EXP({two})"]
        case "direct":
            lines = [f"CL = {cl}*EXP({one})", f"V = {v}*EXP({two})"]
        case "mu":
            lines = [f"MU_1 = LOG({cl})", f"CL = EXP(MU_1 + {one})", f"MU_2 = LOG({v})", f"V = EXP(MU_2+{two})"]
        case "mu_log":
            lines = [
                f"LTVCL = LOG({cl})",
                "MU_1 = LTVCL",
                f"CL = EXP(MU_1+{one})",
                f"MU_2 = LOG({v})",
                f"V = EXP({two} + MU_2)",
            ]
        case "if_block":
            lines = [
                "IF (AGE.GT.65) THEN", f"  CL = {cl}*0.8*EXP({one})", "ELSE", f"  CL = {cl}*EXP({one})", "ENDIF",
                f"V = {v}*EXP({two})",
            ]  # fmt: skip
        case "if_line":
            lines = [f"TVCL = {cl}", "IF (AGE.GT.65) TVCL = TVCL*0.8", f"CL = TVCL*EXP({one})", f"V = {v}*EXP({two})"]
        case "carrier":
            lines = [f"ECL = EXP({one})", f"CL = {cl}*ECL", f"V = EXP({two})*{v}"]
        case "second":
            lines = [f"CL = {cl}", f"CL = CL*EXP({one})", f"V = {v} * EXP({two})"]
        case _:
            lines = [f"CL = {cl} &", f"*EXP({one})", f"V = {v}*EXP(  {two} )"]
    return [*lines, "S1 = V"]


def _line(style: Style, text: str, k: int) -> str:
    text = re.sub(r"(?<![.<>=/]) = ", style.equals, text, count=1)
    comment = ("", "  ; note; CL = ETA(1)", "\t;x")[k % 3] if style.comments and not text.endswith("&") else ""
    return f"{style.indent}{text}{comment}"


def _thetas(style: Style) -> list[str]:
    match style.thetas:
        case "one_line":
            return ["$THETA (0, 4) (0, 30)"]
        case "records":
            return ["$THETA (0, 4) ; CL", "$THETA (0, 30) ; V"]
        case "lines":
            return ["$THETA", "  (0, 4)     ; CL (L/h)", "  (0, 30)    ; V (L)"]
        case "numbered":
            return ["$THETA  (0,4)  ;1. CL", "$THETA  (0,30) ;2. V"]
        case "named":
            return ["$THETA CL=(0,4) V=(0,30)"]
        case "names_option":
            return ["$THETA NAMES(TCL,TV) (0,4)", " (0,30)"]
        case "repeated":
            return ["$THETA (0,4)x2"]
        case "commas":
            return ["$THETA (0,4,100),(0,30)"]
    return ["$THETA", "(0, 4) ; CL ; L/h ; LOG", "(0, 30) ; V ; L ; LOG", "", "; variances"]


def _cased(style: Style, line: str) -> str:
    return line.lower() if style.case == "lower" and not line.upper().startswith("$DATA") else line
