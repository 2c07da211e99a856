"""Mathematical functions on vectors of W doubles, as LLVM IR text.

`exp`, `log` and `pow` work on all lanes at once and are accurate to about 1, 1 and 2 units in the last
place; the other functions call the C library lane by lane.

Methods: exp by Cody-Waite reduction and a minimax polynomial of (e^r - 1 - r) / r^2 on
|r| <= ln(2)/2; log by the reduction and polynomial of FreeBSD's e_log.c (coefficients Lg1..Lg7 are
Sun Microsystems' published ones); pow as exp(y log x) with log x carried as an unevaluated sum of two
doubles.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

_LIBM = {
    "sin": "sin", "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "lgamma": "lgamma", "erfc": "erfc",
}  # fmt: skip

#: Graph operations that become a call; each needs what is listed.
VECTOR_FUNCTIONS: dict[str, tuple[str, ...]] = {
    **{name: () for name in _LIBM if name != "erfc"},
    "erfc": (),
    "exp": (),
    "log": (),
    "pow": ("exp",),
    "normal_cdf": ("erfc",),
    "digamma": (),
}

# In the templates: V vector of doubles, I vector of i64, M vector of i1, D[x] / J[n] splat constants.
_EXP = """
define internal V @nlmevae_exp(V %x) alwaysinline {
  %big = fcmp ogt V %x, D[709.79]
  %x1 = select M %big, V D[709.79], V %x
  %small = fcmp olt V %x1, D[-745.2]
  %x2 = select M %small, V D[-745.2], V %x1
  %t = call V @llvm.fma.vW(V %x2, V D[1.4426950408889634], V D[6755399441055744.0])
  %n = fsub V %t, D[6755399441055744.0]
  %r0 = call V @llvm.fma.vW(V %n, V D[-0.693147180369123816490], V %x2)
  %r = call V @llvm.fma.vW(V %n, V D[-1.90821492927058770002e-10], V %r0)
  %r2 = fmul V %r, %r
  %r4 = fmul V %r2, %r2
  %r8 = fmul V %r4, %r4
  %p01 = call V @llvm.fma.vW(V %r, V D[0.16666666666666669], V D[0.5])
  %p23 = call V @llvm.fma.vW(V %r, V D[0.008333333333330051], V D[0.04166666666662399])
  %p45 = call V @llvm.fma.vW(V %r, V D[0.00019841269863105968], V D[0.0013888888917281794])
  %p67 = call V @llvm.fma.vW(V %r, V D[2.7557268378684192e-06], V D[2.480152119021773e-05])
  %p89 = call V @llvm.fma.vW(V %r, V D[2.5100424157005067e-08], V D[2.7620138719733994e-07])
  %p03 = call V @llvm.fma.vW(V %r2, V %p23, V %p01)
  %p47 = call V @llvm.fma.vW(V %r2, V %p67, V %p45)
  %p07 = call V @llvm.fma.vW(V %r4, V %p47, V %p03)
  %q = call V @llvm.fma.vW(V %r8, V %p89, V %p07)
  %s = call V @llvm.fma.vW(V %r2, V %q, V %r)
  %y = fadd V %s, D[1.0]
  %ta = call V @llvm.fma.vW(V %n, V D[0.5], V D[6755399441055744.0])
  %na = fsub V %ta, D[6755399441055744.0]
  %nb = fsub V %n, %na
  %tb = fadd V %nb, D[6755399441055744.0]
  %ia = bitcast V %ta to I
  %ib = bitcast V %tb to I
  %ja = add I %ia, J[1023]
  %jb = add I %ib, J[1023]
  %ka = shl I %ja, J[52]
  %kb = shl I %jb, J[52]
  %sa = bitcast I %ka to V
  %sb = bitcast I %kb to V
  %ya = fmul V %y, %sa
  %yb = fmul V %ya, %sb
  ret V %yb
}
"""

# x = 2^k m with m in [sqrt(1/2), sqrt(2)); needs x > 0 and finite
_SPLIT = """
  %tiny = fcmp olt V %x, D[2.2250738585072014e-308]
  %xs = fmul V %x, D[18014398509481984.0]
  %xn = select M %tiny, V %xs, V %x
  %bias = select M %tiny, V D[4503599627371573.0], V D[4503599627371519.0]
  %bits = bitcast V %xn to I
  %shifted = add I %bits, J[{shift}]
  %e = lshr I %shifted, J[52]
  %ed = or I %e, J[4841369599423283200]
  %ee = bitcast I %ed to V
  %k = fsub V %ee, %bias
  %frac = and I %shifted, J[4503599627370495]
  %mbits = add I %frac, J[{half}]
  %m = bitcast I %mbits to V
  %f = fsub V %m, D[1.0]
