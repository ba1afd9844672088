# Linear mixed models: lme4::lmer, asked for its quantities by lme4's own extractors, and lme4's anova of several fits.
# What R does not return for a fit is left out, never made up here. Calls and options are lm.R's; the protocol is in worker.R.

# lme4 refuses in words too; a refusal of its checks names what it checked.
message_kinds <- c(
  message_kinds,
  "^No random effects terms specified"                                       = "no-random-effects",
  "grouping factors must have > 1 sampled level"                             = "one-level-group",
  "number of levels of each grouping factor must be < number of observations" = "too-many-levels",
  "number of observations .* <= number of random effects"                    = "too-many-random-effects",
  "new levels detected in newdata"                                           = "unseen-level",
  "incorrect number of theta components"                                     = "bad-option"
)

optimizers <- c("nloptwrap", "bobyqa", "Nelder_Mead", "nlminbwrap")

#' The call of a fit. `data` and `formula` stand for what the request holds, columns are symbols, numbers are numbers.
lmer_call <- function(request, REML = isTRUE(option(request, "REML", TRUE))) {
  call <- model_call(quote(lme4::lmer), request, REML = REML)
  offset <- option(request, "offset")
  if (!is.null(offset)) {
    data_column(request, offset)
    call$offset <- as.name(offset)
  }
  start <- option(request, "start")
  if (!is.null(start)) call$start <- doubles(start)
  control <- choice_option(request, "control", optimizers)
  if (control != optimizers[1]) call$control <- bquote(lme4::lmerControl(optimizer = .(control)))
  call
}

fit_lmer <- function(call, request) {
  fit <- with_numeric_response(request, run_call(call, request))
  if (!is_numeric_response(model.response(model.frame(fit)))) refuse("non-numeric-response", "the response is not numeric")
  fit
}

# ---- labels -------------------------------------------------------------------------------------------------------
# Random effects have three labels, which travel as one: group/level/column; conditional covariances four.

#' One vector of a list of data frames, one a grouping factor: level by level, a level's columns together.
by_level <- function(tables) {
  parts <- lapply(names(tables), function(group) {
    table <- as.matrix(tables[[group]])
    labels <- outer(colnames(table), rownames(table), function(column, level) paste(group, level, column, sep = "/"))
    setNames(as.vector(t(table)), as.vector(labels))
  })
  unlist(parts)
}

#' The lower triangles of the levels' covariance matrices (r, r, levels) of one term.
lower_triangles <- function(term, levels, columns, covariances) {
  places <- which(lower.tri(diag(length(columns)), diag = TRUE), arr.ind = TRUE)
  parts <- lapply(seq_along(levels), function(j) {
    labels <- paste(term, levels[j], columns[places[, 1L]], columns[places[, 2L]], sep = "/")
    setNames(matrix(covariances[, , j], length(columns))[places], labels)
  })
  unlist(parts)
}

#' Conditional covariances, terms named as VarCorr names them: a group's second term has .1 behind its name, and so on.
conditional_covariances <- function(fit) {
  modes <- lme4::ranef(fit, condVar = TRUE)
  parts <- lapply(names(modes), function(group) {
    given <- attr(modes[[group]], "postVar")
    terms <- if (is.list(given)) given else list(given)
    columns <- fit@cnms[names(fit@cnms) == group]
    names <- paste0(group, c("", paste0(".", seq_along(terms)))[seq_along(terms)])
    unlist(Map(lower_triangles, names, list(rownames(modes[[group]])), unname(columns), terms, USE.NAMES = FALSE))
  })
  unlist(parts)
}

#' Standard deviations as group.column, correlations as group.row.column, which is how lme4 names theta.
standard_deviations <- function(fit) {
  parts <- lapply(as_list(lme4::VarCorr(fit)), function(one) attr(one, "stddev"))
  unlist(Map(function(group, x) setNames(x, paste(group, names(x), sep = ".")), names(parts), parts, USE.NAMES = FALSE))
}

correlations <- function(fit) {
  parts <- lapply(as_list(lme4::VarCorr(fit)), function(one) attr(one, "correlation"))
  found <- Map(function(group, x) {
    places <- which(lower.tri(x), arr.ind = TRUE)
    setNames(x[places], paste(group, rownames(x)[places[, 1L]], colnames(x)[places[, 2L]], sep = ".")[seq_len(nrow(places))])
  }, names(parts), parts, USE.NAMES = FALSE)
  found <- unlist(found)
  if (length(found)) found
}

as_list <- function(x) setNames(lapply(names(x), function(name) x[[name]]), names(x))

# ---- quantities ---------------------------------------------------------------------------------------------------

#' deviance() of a REML fit says that it is deprecated and returns the REML criterion, as it always did.
quiet_deviance <- function(fit) unname(if (lme4::isREML(fit)) lme4::REMLcrit(fit) else deviance(fit))

