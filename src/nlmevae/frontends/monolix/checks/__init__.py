"""Whether a project is consistent: names, levels, categories, initial values."""
