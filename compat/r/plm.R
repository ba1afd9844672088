# Panel models: plm::plm, its robust covariances and its tests. Fits and tables come by plm's own extractors; rows carry
# the labels of the data, which plm numbers anew after sorting by individual and time. The protocol is in worker.R.

message_kinds <- c(message_kinds,
  "NA in the (individual|time) index variable" = "missing-index",
  "^empty model$"                              = "empty-model",
  "model not estimable"                        = "not-estimable",
  "(computationally|exactly) singular"         = "rank-deficient",
  "'arg' must be one of|not defined for first-difference|first-difference model meaningless" = "bad-option",
  "twoways effect only relevant for|dfcor should equal 3|only relevant for the between quadratic" = "bad-option",
  "type must be one of .* for a one way model|model has to be either|Model has to be either" = "bad-option",
  "contains non-finite values"                 = "infinite-values",
  "for test = 'bcsclm'|only relevant for \"within\" models" = "bad-option"
)

# ---- plm's functions of a panel ------------------------------------------------------------------------------------
# The gate of worker.R knows R's own functions. In the formulas of panel models, and there only, plm's may stand too.

panel_estimators <- c("plm", "plm_vcov", "plm_test")
panel_functions <- c("lag", "lead", "diff", "Between", "Within", "Sum")
read_plain_request <- read_request

read_request <- function(raw) {
  if (!isTRUE(raw$estimator %in% panel_estimators)) return(read_plain_request(raw))
  plain <- allowed
  on.exit(allowed <<- plain)
  allowed <<- c(plain, panel_functions)
  request <- read_plain_request(raw)
  for (name in intersect(panel_functions, all.names(request$formula))) {
    assign(name, get(name, envir = asNamespace("plm"), mode = "function"), envir = environment(request$formula))
  }
  request
}

#' The index as plm takes it: one or two columns, or the number of individuals.
panel_index <- function(request) {
  given <- option(request, "index")
  if (is.null(given)) refuse("bad-option", "a panel needs an index")
  if (is.numeric(given)) return(as.integer(given))
  names <- strings(given)
  for (name in names) data_column(request, name)
  names
}

#' A vector of options as numbers or strings, NULL where there is none.
vector_option <- function(request, name, as = strings) {
  given <- option(request, name)
  if (is.null(given)) NULL else as(given)
}

#' A call of plm with the options that are given; what is left out has plm's own default.
plm_call <- function(request, ...) {
  given <- list(
    index = panel_index(request),
    model = option(request, "model"),
    effect = option(request, "effect"),
    random.method = option(request, "random_method"),
    random.models = vector_option(request, "random_models"),
    random.dfcor = vector_option(request, "random_dfcor", doubles)
  )
  given[names(list(...))] <- list(...)
  call <- as.call(c(list(quote(plm::plm), formula = quote(formula), data = quote(data)), Filter(Negate(is.null), given)))
  weights <- weights_symbol(request)
  if (!is.null(weights)) call$weights <- weights
  call
}

plm_model <- function(request, ...) {
  call <- plm_call(request, ...)
  list(fit = with_numeric_response(request, run_call(call, request)), call = shown_call(call, request))
}

#' The data's own row labels in plm's order, those of rows that plm left out included.
panel_rows <- function(request) {
  data <- request$data
  data$.row <- row.names(data)
  suppressWarnings(plm::pdata.frame(data, index = panel_index(request), row.names = FALSE))$.row
}

#' A quantity by row under the data's own labels: plm gives the sorted rows the labels of the rows as they came.
by_row <- function(x, request, model, labels = names(x)) {
  values <- as.double(x)
  if (identical(model, "between")) return(setNames(values, labels))
  setNames(values, panel_rows(request)[match(labels, row.names(request$data))])
}

plain_vector <- function(x) setNames(as.double(x), names(x))

#' The total sum of squares is only ever printed by plm; it is asked for with more digits than a double has.
printed_total <- function(fit) {
  saved <- options(digits = 22L)
  on.exit(options(saved))
  line <- grep("^Total Sum of Squares:", capture.output(print(summary(fit))), value = TRUE)
  as.double(sub(".*: *", "", line))
}

#' F or Wald's chi-squared of all slopes.
joint_test <- function(test) {
  part <- function(name) function() if (!is.null(test)) unname(test$parameter[name])
  value <- function() if (!is.null(test)) unname(test$statistic)
  p <- function() if (!is.null(test)) unname(test$p.value)
  if (!is.null(test) && names(test$statistic) == "Chisq") {
    return(list(wald_chi2 = value, wald_df = part("df"), wald_p_value = p))
  }
  list(f_statistic = value, f_numdf = part("df1"), f_dendf = part("df2"), f_p_value = p)
}

