# The formula suite in R: model.matrix, and terms of a formula's text.
packages <- character(0)
prepare <- identity

texts <- local({
  counter <- 0
  function(n) {
    counter <<- counter + n
    paste0("LnDeathPM ~ GDPLagK + GDPGrowthLag + OPENLag + POLITYLag + POLITYSQLag + CivilWarDummy + ",
           "InterstateWarLag + BatDeaths1000Lag + v", counter + seq_len(n))
  }
})

matrix_task <- function(formula) list(stages = list(function(data, before) model.matrix(formula, data)),
                                      check = function(X) sort(colSums(X)))

tasks <- list(
  main_effects = matrix_task(y ~ x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + x10 + f + h),
  interactions = matrix_task(y ~ x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + x10 + f * h + x1:x2 + x1:f),
  parse = list(stages = list(function(data, before) {
    for (text in texts(100L)) parsed <- terms(as.formula(text))
    parsed
  }), check = function(parsed) length(attr(parsed, "term.labels"))))
