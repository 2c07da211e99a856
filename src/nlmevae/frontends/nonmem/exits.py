"""EXIT: NONMEM gives up the prediction of a record."""

from __future__ import annotations

from nlmevae.ir import Assign, Call, Compare, If, Number, Program, Symbol, names_assigned

#: Section -> the variable that says that its EXIT was reached.
EXIT_FLAGS = {"PK": "EXIT in $PK", "ERROR": "EXIT in $ERROR", "PRED": "EXIT in $PRED"}


def with_exits(program: Program) -> Program:
    """Y is not a number on records where an EXIT was reached."""
    flags = [name for name in EXIT_FLAGS.values() if name in names_assigned((*program.pk, *program.error))]
    pk, error = program.pk, program.error
    for name in flags:
        start = Assign(name, Number(0.0))
        reached = Compare("==", Symbol(name), Number(1.0))
        if name in names_assigned(pk):
            pk = (start, *pk)
        else:
            error = (start, *error)
        error = (*error, If(((reached, (Assign("Y", Call("LOG", (Number(-1.0),))),)),)))
    return Program(pk=pk, des=program.des, error=error)
