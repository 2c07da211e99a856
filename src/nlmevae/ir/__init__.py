"""WHAT a model is: frozen data, no algorithms (the reference evaluator apart)."""

from nlmevae.ir.candidate import Candidate, CandidateColumn, SearchSpace
from nlmevae.ir.data_spec import Column, DataFilter, DataSpec
from nlmevae.ir.expression import (
    FUNCTIONS,
    Binary,
    Call,
    Compare,
    Expression,
    Logical,
    Negate,
    Not,
    Number,
    Symbol,
    Where,
)
from nlmevae.ir.individual import CovariateEffect, IndividualParameter, Transform
from nlmevae.ir.model import Model, SourceReference
from nlmevae.ir.observation import (
    Censoring,
    ErrorCoefficient,
    ErrorCorrelation,
    ErrorEffect,
    ErrorPower,
    ObservationModel,
    ResidualError,
)
from nlmevae.ir.parameter_names import estimated_names, parameter_names
from nlmevae.ir.parameters import CovarianceBlock, PopulationParameter, free_elements
from nlmevae.ir.program import (
    Assign,
    If,
    Program,
    Statement,
    assignments,
    names_assigned,
    names_read,
    needed_for,
    needed_names,
)
from nlmevae.ir.request import (
    CovarianceRequest,
    Diagnostic,
    EstimationStep,
    SimulationRequest,
    TableFormat,
    TableRequest,
)
from nlmevae.ir.residual_signs import opposite_signs, summed_thetas
from nlmevae.ir.structural import ClosedForm, Compartment, StructuralModel

__all__ = [
    "FUNCTIONS",
    "Assign",
    "Binary",
    "Call",
    "Candidate",
    "CandidateColumn",
    "Censoring",
    "ClosedForm",
    "Column",
    "Compare",
    "Compartment",
    "CovarianceBlock",
    "CovarianceRequest",
    "CovariateEffect",
    "DataFilter",
    "DataSpec",
    "Diagnostic",
    "ErrorCoefficient",
    "ErrorCorrelation",
    "ErrorEffect",
    "ErrorPower",
    "EstimationStep",
    "Expression",
    "If",
    "IndividualParameter",
    "Logical",
    "Model",
    "Negate",
    "Not",
    "Number",
    "ObservationModel",
    "PopulationParameter",
    "Program",
    "ResidualError",
    "SearchSpace",
    "SimulationRequest",
    "SourceReference",
    "Statement",
    "StructuralModel",
    "Symbol",
    "TableFormat",
    "TableRequest",
    "Transform",
    "Where",
    "assignments",
    "free_elements",
    "estimated_names",
    "names_assigned",
    "names_read",
    "needed_for",
    "needed_names",
    "opposite_signs",
    "parameter_names",
    "summed_thetas",
]