"""

_SERIES = """
  %z2 = fmul V %z, %z
  %u1 = call V @llvm.fma.vW(V %z2, V D[1.531383769920937332e-01], V D[2.222219843214978396e-01])
  %u2 = call V @llvm.fma.vW(V %z2, V %u1, V D[3.999999999940941908e-01])
  %w1 = call V @llvm.fma.vW(V %z2, V D[1.479819860511658591e-01], V D[1.818357216161805012e-01])
  %w2 = call V @llvm.fma.vW(V %z2, V %w1, V D[2.857142874366239149e-01])
  %w3 = call V @llvm.fma.vW(V %z2, V %w2, V D[6.666666666666735130e-01])
  %P = call V @llvm.fma.vW(V %z, V %u2, V %w3)
"""

_LOG = """
define internal V @nlmevae_log(V %x) alwaysinline {
  SPLIT
  %d = fadd V %f, D[2.0]
  %s = fdiv V %f, %d
  %z = fmul V %s, %s
  SERIES
  %R = fmul V %z, %P
  %ff = fmul V %f, %f
  %hfsq = fmul V %ff, D[0.5]
  %a0 = fadd V %hfsq, %R
  %a1 = fmul V %s, %a0
  %a2 = call V @llvm.fma.vW(V %k, V D[1.90821492927058770002e-10], V %a1)
  %a3 = fsub V %hfsq, %a2
  %a4 = fsub V %a3, %f
  %hi = fmul V %k, D[6.93147180369123816490e-01]
  %y = fsub V %hi, %a4
  %positive = fcmp ogt V %x, D[0.0]
  %zero = fcmp oeq V %x, D[0.0]
  %bad = select M %zero, V D[-inf], V D[nan]
  %y1 = select M %positive, V %y, V %bad
  %infinite = fcmp oeq V %x, D[inf]
  %y2 = select M %infinite, V %x, V %y1
  ret V %y2
}
"""

_POW = """
define internal V @nlmevae_pow(V %base, V %power) {
  %x = call V @llvm.fabs.vW(V %base)
  SPLIT
  %d = fadd V %f, D[2.0]
  %dm = fsub V %d, D[2.0]
  %de = fsub V %f, %dm
  %s = fdiv V %f, %d
  %sneg = fneg V %s
  %c0 = call V @llvm.fma.vW(V %sneg, V %d, V %f)
  %c1 = call V @llvm.fma.vW(V %sneg, V %de, V %c0)
  %slo = fdiv V %c1, %d
  %z = fmul V %s, %s
  SERIES
  %zp = fmul V %z, %P
  %tail = fmul V %s, %zp
  %s2 = fmul V %s, D[2.0]
  %khi = fmul V %k, D[6.93147180369123816490e-01]
  %sum = fadd V %khi, %s2
  %sume = fsub V %sum, %khi
  %err = fsub V %s2, %sume
  %l0 = call V @llvm.fma.vW(V %k, V D[1.90821492927058770002e-10], V %err)
  %l1 = call V @llvm.fma.vW(V %slo, V D[2.0], V %l0)
  %l2 = fadd V %l1, %tail
  %h = fadd V %sum, %l2
  %he = fsub V %h, %sum
  %l = fsub V %l2, %he
  %zero = fcmp oeq V %x, D[0.0]
  %infinite = fcmp oeq V %x, D[inf]
  %h1 = select M %zero, V D[-inf], V %h
  %h2 = select M %infinite, V D[inf], V %h1
  %p = fmul V %power, %h2
  %pneg = fneg V %p
  %e0 = call V @llvm.fma.vW(V %power, V %h2, V %pneg)
  %e1 = call V @llvm.fma.vW(V %power, V %l, V %e0)
  %pa = call V @llvm.fabs.vW(V %p)
  %fine = fcmp olt V %pa, D[746.0]
  %e2 = select M %fine, V %e1, V D[0.0]
  %y0 = call V @nlmevae_exp(V %p)
  %y1 = call V @llvm.fma.vW(V %y0, V %e2, V %y0)
  %overflow = fcmp oeq V %y0, D[inf]
  %y2 = select M %overflow, V %y0, V %y1
  %whole = call V @llvm.trunc.vW(V %power)
  %integer = fcmp oeq V %whole, %power
  %halfpower = fmul V %power, D[0.5]
  %halfwhole = call V @llvm.trunc.vW(V %halfpower)
  %even = fcmp oeq V %halfwhole, %halfpower
  %yneg = fneg V %y2
  %signed = select M %even, V %y2, V %yneg
  %negbase = select M %integer, V %signed, V D[nan]
  %negative = fcmp olt V %base, D[0.0]
  %y3 = select M %negative, V %negbase, V %y2
  %nan = fcmp uno V %base, %power
  %y4 = select M %nan, V D[nan], V %y3
  %nopower = fcmp oeq V %power, D[0.0]
  %y5 = select M %nopower, V D[1.0], V %y4
  ret V %y5
}
"""

_NORMAL_CDF = """
define internal V @nlmevae_normal_cdf(V %x) {
  %a = fmul V %x, D[-0.70710678118654752440]
  %b = call V @nlmevae_erfc(V %a)
  %y = fmul V %b, D[0.5]
  ret V %y
}
"""

# Recurrence up to x >= 10, then the asymptotic series (Abramowitz & Stegun 6.3.5, 6.3.18); reflection 6.3.7.
_DIGAMMA_SCALAR = """
declare double @tan(double)
declare double @log(double)
define internal double @nlmevae_digamma_scalar(double %x) {
entry:
  %negative = fcmp ole double %x, d[0.0]
  %mirror = fsub double d[1.0], %x
  %start = select i1 %negative, double %mirror, double %x
  br label %loop
loop:
  %u = phi double [ %start, %entry ], [ %unext, %more ]
  %r = phi double [ d[0.0], %entry ], [ %rnext, %more ]
  %low = fcmp olt double %u, d[10.0]
  br i1 %low, label %more, label %series
more:
  %inv = fdiv double d[1.0], %u
  %rnext = fsub double %r, %inv
  %unext = fadd double %u, d[1.0]
  br label %loop
series:
  %v = fdiv double d[1.0], %u
  %w = fmul double %v, %v
  %c6 = fmul double %w, d[0.08333333333333333]
  %c5 = fsub double d[0.021092796092796094], %c6
  %c5w = fmul double %w, %c5
  %c4 = fsub double d[0.007575757575757576], %c5w
  %c4w = fmul double %w, %c4
  %c3 = fsub double d[0.004166666666666667], %c4w
  %c3w = fmul double %w, %c3
  %c2 = fsub double d[0.003968253968253968], %c3w
  %c2w = fmul double %w, %c2
  %c1 = fsub double d[0.008333333333333333], %c2w
  %c1w = fmul double %w, %c1
  %c0 = fsub double d[0.08333333333333333], %c1w
  %c0w = fmul double %w, %c0
  %ln = call double @log(double %u)
  %hv = fmul double %v, d[0.5]
  %d0 = fsub double %ln, %hv
  %d1 = fsub double %d0, %c0w
  %d2 = fadd double %d1, %r
  br i1 %negative, label %reflect, label %done
reflect:
  %px = fmul double %x, d[3.14159265358979323846]
  %tn = call double @tan(double %px)
  %co = fdiv double d[3.14159265358979323846], %tn
  %mirrored = fsub double %d2, %co
  ret double %mirrored
done:
  ret double %d2
}
"""

_SHIFT = {"shift": 0x3FF0000000000000 - 0x3FE6A09E667F3BCD, "half": 0x3FE6A09E667F3BCD}
_TEMPLATE = {"exp": _EXP, "log": _LOG, "pow": _POW, "normal_cdf": _NORMAL_CDF}


def math_functions(used: Iterable[str], width: int) -> str:
    """Definitions of the functions in `used`, everything they need, and the intrinsics they declare."""
    needed = set(used)
    for name in list(needed):
        needed.update(VECTOR_FUNCTIONS[name])
    text = [_definition(name, width) for name in sorted(needed)]
    body = "\n".join(text)
    externals = {_LIBM[n] for n in needed if n in _LIBM}
    if "digamma" in needed:
        body = _DIGAMMA_SCALAR_TEXT + body
        externals -= {"tan", "log"}  # declared there
    return "\n".join([*(f"declare double @{name}(double)" for name in sorted(externals)), body])


def _definition(name: str, width: int) -> str:
    if name in _TEMPLATE:
        text = _TEMPLATE[name].replace("SPLIT", _SPLIT.format(**_SHIFT)).replace("SERIES", _SERIES)
        return _expand(text, width)
    return _lane_by_lane(name, "nlmevae_digamma_scalar" if name == "digamma" else _LIBM[name], width)


def _lane_by_lane(name: str, scalar: str, width: int) -> str:
    vector = f"<{width} x double>"
    lines = [f"define internal {vector} @nlmevae_{name}({vector} %x) {{"]
    result = "poison"
    for lane in range(width):
        lines.append(f"  %x{lane} = extractelement {vector} %x, i32 {lane}")
        lines.append(f"  %y{lane} = call double @{scalar}(double %x{lane})")
        lines.append(f"  %r{lane} = insertelement {vector} {result}, double %y{lane}, i32 {lane}")
        result = f"%r{lane}"
    return "\n".join([*lines, f"  ret {vector} {result}", "}", ""])


def _expand(text: str, width: int) -> str:
    text = text.replace("vW(", f"v{width}f64(")
    text = re.sub(r"\bD\[([^\]]+)\]", lambda m: _splat(f"double {_hex(m[1])}", width), text)
    text = re.sub(r"\bJ\[([^\]]+)\]", lambda m: _splat(f"i64 {m[1]}", width), text)
    for letter, element in (("V", "double"), ("I", "i64"), ("M", "i1")):
        text = re.sub(rf"(?<![%\w]){letter}\b", f"<{width} x {element}>", text)
    return text


def _splat(item: str, width: int) -> str:
    return "<" + ", ".join([item] * width) + ">"


def _hex(number: str) -> str:
    return "0x" + struct.pack(">d", float(number)).hex().upper()


_DIGAMMA_SCALAR_TEXT = re.sub(r"\bd\[([^\]]+)\]", lambda m: _hex(m[1]), _DIGAMMA_SCALAR)
