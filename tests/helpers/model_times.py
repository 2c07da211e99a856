"""A model in which everything changes at two model times, and records with all kinds of events."""

STREAM = """$PROBLEM everything changes at two model times
$INPUT ID TIME AMT RATE ADDL II EVID CMT DV MDV WT
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN13 TOL=9
$MODEL COMP=(DEPOT) COMP=(CENTRAL) COMP=(GALL)
$PK
MTIME(1) = THETA(1)*EXP(ETA(1))
MTIME(2) = MTIME(1) + THETA(2)
MTDIFF = 1
KA = THETA(3)*(1 + THETA(4)*MPAST(1))
CL = THETA(5)*(WT/70)*EXP(ETA(2))
V = 20
S2 = V*(1 + 0.5*MPAST(2))
F1 = 1 - 0.3*MPAST(1)
A_0(3) = 2*(1 + MPAST(1))
$DES
FLAG = MPAST(1) - MPAST(2)
DADT(1) = -KA*A(1) + 1.5*A(3)*FLAG
DADT(2) = KA*A(1) - CL/V*A(2) - 8*A(2)/(30 + A(2)) - 0.4*A(2)
DADT(3) = 0.4*A(2) - 1.5*A(3)*FLAG
$ERROR
Y = F + 0.1*MPAST(1) + EPS(1)
$THETA (0, 4) (0, 3) (0, 0.5) (0, 2) (0, 3)
$OMEGA 0.1 0.1
$SIGMA 1
"""
#: ID,TIME,AMT,RATE,ADDL,II,EVID,CMT,DV,MDV,WT; a reset, and doses after it
RECORDS = """1,0,100,0,2,6,1,1,0,1,70
1,1,0,0,0,0,0,2,1,0,70
1,3,50,10,0,0,1,2,0,1,{0}
1,4,0,0,0,0,0,2,1,0,70
1,5,0,0,0,0,0,2,1,0,{0}
1,7.5,0,0,0,0,0,2,1,0,70
1,9,0,0,0,0,0,2,1,0,70
1,13,0,0,0,0,3,2,0,1,{0}
1,15,0,0,0,0,0,2,1,0,70
1,16,80,0,0,0,1,1,0,1,70
1,20,0,0,0,0,0,2,1,0,70
"""
