"""Parts of the covariate search: what was asked, read and resolved; candidates; what to tell the user."""
