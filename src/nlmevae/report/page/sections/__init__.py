"""The sections of the report, one file each, in the order in which a reviewer reads them (`page.SECTIONS`)."""
