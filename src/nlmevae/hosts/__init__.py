"""Living inside other tools: the nmfe script of NONMEM, Pharmpy."""
