"""Pictures of results. Needs matplotlib (``pip install 'nlmevae[report]'``), loaded when the first is drawn."""