table_quantities <- function(fit, shown) {
  table <- coef(shown)
  take <- function(i) function() setNames(table[, i], rownames(table))
  normal <- identical(colnames(table)[3L], "z-value")
  c(
    list(
      coef = function() coef(fit), std_error = take(2L), statistic = take(3L), p_value = take(4L),
      df = function() if (normal) Inf else df.residual(fit),
      nobs = function() nobs(fit), df_residual = function() df.residual(fit)
    ),
    joint_test(shown$fstatistic)
  )
}

#' theta by group where the panel is unbalanced: plm gives it by row, named by group.
theta <- function(fit) {
  components <- plm::ercomp(fit)
  given <- components$theta
  parts <- if (is.list(given)) given else setNames(list(given), attr(components, "effect"))
  names(parts) <- sub("individual", "id", names(parts), fixed = TRUE)
  if (isTRUE(attr(components, "balanced"))) return(vapply(parts, function(x) as.double(x[1L]), 0))
  levels <- lapply(setNames(plm::index(fit), c("id", "time")), levels)
  by_group <- lapply(setdiff(names(parts), "total"), function(part) parts[[part]][levels[[part]]])
  names(by_group) <- setdiff(names(parts), "total")
  names <- unlist(Map(function(part, x) paste0(part, ": ", names(x)), names(by_group), by_group), use.names = FALSE)
  setNames(as.double(unlist(by_group, use.names = FALSE)), names)
}

effect_quantities <- function(fit) {
  if (fit$args$model == "random") {
    both <- fit$args$effect == "twoways"
    return(list(
      ercomp = function() plain_vector(plm::ercomp(fit)$sigma2),
      theta_quasi_demeaning = function() theta(fit),
      ranef = function() plain_vector(plm::ranef(fit)),
      ranef_time = function() if (both) plain_vector(plm::ranef(fit, effect = "time"))
    ))
  }
  if (fit$args$model != "within" || !is.null(fit$weights)) return(list())
  level <- plm::fixef(fit)
  se <- attr(level, "se")
  both <- fit$args$effect == "twoways"
  overall <- tryCatch(plm::within_intercept(fit), error = function(e) NULL)  # no duplicates for it
  list(
    fixef = function() plain_vector(level),
    fixef_se = function() if (!is.null(se)) setNames(as.double(se), names(level)),
    fixef_dfirst = function() plain_vector(plm::fixef(fit, type = "dfirst")),
    fixef_dmean = function() plain_vector(plm::fixef(fit, type = "dmean")),
    fixef_time = function() if (both) plain_vector(plm::fixef(fit, effect = "time")),
    within_intercept = function() if (!is.null(overall)) as.double(overall),
    within_intercept_se = function() if (!is.null(overall)) as.double(attr(overall, "se"))
  )
}

#' Predictions for new rows; with the index columns among them, each row's own effects.
panel_predictions <- function(fit, request) {
  columns <- option(request, "newdata")
  if (is.null(columns)) return(list())
  newdata <- frame(columns)
  index <- panel_index(request)
  rows <- row.names(newdata)
  if (is.character(index) && all(index %in% names(newdata))) {
    newdata$.row <- rows
    newdata <- plm::pdata.frame(newdata, index = index)
    rows <- as.character(newdata$.row)
  }
  fill <- isTRUE(option(request, "na_fill"))
  list(predicted = function() setNames(as.double(predict(fit, newdata = newdata, na.fill = fill)), rows)[row.names(frame(columns))])
}

register("plm", function(request) {
  model <- plm_model(request)
  fit <- model$fit
  shown <- summary(fit)
  limits <- function(i) function() {
    both <- confint(fit, level = number_option(request, "level", 0.95))
    setNames(both[, i], rownames(both))
  }
  kind <- fit$args$model
  dimension <- plm::pdim(fit)$nT
  residual_names <- names(fit$residuals)
  quantities <- c(table_quantities(fit, shown), effect_quantities(fit), panel_predictions(fit, request), list(
    vcov = function() vcov(fit), conf_low = limits(1L), conf_high = limits(2L),
    rank = function() length(coef(fit)),
    aliased = function() setNames(as.double(fit$aliased), names(fit$aliased)),
    sigma = function() sigma(fit),
    residuals = function() by_row(residuals(fit), request, kind, residual_names),
    fitted = function() by_row(fitted(fit), request, kind, residual_names),
    n_dropped = function() nrow(request$data) - dimension$N,
    tss = function() printed_total(fit), rss = function() deviance(fit),
    r_squared = function() unname(shown$r.squared["rsq"]),
    adj_r_squared = function() unname(shown$r.squared["adjrsq"]),
    residual_quantiles = function() residual_quantiles(as.double(residuals(fit))),
    n_individuals = function() dimension$n, n_times = function() dimension$T
  ))
  list(call = model$call, quantities = quantities)
}, packages = "plm")

