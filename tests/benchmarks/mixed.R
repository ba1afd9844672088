# The mixed suites in R: lme4's lmer by maximum likelihood.
packages <- "lme4"
prepare <- identity

lmer_task <- function(formula) list(
  lmer = list(
    stages = list(function(data, before) {
      fit <- suppressWarnings(suppressMessages(lmer(formula, data, REML = FALSE)))
      s <- summary(fit)
      list(deviance(fit), sigma(fit), s$coefficients[, 1], s$coefficients[, 2])
    }),
    check = unlist))

tasks <- lmer_task(y ~ x1 + x2 + (x1 | g))
