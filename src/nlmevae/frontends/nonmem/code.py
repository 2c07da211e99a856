"""Code records ($PK, $DES, $ERROR, $PRED) -> syntax trees, with errors people can act on.

The grammar is `code.lark`. Verbatim lines and head options are handled before it sees the text; they are
blanked without moving anything, so every token keeps its offset in the file.
"""

from __future__ import annotations

import functools
import re
from importlib import resources

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from nlmevae.errors import Location, ModelSyntaxError, UnsupportedError
from nlmevae.frontends.nonmem.included import without_declarations
from nlmevae.frontends.nonmem.records import Record, printable

_VERBATIM = re.compile(r"^[ \t]*\"([^\r\n]*)", re.MULTILINE)
_HARMLESS_VERBATIM = re.compile(
    r"\s*(!.*)?$|\s*(FIRST|MAIN|LAST)\s*(!.*)?$"
    r"|\s*(USE|SAVE|IMPLICIT|EXTERNAL|INTRINSIC)\b(?!\s*[=(])"
    r"|\s*IMAX\s*=\s*\d+\s*(!.*)?$"  # how many evaluations NONMEM's integrator may take
    r"|\s*(DOUBLE\s+PRECISION|REAL\s*\*\s*8|REAL\s*\([^)]*\))[^=]*$"
    r"|\s*(IF\s*\(.*\)\s*)?(WRITE|OPEN|CLOSE)\s*\(|\s*(IF\s*\(.*\)\s*)?PRINT\s*[*\('\"]",  # output
    re.IGNORECASE,
)
#: Declarations that change what is stored in the variables they name.
_DECLARATION = re.compile(
    r"\s*(?:(?:INTEGER|REAL|LOGICAL|CHARACTER|COMPLEX)\b(?:\s*\*\s*\d+|\s*\([^)]*\))?|DIMENSION\b|COMMON\s*/\s*\w*\s*/)"
    r"[\s:]*(?P<names>[A-Z][^=]*)$",
    re.IGNORECASE,
)
_ONLY_OBSERVATIONS = re.compile(
    r"(\(?[ \t]*(ONLY[ \t]+OBS\w*|OBS\w*[ \t]+ONLY)([ \t]+ONLY)?[ \t]*\)?|\([ \t]*OBS\w*([ \t]+EVENTS?)?[ \t]*\))"
    r"(?=[ \t]*(;|\r|\n|$))",
    re.IGNORECASE,
)
#: Which records evaluate the code, where that changes nothing at observations: all (-1), observations only (0, $ERROR),
#: additional and lagged doses too (-2, $PK; they have the values of the record behind them).
_INERT_CALLS = {"ERROR": "-1|0", "PK": "-1|-2"}
_CALLFL = r"^[ \t]*(?:\([ \t]*)?CALLFL[ \t]*=[ \t]*(?:{values})[ \t]*(?:\)[ \t]*)?(?=;|\r|$)"
_INERT_PHRASE = re.compile(
    r"\([ \t]*(?:EVERY([ \t]+EVENT)?|NON-?EVENT|ADDITIONAL[ \t]+OR[ \t]+LAGGED)[ \t]*\)", re.IGNORECASE
)
#: $PK with the first record of an individual only: `once_per_individual`.
_ONCE = re.compile(
    _CALLFL.format(values="1")
    + r"|\A\s*\([ \t]*(?:ONCE[ \t]+PER[ \t]+IND\w*[ \t]+REC\w*|ONCE/IND\.[ \t]*REC\.)[ \t]*\)",
    re.IGNORECASE | re.MULTILINE,
)
_CALLING_PROTOCOL = re.compile(r"\([ \t]*[A-Z][A-Z \t]*\)[ \t]*(?=;|\r|\n|$)", re.IGNORECASE)
_BLOCK_IF = re.compile(
    r"(?P<if>^[ \t]*IF[ \t]*\(.*\)[ \t]*THEN\b)|(?P<end>^[ \t]*END[ \t]*IF\b)|(?P<arm>^[ \t]*ELSE\b)", re.IGNORECASE
)
_COMPARE_ASSIGN = re.compile(r"^[ \t]*(ELSE[ \t]*)?IF[ \t]*\(", re.IGNORECASE)


@functools.cache
def _parser() -> Lark:
    grammar = resources.files(__package__).joinpath("code.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", start=["program", "expression"], maybe_placeholders=False)


def parse_code(record: Record, *more: Record) -> Tree:
    """The syntax tree of a code record, and of others of its name behind it as one; token offsets count from the start
    of the file.

    Raises:
        ModelSyntaxError: not legal code, with the place and the remedy.
        UnsupportedError: verbatim code, calling protocol phrases.
    """
    code = _code_text(record)
    for other in more:
        text = _code_text(other)
        code += "\n" * (len(code) < other.body) + " " * (other.body - len(code) - 1) + text[other.body :]
    try:
        return _parser().parse(code + "\n", start="program")
    except UnexpectedInput as error:
        raise _explain(record, code, error) from None


def expression_tree(text: str) -> Tree:
    """The syntax tree of one expression; lark's UnexpectedInput if it is none."""
    return _parser().parse(text, start="expression")


