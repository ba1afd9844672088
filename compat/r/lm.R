# Linear models: stats::lm, rms::ols and anova of nested linear models, each asked by R's own extractors.
# What R does not return for a fit is left out, never made up here. The protocol and the formula gate are in worker.R.

#' The call as it is shown and run: names stand for the data, so a long vector never enters the call.
run_call <- function(call, request, ...) {
  eval(call, list(data = request$data, formula = request$formula, ...), asNamespace("stats"))
}

shown_call <- function(call, request) {
  call$formula <- as.call(as.list(request$formula))
  call
}

#' The weights column as a symbol: R looks it up in the data and drops its rows with the others.
weights_symbol <- function(request) {
  name <- option(request, "weights")
  if (is.null(name)) return(NULL)
  if (!is.numeric(data_column(request, name))) refuse("bad-option", "the weights are not numeric")
  as.name(name)
}

model_call <- function(name, request, ...) {
  call <- as.call(c(list(name, formula = quote(formula), data = quote(data)), list(...)))
  weights <- weights_symbol(request)
  if (!is.null(weights)) call$weights <- weights
  call
}

#' A response that is no number: R answers with warnings or says that its y is NA, so the reason is told here.
with_numeric_response <- function(request, expression) {
  tryCatch(expression, error = function(e) {
    frame <- tryCatch(model.frame(request$formula, request$data), error = function(e) NULL)
    if (inherits(e, "refusal") || is.null(frame) || is_numeric_response(model.response(frame))) stop(e)
    refuse("non-numeric-response", conditionMessage(e))
  })
}

is_numeric_response <- function(response) is.null(response) || is.numeric(response) || is.logical(response)

fit_model <- function(call, request) {
  fit <- with_numeric_response(request, run_call(call, request))
  response <- if (is.null(fit$model)) fit$y else model.response(fit$model)
  if (!is_numeric_response(response)) refuse("non-numeric-response", "the response is not numeric")
  fit
}

lm_model <- function(request, tol = NULL) {
  call <- model_call(quote(lm), request)
  if (!is.null(tol)) call$tol <- tol
  list(fit = fit_model(call, request), call = shown_call(call, request))
}

#' The positions of the rows left out; rms wraps them in a list.
dropped_rows <- function(fit) if (is.list(fit$na.action)) fit$na.action$omit else fit$na.action

n_dropped <- function(fit) length(dropped_rows(fit))

#' rms fills the dropped rows up with NA; the rows that were used are wanted.
used_rows <- function(x, fit) if (length(x) > length(fit$residuals)) x[-dropped_rows(fit)] else x

#' summary() shows the estimated coefficients only; here every label of coef() stands, NA where R gave none.
all_labels <- function(x, fit) {
  full <- coef(fit)
  full[] <- NA_real_
  full[names(x)] <- x
  full
}

two_sided_t <- function(statistic, df) 2 * pt(abs(statistic), df, lower.tail = FALSE)

#' One column of confint(), its name kept where the fit has a single coefficient.
confidence_limit <- function(fit, level, column) {
  limits <- confint(fit, level = level)
  setNames(limits[, column], rownames(limits))
}

#' What every linear fit returns, through R's extractors.
common_quantities <- function(fit, level) {
  list(
    coef = function() coef(fit),
    conf_low = function() confidence_limit(fit, level, 1L),
    conf_high = function() confidence_limit(fit, level, 2L),
    vcov = function() vcov(fit),
    nobs = function() nobs(fit),
    rank = function() fit$rank,
    df_residual = function() df.residual(fit),
    aliased = function() setNames(as.double(is.na(coef(fit))), names(coef(fit))),
    fitted = function() used_rows(fitted(fit), fit),
    residuals = function() used_rows(residuals(fit), fit),
    n_dropped = function() n_dropped(fit),
    loglik = function() as.double(logLik(fit)),
    aic = function() unname(AIC(fit)),
    bic = function() unname(BIC(fit))
  )
}

