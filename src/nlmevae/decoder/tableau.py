"""Coefficients of the Runge-Kutta methods."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplicitTableau:
    """An explicit method whose last stage is the slope at the end of the step (FSAL).

    Attributes:
        nodes: c_i; stages: rows a_i1 .. a_i,i-1 from the second stage on, the last row being the weights;
        error: weights of solution minus embedded solution; dense: weights of the correction in the
        free interpolant, y(theta) = y0 + theta (d + (1-theta)(b + theta (d - h k7 - b + (1-theta) h sum dense k)))
        with d = y1 - y0 and b = h k1 - d.
        order: of the solution that is kept.
    """

    order: int
    nodes: tuple[float, ...]
    stages: tuple[tuple[float, ...], ...]
    error: tuple[float, ...]
    dense: tuple[float, ...]


#: Dormand & Prince 1980; interpolant of Hairer, Norsett & Wanner, Solving ODEs I, code DOPRI5.
DOPRI5 = ExplicitTableau(
    order=5,
    nodes=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    stages=(
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    error=(71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
    dense=(
        -12715105075 / 11282082432,
        0.0,
        87487479700 / 32700410799,
        -10690763975 / 1880347072,
        701980252875 / 199316789632,
        -1453857185 / 822651844,
        69997945 / 29380423,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RosenbrockTableau:
    """A stiffly accurate Rosenbrock method in the form without matrix products (Hairer & Wanner, IV.7):

        W k_i = f(U_i) + sum_j coupling_ij / h k_j + h time_weights_i f_t,   W = 1 / (gamma h) - J,
        U_i = y + sum_j stages_ij k_j,   y1 = U_6 + k_6,   error = k_6

    dense: two rows of weights of k_1 .. k_5; y(theta) = (1 - theta) y0 + theta (y1 + (1 - theta) (a + theta b)).
    order: of the error estimate plus one.
    """

    order: int
    gamma: float
    nodes: tuple[float, ...]
    time_weights: tuple[float, ...]
    stages: tuple[tuple[float, ...], ...]
    coupling: tuple[tuple[float, ...], ...]
    dense: tuple[tuple[float, ...], tuple[float, ...]]


#: RODAS of Hairer & Wanner, Solving ODEs II, section IV.7 and their code rodas.f; order 4(3), L-stable.
RODAS4 = RosenbrockTableau(
    order=4,
    gamma=0.25,
    nodes=(0.0, 0.386, 0.21, 0.63, 1.0, 1.0),
    time_weights=(0.25, -0.1043, 0.1035, -0.03620000000000023, 0.0, 0.0),
    stages=(
        (),
        (1.544,),
        (0.9466785280815826, 0.2557011698983284),
        (3.314825187068521, 2.896124015972201, 0.9986419139977817),
        (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950),
        (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0),
    ),
    coupling=(
        (),
        (-5.6688,),
        (-2.430093356833875, -0.2063599157091915),
        (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
        (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
        (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
    ),
    dense=(
        (10.12623508344586, -7.487995877610167, -34.80091861555747, -7.992771707568823, 1.025137723295662),
        (-0.6762803392801253, 6.087714651680015, 16.43084320892478, 24.76722511418386, -6.594389125716872),
    ),
)
