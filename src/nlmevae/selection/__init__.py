"""Quadratic form -> support: the exact L0 step of the paper's section 2.3.1. Knows no pharmacology."""
