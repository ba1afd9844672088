# Robust covariances of linear models, each by the package that defines it: rms::robcov, sandwich, clubSandwich, and the
# maximum likelihood sandwich of a glm. Fits come from lm.R; the protocol is in worker.R.

#' The clusters of every row, one entry a dimension: the column of a name, or the labels themselves where a list stands.
cluster_columns <- function(request, given) {
  columns <- lapply(given, function(one) if (is.list(one)) strings(one) else data_column(request, one))
  setNames(columns, vapply(given, function(one) if (is.list(one)) "cluster" else one, character(1)))
}

#' The one clustering of robcov and ml_sandwich, an empty list without.
one_cluster <- function(request) {
  given <- option(request, "cluster")
  if (is.null(given)) list() else cluster_columns(request, list(given))
}

#' How many clusters the rows that were used fall into.
count_clusters <- function(cluster, fit) {
  dropped <- dropped_rows(fit)
  used <- if (length(dropped)) cluster[-dropped] else cluster
  length(unique(used))
}

# ---- rms::robcov --------------------------------------------------------------------------------------------------

register("robcov", function(request) {
  model <- ols_model(request)
  method <- choice_option(request, "method", c("huber", "efron"))
  clusters <- one_cluster(request)
  call <- as.call(c(quote(rms::robcov), quote(fit), lapply(names(clusters), as.name), list(method = method)))
  fit <- eval(call, c(list(fit = model$fit), clusters), asNamespace("stats"))
  call[[2L]] <- model$call
  quantities <- c(common_quantities(fit, number_option(request, "level", 0.95)), ols_table(fit))
  quantities <- quantities[setdiff(names(quantities), c("loglik", "aic", "bic"))]
  quantities$sigma <- function() unname(fit$stats["Sigma"])
  quantities$n_clusters <- function() unname(fit$clusterInfo$n)
  list(call = call, quantities = quantities)
}, packages = "rms")

# ---- tests on a covariance ----------------------------------------------------------------------------------------

#' The degrees of freedom of the test: Inf asks coeftest for the normal distribution.
test_df <- function(fit, request) {
  if (choice_option(request, "test", c("t", "z")) == "z") return(Inf)
  number_option(request, "df", df.residual(fit))
}

#' coef() keeps aliased coefficients as NA; covariance and tests have the estimated ones only, as R returns them.
tested_quantities <- function(fit, vcov, request) {
  df <- test_df(fit, request)
  level <- number_option(request, "level", 0.95)
  table <- lmtest::coeftest(fit, vcov. = vcov, df = df)
  limits <- function(i) function() lmtest::coefci(fit, vcov. = vcov, df = df, level = level)[, i]
  take <- function(i) function() setNames(table[, i], rownames(table))
  list(
    coef = function() coef(fit), vcov = function() vcov,
    std_error = take(2L), statistic = take(3L), p_value = take(4L),
    conf_low = limits(1L), conf_high = limits(2L),
    df = function() df, nobs = function() nobs(fit), df_residual = function() df.residual(fit),
    sigma = function() summary(fit)$sigma, n_dropped = function() n_dropped(fit)
  )
}

plain <- function(vcov) matrix(as.double(vcov), nrow(vcov), dimnames = dimnames(vcov))

register("vcov_hc", function(request) {
  model <- lm_model(request)
  type <- choice_option(request, "type", c("HC3", "HC0", "HC1", "HC2", "HC4", "HC4m", "HC5"))
  vcov <- sandwich::vcovHC(model$fit, type = type)
  call <- bquote(sandwich::vcovHC(.(model$call), type = .(type)))
  list(call = call, quantities = tested_quantities(model$fit, vcov, request))
}, packages = c("sandwich", "lmtest"))

# ---- clustered covariance -----------------------------------------------------------------------------------------

cr_types <- c("CR0", "CR1", "CR1p", "CR1S", "CR2", "CR3")

# How sandwich::vcovCL spells the corrections: its HC type, and whether G/(G-1) multiplies it.
sandwich_types <- list(
  CR0 = list(type = "HC0", cadjust = FALSE), CR1 = list(type = "HC0", cadjust = TRUE),
  CR1S = list(type = "HC1", cadjust = TRUE), CR2 = list(type = "HC2", cadjust = TRUE),
  CR3 = list(type = "HC3", cadjust = TRUE)
)

by_club_sandwich <- function(model, clusters, type) {
  need("clubSandwich")
  if (length(clusters) != 1L) refuse("bad-option", "clubSandwich clusters in one way")
  vcov <- with_cluster_count(clubSandwich::vcovCR(model$fit, cluster = clusters[[1L]], type = type), model, clusters)
  column <- as.name(names(clusters))
  list(vcov = plain(vcov), call = bquote(clubSandwich::vcovCR(.(model$call), cluster = .(column), type = .(type))))
}

