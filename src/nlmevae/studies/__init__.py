"""Many fits of one question: bootstrap, many starts, simulation and estimation, several models at once."""
