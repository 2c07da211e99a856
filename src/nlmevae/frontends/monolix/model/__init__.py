"""What a project states to the parts of the model."""