def _code_text(record: Record) -> str:
    """Everything before the code as blanks, then the code with verbatim comments blanked."""
    source = record.source
    body, _ = without_declarations(source.text[record.body : record.end])
    continued = False
    for match in _VERBATIM.finditer(body):
        inert = continued or _is_inert(match.group(1), source.text[record.body : record.end])
        continued = inert and match.group(1).rstrip().endswith("&")
        if not inert:
            raise UnsupportedError(
                "verbatim Fortran code cannot be run",
                hint='write the statement as abbreviated code, without the leading "',
                location=source.location(record.body + match.end() - len(match.group(1)) - 1, len(match.group(1)) + 1),
            )
        body = _blank(body, match.start(), match.end())
    protocol = _ONLY_OBSERVATIONS.search(body)
    if protocol and not body[: protocol.start()].strip():
        # which records evaluate the code does not change what observations get
        body = _blank(body, protocol.start(), protocol.end())
    every = _INERT_PHRASE.match(body.lstrip())
    if every:
        start = len(body) - len(body.lstrip())
        body = _blank(body, start, start + every.end())
    if record.name in _INERT_CALLS:
        calls = _CALLFL.format(values=_INERT_CALLS[record.name])
        for match in re.finditer(calls, body, re.IGNORECASE | re.MULTILINE):
            body = _blank(body, match.start(), match.end())
    once = _ONCE.search(body) if record.name == "PK" else None
    if once:
        body = _blank(body, once.start(), once.end())
    phrase = _CALLING_PROTOCOL.match(body.lstrip())
    if phrase:
        offset = record.body + len(body) - len(body.lstrip())
        raise UnsupportedError(
            f"the calling protocol {phrase.group().strip()} is not supported",
            hint="remove it: the code is then evaluated at every record",
            location=source.location(offset, len(phrase.group().strip())),
        )
    return " " * record.body + body


def includes_declarations(record: Record) -> bool:
    """Whether the code includes NONMEM's declarations of its internal variables (nonmem_reserved_general)."""
    return without_declarations(record.source.text[record.body : record.end])[1]


def once_per_individual(record: Record) -> Location | None:
    """Where $PK says that it is evaluated with the first record of each individual only."""
    match = _ONCE.search(record.source.text[record.body : record.end])
    if match is None:
        return None
    blanks = len(match.group()) - len(match.group().lstrip())
    return record.source.location(record.body + match.start() + blanks, len(match.group().strip()))


def only_observations(record: Record) -> bool:
    """Whether $ERROR is evaluated at observations only: (ONLY OBSERVATIONS), CALLFL=0."""
    body = record.source.text[record.body : record.end]
    protocol = _ONLY_OBSERVATIONS.search(body)
    by_phrase = protocol is not None and not body[: protocol.start()].strip()
    return by_phrase or bool(re.search(_CALLFL.format(values="0"), body, re.IGNORECASE | re.MULTILINE))


def _is_inert(line: str, code: str) -> bool:
    """A verbatim line that no prediction depends on: comments, declarations, output. A declaration may cut the
    values of its variables (INTEGER, single precision) or share them, so code must not use them."""
    if _HARMLESS_VERBATIM.match(line):
        return True
    declared = _DECLARATION.match(line.partition("!")[0].rstrip())
    if not declared:
        return False
    names = re.findall(r"[A-Z]\w*", re.sub(r"\([^)]*\)", "", declared.group("names")), re.IGNORECASE)
    plain = _VERBATIM.sub("", re.sub(r";[^\r\n]*", "", code))
    return not any(re.search(rf"\b{name}\b", plain, re.IGNORECASE) for name in names)


def _blank(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]


def _explain(record: Record, code: str, error: UnexpectedInput) -> ModelSyntaxError:
    """The most useful sentence for what lark found."""
    offset = min(error.pos_in_stream if error.pos_in_stream is not None else len(code), len(code))
    if isinstance(error, UnexpectedCharacters):
        character = printable(code[offset])
        return _error(record, offset, 1, f"{character!r} has no meaning in code", _character_hint(character))
    assert isinstance(error, UnexpectedToken)
    token = error.token
    if token.type == "$END":
        return _unclosed_if(record, code)
    width = len(str(token).splitlines()[0]) if str(token).strip() else 1
    start = _statement_start(code, record.body, offset)
    structure = _structure_error(record, code, offset, token.type)
    return structure or _statement_error(record, code[start:offset], start, offset, width, token, error)


def _error(record: Record, offset: int, width: int, message: str, hint: str) -> ModelSyntaxError:
    return ModelSyntaxError(message, hint=hint, location=record.source.location(offset, width))


def _character_hint(character: str) -> str:
    if character == "&":
        return "& continues a statement only as the last character of a line"
    if character == "$":
        return "a record must start on its own line"
    if character == '"':
        return 'verbatim code (lines that start with ") cannot be run; write abbreviated code'
    return "remove it, or put it in a comment after ;"


