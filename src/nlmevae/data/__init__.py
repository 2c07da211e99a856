"""ROWS: a data file becomes a Dataset, a Dataset becomes an event table."""

from nlmevae.data.batch import PaddedObservations, padded
from nlmevae.data.dataset import Dataset
from nlmevae.data.event_table import event_table
from nlmevae.data.events import EventKind, EventTable
from nlmevae.data.observation_checks import check_observations
from nlmevae.data.read import read_dataset

__all__ = [
    "Dataset",
    "EventKind",
    "EventTable",
    "PaddedObservations",
    "check_observations",
    "event_table",
    "padded",
    "read_dataset",
]