#' lme4's objective at thetas that the request gives, whatever the optimum is.
objective_at <- function(call, request) {
  thetas <- option(request, "theta_at")
  if (is.null(thetas)) return(NULL)
  call$devFunOnly <- TRUE
  evaluate <- run_call(call, request)
  setNames(vapply(thetas, function(theta) evaluate(doubles(theta)), numeric(1)), seq_along(thetas))
}

lmer_predictions <- function(fit, request) {
  columns <- option(request, "newdata")
  if (is.null(columns)) return(list())
  newdata <- frame(columns)
  new_levels <- isTRUE(option(request, "allow_new_levels"))
  ask <- function(re) function() predict(fit, newdata, re.form = re, allow.new.levels = new_levels)
  list(predicted = ask(NULL), predicted_fixed = ask(NA))
}

#' Without fixed effects lme4 has no table of them, and most of these extractors stop.
fixed_effects <- function(fit, request) {
  if (!length(lme4::fixef(fit))) return(list())
  vcov <- as.matrix(vcov(fit))
  table <- coef(summary(fit, correlation = FALSE))
  take <- function(name) function() setNames(table[, name], rownames(table))
  list(
    coef = function() lme4::fixef(fit), std_error = take("Std. Error"), statistic = take("t value"),
    conf_low = lmer_limit(fit, request, 1L), conf_high = lmer_limit(fit, request, 2L),
    vcov = function() vcov, fixef_correlation = function() cov2cor(vcov),
    aliased = function() {
      all <- lme4::fixef(fit, add.dropped = TRUE)
      setNames(as.double(is.na(all)), names(all))
    }
  )
}

lmer_limit <- function(fit, request, column) function() {
  limits <- confint(fit, parm = "beta_", method = "Wald", level = number_option(request, "level", 0.95))
  setNames(limits[, column], rownames(limits))
}

lmer_quantities <- function(fit, call, request) {
  c(fixed_effects(fit, request), list(
    nobs = function() nobs(fit), rank = function() lme4::getME(fit, "p"), df_residual = function() df.residual(fit),
    n_dropped = function() length(attr(model.frame(fit), "na.action")),
    sigma = function() sigma(fit), theta = function() lme4::getME(fit, "theta"),
    sd = function() standard_deviations(fit), cor = function() correlations(fit),
    objective = function() quiet_deviance(fit), objective_at = function() objective_at(call, request),
    loglik = function() as.double(logLik(fit)), aic = function() unname(AIC(fit)), bic = function() unname(BIC(fit)),
    deviance = function() quiet_deviance(fit),
    fitted = function() fitted(fit), residuals = function() residuals(fit),
    scaled_residual_quantiles = function() residual_quantiles(summary(fit, correlation = FALSE)$residuals),
    ranef = function() by_level(lme4::ranef(fit, condVar = FALSE)),
    ranef_condvar = function() conditional_covariances(fit),
    coef_by_group = function() by_level(coef(fit)),
    n_groups = function() lme4::ngrps(fit),
    is_singular = function() as.double(lme4::isSingular(fit))
  ), lmer_predictions(fit, request))
}

register("lmer", function(request) {
  call <- lmer_call(request)
  fit <- fit_lmer(call, request)
  list(call = shown_call(call, request), quantities = lmer_quantities(fit, call, request))
}, packages = "lme4")

# ---- anova of several fits ----------------------------------------------------------------------------------------

is_mixed <- function(formula) any(c("|", "||") %in% all.names(formula))

#' A model of the comparison: by lmer where its formula has a bar, else by lm.
compared_model <- function(text, request, REML) {
  one <- request
  if (is.character(text)) one$formula <- read_formula(text, request$data)
  if (!is_mixed(one$formula)) return(lm_model(one))
  call <- lmer_call(one, REML)
  list(fit = fit_lmer(call, one), call = shown_call(call, one))
}

#' lme4 orders the models by their number of parameters; here each keeps the number it was given in as its name.
register("lmer_anova", function(request) {
  further <- option(request, "formulas")
  REML <- option(request, "REML", TRUE)
  texts <- c(list(NULL), further)
  models <- Map(compared_model, texts, list(request), rep_len(as.list(REML), length(texts)))
  refit <- !identical(option(request, "refit"), FALSE)
  fits <- unname(lapply(models, `[[`, "fit"))
  table <- do.call(anova, c(fits, list(refit = refit, model.names = as.character(seq_along(fits)))))
  take <- function(name) function() if (name %in% names(table)) setNames(table[[name]], rownames(table))
  list(
    call = as.call(c(quote(anova), unname(lapply(models, `[[`, "call")), list(refit = refit))),
    quantities = list(
      npar = take("npar"), aic = take("AIC"), bic = take("BIC"), loglik = take("logLik"), deviance = take("deviance"),
      chisq = take("Chisq"), chi_df = take("Df"), p_value = take("Pr(>Chisq)")
    )
  )
}, packages = "lme4")