by_sandwich <- function(model, clusters, type, request) {
  need("sandwich")
  if (!type %in% names(sandwich_types)) refuse("bad-option", "sandwich has no ", type)
  multi0 <- isTRUE(option(request, "multi0"))
  smallest <- length(clusters) > 1L && choice_option(request, "small_sample", c("component", "min")) == "min"
  how <- sandwich_types[[if (smallest) "CR0" else type]]
  cluster <- as.data.frame(clusters, optional = TRUE)
  vcov <- with_cluster_count(
    sandwich::vcovCL(model$fit, cluster = cluster, type = how$type, cadjust = how$cadjust, multi0 = multi0),
    model, clusters
  )
  columns <- as.call(c(quote(list), lapply(names(clusters), as.name)))
  call <- bquote(sandwich::vcovCL(
    .(model$call), cluster = .(columns), type = .(how$type), cadjust = .(how$cadjust), multi0 = .(multi0)
  ))
  if (!smallest) return(list(vcov = vcov, call = call))
  scale <- smallest_factor(model$fit, clusters, type)
  list(vcov = vcov * scale, call = bquote(.(call) * .(scale)))
}

#' One factor for all components, of the dimension with the fewest clusters (Cameron, Gelbach & Miller 2011, 2.3).
smallest_factor <- function(fit, clusters, type) {
  g <- min(vapply(clusters, count_clusters, numeric(1), fit = fit))
  n <- nobs(fit)
  switch(type,
    CR0 = 1, CR1 = g / (g - 1), CR1S = g / (g - 1) * (n - 1) / df.residual(fit),
    refuse("bad-option", type, " has no single factor")
  )
}

#' With one cluster sandwich stops on the shapes of its matrices; the message stays R's own, the kind says the reason.
with_cluster_count <- function(expression, model, clusters) {
  tryCatch(expression, error = function(e) {
    lengths_fit <- all(lengths(clusters) == length(residuals(model$fit)) + n_dropped(model$fit))
    single <- lengths_fit && any(vapply(clusters, count_clusters, numeric(1), fit = model$fit) == 1)
    if (single) refuse("one-cluster", conditionMessage(e))
    stop(e)
  })
}

register("vcov_cluster", function(request) {
  model <- lm_model(request)
  clusters <- cluster_columns(request, as.list(option(request, "cluster")))
  if (!length(clusters)) refuse("bad-option", "a clustered covariance needs a cluster")
  type <- choice_option(request, "type", cr_types)
  definer <- choice_option(request, "definer", c("clubSandwich", "sandwich"))
  robust <- switch(definer,
    sandwich = by_sandwich(model, clusters, type, request),
    clubSandwich = by_club_sandwich(model, clusters, type)
  )
  quantities <- tested_quantities(model$fit, robust$vcov, request)
  quantities$n_clusters <- function() vapply(clusters, count_clusters, numeric(1), fit = model$fit)
  list(call = robust$call, quantities = quantities, packages = definer)
}, packages = "lmtest")

# ---- the maximum likelihood sandwich ------------------------------------------------------------------------------

#' glm's weights belong to the estimate before its last step, so sandwich would mix two points; started at the estimate
#' that the request gives, the last step is at rounding level and information and scores belong to one point.
register("ml_sandwich", function(request) {
  family <- choice_option(request, "family", c("gaussian", "binomial"))
  call <- model_call(quote(glm), request, family = as.name(family), start = quote(start), epsilon = 1e-14, maxit = 100)
  fit <- with_numeric_response(request, run_call(call, request, start = start_values(request)))
  clusters <- one_cluster(request)
  robust <- if (length(clusters)) clustered_scores(fit, clusters) else plain_scores(fit)
  robust$call[[2L]] <- shown_call(call, request)
  list(call = robust$call, quantities = list(
    coef = function() coef(fit), vcov = function() robust$vcov, std_error = function() sqrt(diag(robust$vcov)),
    nobs = function() nobs(fit), df_residual = function() df.residual(fit), n_dropped = function() n_dropped(fit),
    n_clusters = function() if (length(clusters)) count_clusters(clusters[[1L]], fit)
  ))
}, packages = "sandwich")

start_values <- function(request) {
  given <- option(request, "coef")
  if (is.null(given)) NULL else doubles(given)
}

plain_scores <- function(fit) list(vcov = sandwich::sandwich(fit), call = quote(sandwich::sandwich(fit)))

clustered_scores <- function(fit, clusters) {
  vcov <- with_cluster_count(
    sandwich::vcovCL(fit, cluster = clusters[[1L]], type = "HC0", cadjust = FALSE), list(fit = fit), clusters
  )
  column <- as.name(names(clusters))
  list(vcov = vcov, call = bquote(sandwich::vcovCL(fit, cluster = .(column), type = "HC0", cadjust = FALSE)))
}
