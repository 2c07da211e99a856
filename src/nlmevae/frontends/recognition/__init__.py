"""From the text of a model to its statistical structure: individual parameters, covariate effects and the
residual error, each found by differentiation and verified at random points; what is not verified raises."""

from nlmevae.frontends.recognition.recognise import recognise

__all__ = ["recognise"]
