"""One section or file of a project each: nodes to what `project` states."""
