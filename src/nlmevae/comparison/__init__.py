"""Results of other programs, read for use and comparison."""
