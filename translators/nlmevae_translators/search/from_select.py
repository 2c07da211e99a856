"""A settings file of `nlmevae select` -> the search it asks for."""

from __future__ import annotations

from nlmevae.data.search.decision import decision_of_file
from nlmevae.data.search_spec import SearchSpec
from nlmevae_translators.search.asked import AskedSearch


def asked_of_settings(path: str) -> AskedSearch:
    """
    Raises:
        SettingsError: it cannot be read.
    """
    return AskedSearch(language="select", path=path, spec=SearchSpec.from_file(path), decision=decision_of_file(path))
