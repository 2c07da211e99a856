"""ir.Model of a control stream -> the files of a Monolix project, and what became of every construct."""
