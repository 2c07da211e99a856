"""$OMEGA and $SIGMA -> covariance blocks, always as variances and covariances.

$OMEGA 0.1 0.2 FIX                    two blocks of one
$OMEGA DIAGONAL(2) 0.3 SD (0.2 FIX)   an option belongs to one value
$OMEGA (0.1 FIXED)x4                  repeated
$OMEGA BLOCK(2) 0.1 0.01 0.2          lower triangle by rows; FIX anywhere fixes the block
$OMEGA BLOCK(2) VALUES(0.1,0.01)      all diagonal, all off-diagonal
$OMEGA BLOCK(2) SD CORR 0.3 0.5 0.4   also VARIANCE, COVARIANCE, CHOLESKY
$OMEGA BLOCK(1) SAME(3)               three more blocks with the values of the block before
$OMEGA ECL=0.1                        named: code may read ETA(ECL)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from nlmevae.errors import Location, ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.labels import label_from_comment, unique_labels
from nlmevae.frontends.nonmem.numbers import MOST, estimate_of, repeat_of
from nlmevae.frontends.nonmem.options import Token, abbreviates, closing, comment_after, scan
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import CovarianceBlock

Matrix = list[list[float]]


@dataclass(frozen=True, slots=True)
class _Value:
    """One initial estimate. `options` are SD and FIX written for this value only."""

    value: float
    at: Location
    name: str | None = None
    options: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Words:
    """A record, sorted: its shape, its options and its values."""

    record: Record
    block: int | None = None
    is_block: bool = False
    diagonal: int | None = None
    same: int = 0
    options: set[str] = field(default_factory=set)
    filled: tuple[float, float] | None = None
    names: list[str] = field(default_factory=list)
    values: list[_Value] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Block:
    matrix: tuple[tuple[float, ...], ...]
    fixed: bool
    same_as: int | None
    labels: tuple[str | None, ...]
    written: tuple[str | None, ...]
    at: Location


def read_covariance(records: tuple[Record, ...], effect: str) -> tuple[tuple[CovarianceBlock, ...], dict[str, str]]:
    """Blocks in order, and the names code may use: ``ETA(ECL)`` -> ``ETA(1)``.

    Args:
        records: all $OMEGA (or $SIGMA) records in order.
        effect: "ETA" or "EPS".

    Raises:
        ModelSyntaxError: a word that is no value or option, a wrong number of values.
        SemanticError: a matrix that is no covariance matrix, SAME after nothing.
        UnsupportedError: a singular block.
    """
    blocks: list[_Block] = []
    for record in records:
        words = _sort(scan(record), record)
        blocks += _blocks(words, blocks)
    names = [f"{effect}({n})" for n in range(1, sum(len(b.matrix) for b in blocks) + 1)]
    labels = unique_labels([label for b in blocks for label in b.labels], names)
    written = [w for b in blocks for w in b.written]
    aliases = {f"{effect}({w.upper()})": name for w, name in zip(written, names, strict=True) if w}
    result, start = [], 0
    for b in blocks:
        stop = start + len(b.matrix)
        result.append(
            CovarianceBlock(
                names=tuple(names[start:stop]),
                matrix=b.matrix,
                fixed=b.fixed,
                same_as=b.same_as,
                labels=labels[start:stop],
                at=b.at,
            )
        )
        start = stop
    return tuple(result), aliases


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPlace:
    """Where the initial estimates of one block are written.

    Attributes:
        values: of the lower triangle by rows; () where it has none of its own (SAME, VALUES).
        size: number of effects; 0 for SAME, which has that of the block before.
        options: SD, CORRELATION, CHOLESKY, as they apply to them.
        filled: VALUES(diagonal,off-diagonal) instead of values.
        record: the record it stands in.
    """

    values: tuple[Location, ...]
    size: int
    options: frozenset[str]
    filled: bool
    record: Record


def covariance_places(records: tuple[Record, ...]) -> tuple[BlockPlace, ...]:
    """Of all blocks of $OMEGA or $SIGMA in order; values of ``(0.1)x3`` share their place."""
    found: list[BlockPlace] = []
    for record in records:
        words = _sort(scan(record), record)
        if words.same:
            same = BlockPlace(values=(), size=0, options=frozenset(), filled=False, record=record)
            found += [same] * words.same
        elif words.is_block:
            options, values = frozenset(words.options), tuple(v.at for v in words.values)
            filled = words.filled is not None
            found.append(
                BlockPlace(values=values, size=words.block or 0, options=options, filled=filled, record=record)
            )
        else:
            found += [
                BlockPlace(values=(v.at,), size=1, options=v.options, filled=False, record=record) for v in words.values
            ]
    return tuple(found)


def _sort(tokens: list[Token], record: Record) -> _Words:
    words = _Words(record)
    name: str | None = None
    i = 0
    while i < len(tokens):
        token = tokens[i]
        following = tokens[i + 1].kind if i + 1 < len(tokens) else ""
        if token.kind == ",":
            i += 1
        elif token.kind == "word" and following == "(" and _takes_list(token):
            stop = closing(tokens, i + 1)
            _list_option(words, token, [t for t in tokens[i + 2 : stop] if t.kind != ","])
            i = stop + 1
        elif token.kind == "word" and following == "=":
            name, i = token.text, i + 2
        elif token.kind == "(":
            stop = closing(tokens, i)
            values = _group(words, tokens[i + 1 : stop], name)
            count, i = repeat_of(tokens, stop + 1)
            words.values += values * count
            name = None
        elif token.kind == "word":
            _word(words, token, name)
            name, i = None, i + 1
        else:
            raise ModelSyntaxError(
                f"{token.text} is not expected here", hint="check the parentheses", location=token.at
            )
    return words


def _takes_list(token: Token) -> bool:
    return abbreviates(token.text, "BLOCK", "DIAGONAL", "SAME", "VALUES", "NAMES", "SCALE")


def _list_option(words: _Words, token: Token, inner: list[Token]) -> None:
    if abbreviates(token.text, "NAMES"):
        words.names = [t.text for t in inner]
        return
    if abbreviates(token.text, "SCALE"):
        return  # scales NONMEM's search, not the model
    numbers = [estimate_of(t, f"a number for {token.upper}") for t in inner]
    wanted = 2 if abbreviates(token.text, "VALUES") else 1
    if len(numbers) != wanted:
        raise ModelSyntaxError(
            f"{token.upper} takes {wanted} number{'s' if wanted > 1 else ''}",
            hint="write VALUES(diagonal,off-diagonal)" if wanted == 2 else f"write {token.upper}(n)",
            location=token.at,
        )
    if wanted == 2:
        words.filled = (numbers[0], numbers[1])
    elif abbreviates(token.text, "SAME"):
        words.same = _size(numbers[0], token)
    elif abbreviates(token.text, "BLOCK"):
        words.is_block, words.block = True, _size(numbers[0], token)
    else:
        words.diagonal = _size(numbers[0], token)


def _size(number: float, token: Token) -> int:
    if not 1 <= number <= MOST or number != int(number):
        raise ModelSyntaxError(
            f"{token.upper}({number:g}) is no size",
            hint=f"write a whole number from 1 to {MOST}",
            location=token.at,
        )
    return int(number)


def _option(token: Token) -> str | None:
    """The canonical option a word names, None if it is a value."""
    if token.upper == "SD" or abbreviates(token.text, "STANDARD"):
        return "SD"
    if abbreviates(token.text, "CORRELATION", "CORRELATON"):
        return "CORRELATION"
    for option in ("FIXED", "VARIANCE", "COVARIANCE", "CHOLESKY", "UNINT"):
        if abbreviates(token.text, option):
            return option
    return None


def _group(words: _Words, inner: list[Token], name: str | None) -> list[_Value]:
    """Values in parentheses; options there belong to each of them, or to the whole of a block."""
    options = frozenset(o for t in inner if t.kind == "word" and (o := _option(t)))
    if words.is_block:
        words.options |= options
        options = frozenset()
    return [
        _Value(estimate_of(t), t.at, name, options)
        for t in inner
        if t.kind != "," and not (t.kind == "word" and _option(t))
    ]


def _word(words: _Words, token: Token, name: str | None) -> None:
    """A word outside parentheses."""
    option = _option(token)
    if abbreviates(token.text, "BLOCK"):
        words.is_block = True
    elif abbreviates(token.text, "DIAGONAL"):
        pass
    elif abbreviates(token.text, "SAME"):
        words.same = 1
    elif option is None:
        words.values.append(_Value(estimate_of(token, "an initial estimate or an option"), token.at, name))
    elif words.is_block:
        words.options.add(option)
    elif words.values:
        last = words.values[-1]
        words.values[-1] = _Value(last.value, last.at, last.name, last.options | {option})
    else:
        # an option ahead of BLOCK(n) is the block's; ahead of a diagonal value it is ambiguous, checked later
        words.options.add(option)


def _blocks(words: _Words, earlier: list[_Block]) -> list[_Block]:
    if words.same:
        return _repeated(words, earlier)
    if words.is_block:
        return [_full_block(words)]
    if words.options:
        raise ModelSyntaxError(
            f"{', '.join(sorted(words.options))} stands before the value it belongs to",
            hint="write it after each value: 0.3 SD",
            location=words.record.head,
        )
    if not words.values:
        raise ModelSyntaxError(
            f"${words.record.name} has no value", hint="write an initial estimate", location=words.record.head
        )
    if words.diagonal not in (None, len(words.values)):
        raise _wrong_count(words, words.diagonal, f"DIAGONAL({words.diagonal})")
    return [_single(words, k) for k in range(len(words.values))]


def _repeated(words: _Words, earlier: list[_Block]) -> list[_Block]:
    if not earlier:
        raise SemanticError(
            "SAME repeats the block before, and there is none",
            hint="write the first block with its values",
            location=words.record.head,
        )
    if words.values:
        raise ModelSyntaxError("SAME takes no values", hint="remove the values or SAME", location=words.values[0].at)
    last = earlier[-1]
    if words.block not in (None, len(last.matrix)):
        raise SemanticError(
            f"BLOCK({words.block}) SAME follows a block of size {len(last.matrix)}",
            hint=f"write BLOCK({len(last.matrix)}) SAME",
            location=words.record.head,
        )
    root = len(earlier) - 1 if last.same_as is None else last.same_as
    nothing = (None,) * len(last.matrix)
    comment = label_from_comment(comment_after(words.record, words.record.body))
    labels = (comment,) if len(last.matrix) == 1 and words.same == 1 else nothing
    return [_Block(last.matrix, last.fixed, root, labels, nothing, words.record.head)] * words.same


def _single(words: _Words, k: int) -> _Block:
    value = words.values[k]
    variance = value.value**2 if value.options & {"SD", "CHOLESKY"} else value.value
    fixed = "FIXED" in value.options
    if variance < 0 or (variance == 0 and not fixed):
        raise SemanticError(
            f"the variance {variance:g} cannot be estimated",
            hint="give a positive initial estimate" if variance < 0 else "write 0 FIX for an effect that is not there",
            location=value.at,
        )
    name = value.name or (words.names[k] if k < len(words.names) else None)
    return _Block(((variance,),), fixed, None, (name or _label(words, value),), (name,), value.at)


def _full_block(words: _Words) -> _Block:
    n = words.block
    if n is None:
        raise ModelSyntaxError("BLOCK needs its size", hint="write BLOCK(n)", location=words.record.head)
    if words.filled is not None:
        diagonal, rest = words.filled
        triangle = [[diagonal if i == j else rest for j in range(i + 1)] for i in range(n)]
    else:
        if len(words.values) != n * (n + 1) // 2:
            raise _wrong_count(words, n * (n + 1) // 2, f"BLOCK({n})")
        flat = iter(v.value for v in words.values)
        triangle = [[next(flat) for _ in range(i + 1)] for i in range(n)]
    fixed = "FIXED" in words.options or any("FIXED" in v.options for v in words.values)
    matrix = _covariance(triangle, words.options)
    if not _is_covariance(matrix, strict=not fixed):
        raise SemanticError(
            f"the initial estimate of this ${words.record.name} block is not positive definite",
            hint="make the covariances smaller, or write the block as SD CORRELATION with correlations below 1",
            location=words.record.head,
        )
    if fixed and not _is_covariance(_without_zeros(matrix), strict=True):
        raise UnsupportedError(
            f"this ${words.record.name} block is singular: one effect is a combination of the others",
            hint="give it one ETA less and write the combination in the code, as in THETA(n)*ETA(1)",
            location=words.record.head,
        )
    diagonal = _diagonal(words) if words.filled is None else [None] * n
    written = [words.names[i] if i < len(words.names) else (v and v.name) for i, v in enumerate(diagonal)]
    labels = [w or (v and _label(words, v)) for w, v in zip(written, diagonal, strict=True)]
    rows = tuple(tuple(row) for row in matrix)
    return _Block(rows, fixed, None, tuple(labels), tuple(written), words.record.head)


def _without_zeros(matrix: Matrix) -> Matrix:
    """The rows and columns of effects that exist: variance 0 is no effect."""
    there = [i for i in range(len(matrix)) if matrix[i][i] != 0.0]
    return [[matrix[i][j] for j in there] for i in there]


def _covariance(triangle: Matrix, options: set[str]) -> Matrix:
    """The full covariance matrix of a lower triangle written with `options`."""
    n = len(triangle)
    if "CHOLESKY" in options:
        return [
            [sum(triangle[i][k] * triangle[j][k] for k in range(min(i, j) + 1)) for j in range(n)] for i in range(n)
        ]
    diagonal = [triangle[i][i] for i in range(n)]
    variances = [d * d for d in diagonal] if "SD" in options else diagonal
    matrix = [[0.0] * n for _ in range(n)]
    for i in range(n):
        matrix[i][i] = variances[i]
        for j in range(i):
            scale = math.sqrt(max(0.0, variances[i] * variances[j])) if "CORRELATION" in options else 1.0
            matrix[i][j] = matrix[j][i] = triangle[i][j] * scale
    return matrix


def _is_covariance(matrix: Matrix, *, strict: bool) -> bool:
    """Whether a symmetric matrix is positive definite (semi-definite when not `strict`), by Cholesky."""
    n = len(matrix)
    lower = [[0.0] * n for _ in range(n)]
    tolerance = 1e-12 * max((abs(matrix[i][i]) for i in range(n)), default=0.0)  # none: all effects fixed at 0
    for i in range(n):
        for j in range(i + 1):
            rest = matrix[i][j] - sum(lower[i][k] * lower[j][k] for k in range(j))
            if i == j:
                if rest < -tolerance or (strict and rest <= tolerance):
                    return False
                lower[i][i] = math.sqrt(max(0.0, rest))
            elif lower[j][j] > 0.0:
                lower[i][j] = rest / lower[j][j]
            elif abs(rest) > tolerance:
                return False
    return True


def _label(words: _Words, value: _Value) -> str | None:
    """The comment of the value's line, if no other diagonal value shares the line."""
    line = value.at.line
    same_line = [v for v in words.values if v.at.line == line]
    diagonal = same_line if not words.is_block else [v for v in same_line if v in _diagonal(words)]
    if len(diagonal) > 1:
        return None
    return label_from_comment(comment_after(words.record, words.record.source.line_starts[line - 1]))


def _diagonal(words: _Words) -> list[_Value]:
    return [words.values[i * (i + 3) // 2] for i in range(words.block or 0)]


def _wrong_count(words: _Words, wanted: int, shape: str) -> ModelSyntaxError:
    at = words.values[-1].at if words.values else words.record.head
    return ModelSyntaxError(
        f"{shape} takes {wanted} values, not {len(words.values)}",
        hint="write the lower triangle by rows" if words.is_block else "write one value for each effect",
        location=at,
    )
