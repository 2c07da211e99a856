"""The inverse of the normal distribution function as an expression of functions the IR has.

M. J. Wichura, Algorithm AS 241, Applied Statistics 37 (1988) 477-484, routine PPND16: relative accuracy about 1e-16.
"""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.ir import Binary, Call, Compare, Expression, Negate, Number, Where

# numerator and denominator, by rising powers: the centre, the tails, the far tails
_CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_TAIL = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def probit(p: Expression) -> Expression:
    """PHI^-1(p) for 0 < p < 1; not a number elsewhere.

    The logarithm of the tails is that of min(p, 1 - p), so that no branch is infinite where another holds.
    """
    at = p.at
    q = Binary("-", p, Number(0.5, at=at), at=at)
    small = Where(Compare("<", q, Number(0.0, at=at), at=at), p, Binary("-", Number(1.0, at=at), p, at=at), at=at)
    r = Call("SQRT", (Negate(Call("LOG", (small,), at=at), at=at),), at=at)
    centre = Binary("*", q, _ratio(_CENTRE, _minus(Number(0.180625), Binary("*", q, q, at=at))), at=at)
    tail = Where(
        Compare("<=", r, Number(5.0, at=at), at=at),
        _ratio(_TAIL, _minus(r, Number(1.6))),
        _ratio(_FAR, _minus(r, Number(5.0))),
        at=at,
    )
    signed = Where(Compare("<", q, Number(0.0, at=at), at=at), Negate(tail, at=at), tail, at=at)
    return Where(Compare("<=", Call("ABS", (q,), at=at), Number(0.425, at=at), at=at), centre, signed, at=at)


def _minus(left: Expression, right: Expression) -> Expression:
    return Binary("-", left, right, at=left.at)


def _ratio(coefficients: tuple[Sequence[float], Sequence[float]], x: Expression) -> Expression:
    return Binary("/", _polynomial(coefficients[0], x), _polynomial(coefficients[1], x), at=x.at)


def _polynomial(rising: Sequence[float], x: Expression) -> Expression:
    value: Expression = Number(rising[-1], at=x.at)
    for coefficient in reversed(rising[:-1]):
        value = Binary("+", Binary("*", value, x, at=x.at), Number(coefficient, at=x.at), at=x.at)
    return value
