"""Monolix projects (Mlxtran, 2016R1 to 2024R1, and the older 4.x form) to the model."""
