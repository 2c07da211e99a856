"""ROWS: a data file becomes a Dataset, a Dataset becomes an event table."""

from nlmevae.data.batch import PaddedObservations, padded
from nlmevae.data.candidate_columns import candidate_values
from nlmevae.data.dataset import Dataset
from nlmevae.data.event_table import event_table
from nlmevae.data.events import EventKind, EventTable
from nlmevae.data.observation_checks import check_observations
from nlmevae.data.read import read_dataset
from nlmevae.data.search_space import Search, search_space
from nlmevae.data.search_spec import SearchSpec

__all__ = [
    "Dataset",
    "EventKind",
    "EventTable",
    "PaddedObservations",
    "Search",
    "SearchSpec",
    "candidate_values",
    "check_observations",
    "event_table",
    "padded",
    "read_dataset",
    "search_space",
]
