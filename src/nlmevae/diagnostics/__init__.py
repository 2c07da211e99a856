"""What tells whether a model describes its data: residuals, simulations, predictive checks, tables per record."""
