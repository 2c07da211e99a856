"""Settings of covariate searches: PsN's scm, `nlmevae select`, and Monolix's COSSAC."""
