from dataclasses import replace

from nlmevae.estimation.parameter_count import count_parameters
from nlmevae.ir import CovarianceBlock
from tests.helpers.linear_gaussian import random_intercept_and_slope


def roles(model, *names):
    return replace(model, thetas=tuple(replace(t, role=r) for t, r in zip(model.thetas, names, strict=True)))


def test_block_covariances_are_random_part_and_typical_values_and_errors_fixed_part():
    model = random_intercept_and_slope(block=True).model
    count = count_parameters(roles(model, "typical_value", "typical_value"))
    assert (count.random_part, count.fixed_part) == (3, 3)


def test_a_covariate_effect_follows_the_random_effect_of_its_parameter():
    model = roles(
        random_intercept_and_slope(covariate=True).model, "typical_value", "typical_value", "covariate_effect"
    )
    assert count_parameters(model).random_part == 3
    no_effect = CovarianceBlock(names=("ETA(1)",), matrix=((0.0,),), fixed=True)
    without = replace(model, omega=(no_effect, model.omega[1]))
    count = count_parameters(without)
    assert (count.random_part, count.fixed_part) == (1, 4)


def test_fixed_and_repeated_parameters_count_nowhere():
    model = random_intercept_and_slope(fixed_omegas=(2,), fixed_thetas=(1,)).model
    assert count_parameters(model).total == 3
    repeated = replace(model, omega=(model.omega[0], replace(model.omega[1], fixed=False, same_as=0)))
    assert count_parameters(repeated).random_part == 1