# ---- robust covariances -------------------------------------------------------------------------------------------

hc_types <- c("HC0", "sss", "HC1", "HC2", "HC3", "HC4")

#' The call of plm's vcovHC, vcovBK, vcovNW, vcovSCC or vcovDC with the options it knows.
panel_vcov_call <- function(request) {
  estimator <- choice_option(request, "vcov", c("HC", "BK", "NW", "SCC", "DC"))
  known <- list(
    HC = c("method", "cluster"), BK = c("cluster", "diagonal"), NW = "maxlag", SCC = c("maxlag", "inner"), DC = character()
  )[[estimator]]
  given <- Filter(Negate(is.null), setNames(lapply(known, option, request = request), known))
  method <- call("::", quote(plm), as.name(paste0("vcov", estimator)))
  as.call(c(list(method, quote(fit), type = choice_option(request, "type", hc_types)), given))
}

register("plm_vcov", function(request) {
  model <- plm_model(request)
  call <- panel_vcov_call(request)
  vcov <- eval(call, list(fit = model$fit), asNamespace("stats"))
  shown <- summary(model$fit, vcov = vcov)
  call[[2L]] <- model$call
  list(call = call, quantities = c(table_quantities(model$fit, shown), list(vcov = function() plain(vcov))))
}, packages = "plm")

# ---- tests --------------------------------------------------------------------------------------------------------

#' A test of fitted models: the fits by name, and the call that takes them.
panel_test <- function(request, fits, call) {
  models <- lapply(fits, function(one) do.call(plm_model, c(list(request), one)))
  value <- eval(call, lapply(models, `[[`, "fit"), asNamespace("stats"))
  list(value = value, call = do.call(substitute, list(call, lapply(models, `[[`, "call"))))
}

panel_tests <- list(
  pFtest = function(request) {
    fits <- list(within = list(model = "within"), pooling = list(model = "pooling"))
    panel_test(request, fits, quote(plm::pFtest(within, pooling)))
  },
  phtest = function(request) {
    if (choice_option(request, "method", c("chisq", "aux")) == "aux") return(auxiliary_hausman(request))
    models <- strings(option(request, "models", list("within", "random")))
    random <- list(model = "random", random.method = option(request, "random_method"))
    fits <- lapply(models, function(m) if (m == "random") random else list(model = m, random.method = NULL))
    panel_test(request, setNames(fits, c("x", "x2")), quote(plm::phtest(x, x2)))
  },
  plmtest = function(request) {
    effect <- choice_option(request, "effect", c("individual", "time", "twoways"))
    type <- choice_option(request, "type", c("honda", "bp", "kw", "ghm"))
    fits <- list(x = list(model = "pooling", effect = NULL))
    panel_test(request, fits, bquote(plm::plmtest(x, effect = .(effect), type = .(type))))
  },
  pbgtest = function(request) {
    order <- number_option(request, "order", NULL)
    type <- choice_option(request, "type", c("Chisq", "F"))
    panel_test(request, list(x = list()), bquote(plm::pbgtest(x, order = .(order), type = .(type))))
  },
  pwartest = function(request) {
    type <- choice_option(request, "type", hc_types)
    panel_test(request, list(x = list(model = "within")), bquote(plm::pwartest(x, type = .(type))))
  },
  pcdtest = function(request) {
    test <- choice_option(request, "type", c("cd", "lm", "sclm", "bcsclm", "rho", "absrho"))
    if (!is.null(option(request, "model"))) return(panel_test(request, list(x = list()), bquote(plm::pcdtest(x, test = .(test)))))
    call <- bquote(plm::pcdtest(formula, data = data, index = .(panel_index(request)), test = .(test)))
    formula_test(call, request)
  }
)

#' plm's tests of a formula look for plm() where they are called from.
formula_test <- function(call, request) {
  value <- eval(call, list(data = request$data, formula = request$formula), asNamespace("plm"))
  list(value = value, call = shown_call(call, request))
}

auxiliary_hausman <- function(request) {
  effect <- choice_option(request, "effect", c("individual", "time", "twoways"))
  call <- bquote(plm::phtest(formula, data = data, index = .(panel_index(request)), effect = .(effect), method = "aux"))
  if (isTRUE(option(request, "robust"))) call$vcov <- quote(plm::vcovHC)
  formula_test(call, request)
}

register("plm_test", function(request) {
  test <- choice_option(request, "test", names(panel_tests))
  found <- panel_tests[[test]](request)
  value <- found$value
  list(call = found$call, quantities = list(
    statistic = function() as.double(value$statistic),
    p_value = function() if (!is.null(value$p.value)) as.double(value$p.value),
    parameter = function() if (length(value$parameter)) plain_vector(value$parameter)
  ))
}, packages = "plm")
