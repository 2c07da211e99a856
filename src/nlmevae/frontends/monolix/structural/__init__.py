"""Macros and equations to compartments and programs."""
