"""The words of the report, a sentence each."""

TERMS = (
    ("−2LL", "Minus two times the logarithm of the likelihood of all observations, with the constant n·ln(2π). "
    "Lower is "
     "better; only values by the same method on the same data compare."),
    ("OFV, NONMEM scale", "−2LL without n·ln(2π): the number NONMEM prints as objective function value."),
    ("Importance sampling", "Computes the likelihood of each subject from random draws; exact up to a "
    "Monte-Carlo error, "
     "which is reported."),
    ("Linearisation", "Computes the likelihood as if predictions were linear in the random effects around each "
    "subject's "
     "mode; fast, but biased where they are not."),
    ("ELBO", "Evidence lower bound: what the variational autoencoder maximises. −2 ELBO is above −2LL."),
    ("AIC, BIC, BICc", "−2LL plus a charge for the number of parameters; BICc charges the logarithm of the number of "
     "subjects for parameters of the random effects and of the observations for the others (Delattre et al. 2014)."),
    ("SE, RSE", "Standard error of an estimate, and relative to it in per cent."),
    ("Monte-Carlo SE", "How much a number changes with the random seed alone."),
    ("ω², CV", "Variance of a random effect on the scale on which it is normal; for a log-normal parameter the "
    "coefficient of "
     "variation is 100·√(exp(ω²) − 1) per cent."),
    ("Shrinkage", "How much the individual estimates are pulled towards the population, 100·(1 − SD/ω) per "
    "cent: 0, data tell "
     "each individual apart; 100, they say nothing about individuals."),
    ("Conditional mean, mode", "Mean and most probable value of a subject's random effects given its data. The mode is "
     "NONMEM's empirical Bayes estimate."),
    ("PRED, IPRED", "Prediction with random effects 0, and with the subject's conditional mode."),
    ("IWRES", "(observed − IPRED) divided by the residual standard deviation."),
    ("CWRES", "Conditional weighted residual: weighted by the covariance of the observations as linearised at the "
     "conditional mode (Hooker, Staatz and Karlsson 2007)."),
    ("NPDE", "Normalised prediction distribution error: the rank of an observation among its simulated values "
    "as a normal "
     "quantile, made independent within subjects (Brendel et al. 2006). N(0, 1) under the model."),
    ("VPC, pcVPC", "Visual predictive check: quantiles of the data beside those of simulated data; "
    "prediction-corrected: "
     "after removing what doses and covariates do to a bin (Bergstrand et al. 2011)."),
    ("BLQ", "Below (or above) the limit of quantification: only the limit is known."),
    ("Pareto k-hat", "How heavy the tail of the importance weights is; above 0.7 the likelihood of the subject is not "
     "reliable (Vehtari et al. 2024)."),
    ("Condition number", "Largest over smallest eigenvalue of the correlation matrix of the estimates; above "
    "1000 they can "
     "hardly be told apart."),
    ("Margin", "How much worse the selection criterion gets if the decision on one effect is reversed and "
    "everything else "
     "estimated again; under 2 the decision is borderline."),
)  # fmt: skip
