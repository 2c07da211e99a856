"""The report as one HTML file: what is in it (`sections/`), of which blocks (`blocks.py`), how it looks "
"(`templates/`)."""