def _structure_error(record: Record, code: str, offset: int, kind: str) -> ModelSyntaxError | None:
    """Errors of block structure: ELSE, ELSEIF, ENDIF where no IF is open."""
    if kind == "_ENDDO":
        return _error(
            record, offset, 5, "ENDDO without a DO WHILE before it", "add DO WHILE (...), or remove this line"
        )
    words = {"_ENDIF": "ENDIF", "_ELSE": "ELSE", "_ELSEIF": "ELSEIF"}
    if kind not in words:
        return None
    if _open_ifs(code, record.body, offset):
        return _error(
            record,
            offset,
            len(words[kind]),
            f"{words[kind]} is not expected here",
            "put it on its own line, and ELSEIF before ELSE",
        )
    return _error(
        record,
        offset,
        len(words[kind]),
        f"{words[kind]} without an IF ... THEN before it",
        "add the IF (...) THEN line, or remove this line",
    )


def _unclosed_if(record: Record, code: str) -> ModelSyntaxError:
    opened = _open_ifs(code, record.body, len(code))
    offset = opened[-1] if opened else record.body
    return _error(record, offset, 2, "this IF has no ENDIF", "add ENDIF after its last statement")


def _open_ifs(code: str, begin: int, end: int) -> list[int]:
    """Offsets of the block IFs opened in code[begin:end] and not closed there."""
    stack: list[int] = []
    for start, text in _logical_lines(code, begin, end):
        match = _BLOCK_IF.match(text)
        if match and match.lastgroup == "if":
            stack.append(start + len(text) - len(text.lstrip()))
        elif match and match.lastgroup == "end" and stack:
            stack.pop()
    return stack


def _logical_lines(code: str, begin: int, end: int) -> list[tuple[int, str]]:
    """(offset, text without comment, continuations joined) of each statement line."""
    lines: list[tuple[int, str]] = []
    continued = False
    for match in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n|$)", code[begin:end]):
        text = match.group().partition(";")[0].rstrip("\r\n").rstrip()
        more = text.endswith("&")
        text = text[:-1] if more else text
        if continued and lines:
            lines[-1] = (lines[-1][0], lines[-1][1] + " " + text)
        else:
            lines.append((begin + match.start(), text))
        continued = more or (continued and not text.strip())
    return lines


def _statement_start(code: str, begin: int, offset: int) -> int:
    """Where the statement that holds `offset` begins."""
    starts = [start for start, _ in _logical_lines(code, begin, offset)]
    return max((s for s in starts if s < offset), default=begin)


def _statement_error(
    record: Record, before: str, start: int, offset: int, width: int, token: Token, error: UnexpectedToken
) -> ModelSyntaxError:
    """Errors inside one statement; `before` is its text up to the unexpected token."""
    clean = re.sub(r";[^\r\n]*", lambda m: " " * len(m.group()), before)
    opened = _open_parentheses(clean)
    shown = printable(str(token).strip()) or "the end of the line"
    previous = clean.rstrip()[-1:]
    if token.type == "_NL" and opened:
        return _error(record, start + opened[-1], 1, "this ( is never closed", "add the missing )")
    if token.type == "RPAR" and not opened:
        return _error(record, offset, 1, "this ) closes nothing", "remove it or add the missing (")
    if shown == "=" and _COMPARE_ASSIGN.match(clean):
        return _error(record, offset, 1, "= does not compare", "write .EQ. or == in a condition")
    if token.type in ("MINUS", "PLUS") and previous and previous in "*/":
        return _error(
            record,
            offset,
            1,
            f"a sign cannot follow the operator {previous}",
            f"put the signed value in parentheses: {previous}({shown}...)",
        )
    if token.type == "_NL":
        return _incomplete(record, start, offset, clean, error)
    if "_NL" in error.accepts and _COMPARE_ASSIGN.match(clean) and token.type != "NAME":
        return _error(record, offset, width, f"{shown} is not expected here", "end the line before it")
    return _error(
        record,
        offset,
        width,
        f"{shown} is not expected here",
        "check for a missing operator (+ - * / **), comma or parenthesis before it",
    )


def _incomplete(record: Record, start: int, offset: int, clean: str, error: UnexpectedToken) -> ModelSyntaxError:
    """The line ends too early."""
    stripped = clean.rstrip()
    end = start + max(0, len(stripped) - 1)
    if "_THEN" in error.accepts and re.match(r"[ \t]*ELSE", clean, re.IGNORECASE):
        return _error(record, end, 1, "ELSEIF needs THEN at the end of the line", "write ELSEIF (condition) THEN")
    if "_THEN" in error.accepts:
        return _error(record, end, 1, "IF (...) has no statement", "add THEN, or a statement after the condition")
    if "=" not in stripped:
        return _error(
            record, end, 1, "this is not a statement", "write NAME = expression, IF (...) THEN, ELSE or ENDIF"
        )
    return _error(record, end, 1, "the statement is not complete", "add what follows, or continue the line with &")


def _open_parentheses(text: str) -> list[int]:
    stack: list[int] = []
    for i, character in enumerate(text):
        if character == "(":
            stack.append(i)
        elif character == ")" and stack:
            stack.pop()
    return stack