lm_quantities <- function(fit, request) {
  shown <- summary(fit)
  printed <- shown$coefficients
  table <- function(column) function() all_labels(setNames(printed[, column], rownames(printed)), fit)
  f <- shown$fstatistic
  part <- function(i) function() if (!is.null(f)) unname(f[i])
  c(
    common_quantities(fit, number_option(request, "level", 0.95)),
    list(
      std_error = table("Std. Error"), statistic = table("t value"), p_value = table("Pr(>|t|)"),
      sigma = function() shown$sigma,
      r_squared = function() shown$r.squared,
      adj_r_squared = function() shown$adj.r.squared,
      f_statistic = part(1L), f_numdf = part(2L), f_dendf = part(3L),
      f_p_value = function() if (!is.null(f)) unname(pf(f[1L], f[2L], f[3L], lower.tail = FALSE)),
      deviance = function() deviance(fit),
      residual_quantiles = function() residual_quantiles(shown$residuals),
      hatvalues = function() hatvalues(fit)
    ),
    predictions(fit, request)
  )
}

residual_quantiles <- function(residuals) setNames(quantile(residuals), c("Min", "1Q", "Median", "3Q", "Max"))

predictions <- function(fit, request) {
  columns <- option(request, "newdata")
  if (is.null(columns)) return(list())
  newdata <- frame(columns)
  level <- number_option(request, "level", 0.95)
  ask <- function(interval, column) function() {
    limits <- predict(fit, newdata, interval = interval, level = level)
    setNames(limits[, column], rownames(limits))
  }
  list(
    predicted = function() predict(fit, newdata),
    predicted_se = function() setNames(predict(fit, newdata, se.fit = TRUE)$se.fit, row.names(newdata)),
    predicted_conf_low = ask("confidence", "lwr"), predicted_conf_high = ask("confidence", "upr"),
    predicted_pred_low = ask("prediction", "lwr"), predicted_pred_high = ask("prediction", "upr")
  )
}

register("lm", function(request) {
  model <- lm_model(request, number_option(request, "tol", NULL))
  list(call = model$call, quantities = lm_quantities(model$fit, request))
}, packages = "stats")

# ---- rms::ols -----------------------------------------------------------------------------------------------------

ols_model <- function(request) {
  call <- model_call(quote(rms::ols), request, x = TRUE, y = TRUE)
  list(fit = fit_model(call, request), call = shown_call(call, request))
}

#' rms prints its t tests and adjusted R2 with n - p degrees of freedom where n counts rows of zero weight too,
#' while df.residual() does not. The printed ones are taken: rms has no other word on them.
ols_printed_df <- function(fit) length(fit$residuals) - length(coef(fit))

ols_table <- function(fit) {
  se <- sqrt(diag(vcov(fit)))
  statistic <- coef(fit) / se
  list(
    std_error = function() se,
    statistic = function() statistic,
    p_value = function() two_sided_t(statistic, ols_printed_df(fit))
  )
}

ols_quantities <- function(fit, request) {
  n <- length(fit$residuals)
  stat <- function(name) function() unname(fit$stats[name])
  c(
    common_quantities(fit, number_option(request, "level", 0.95)),
    ols_table(fit),
    list(
      sigma = stat("Sigma"),
      r_squared = stat("R2"),
      adj_r_squared = function() unname(1 - (1 - fit$stats["R2"]) * (n - 1) / ols_printed_df(fit)),
      lr_chi2 = stat("Model L.R."),
      lr_df = stat("d.f."),
      lr_p_value = function() unname(pchisq(fit$stats["Model L.R."], fit$stats["d.f."], lower.tail = FALSE)),
      g_index = stat("g"),
      residual_quantiles = function() residual_quantiles(fit$residuals),
      hatvalues = function() used_rows(residuals(fit, type = "hat"), fit)
    )
  )
}

register("ols", function(request) {
  model <- ols_model(request)
  list(call = model$call, quantities = ols_quantities(model$fit, request))
}, packages = "rms")

# ---- anova of nested linear models --------------------------------------------------------------------------------

anova_models <- function(request) {
  texts <- option(request, "formulas")
  if (!length(texts)) refuse("bad-option", "anova needs the formulas of further models")
  formulas <- c(list(request$formula), lapply(texts, read_formula, data = request$data))
  lapply(formulas, function(formula) {
    one <- request
    one$formula <- formula
    lm_model(one)
  })
}

register("anova", function(request) {
  models <- anova_models(request)
  table <- do.call(anova, unname(lapply(models, `[[`, "fit")))
  take <- function(name) function() if (name %in% names(table)) setNames(table[[name]], rownames(table))
  list(
    call = as.call(c(quote(anova), lapply(models, `[[`, "call"))),
    quantities = list(
      df_residual = take("Res.Df"), rss = take("RSS"), df = take("Df"), sum_sq = take("Sum of Sq"),
      f_statistic = take("F"), p_value = take("Pr(>F)")
    )
  )
}, packages = "stats")
