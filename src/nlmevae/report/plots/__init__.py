"""The plots of a fit, one function each: results in, a matplotlib Figure out.

    result = nlmevae.read_results("run1.results.json")
    figure = nlmevae.report.convergence_figure(result)
    figure.savefig("convergence.png", dpi=150)

Every function takes `theme` (``COLOUR`` or ``GREY`` of `nlmevae.report.style`), draws whatever the user's matplotlib
settings are, never fails for lack of something to show (the panel then says why it is empty), and raises
MissingDependencyError without matplotlib.
"""
