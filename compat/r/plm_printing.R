# What plm prints: summaries of panel models. Requests of printing.R from stdin; each answer becomes FOLDER/<id>.json.
#   Rscript --vanilla plm_printing.R FOLDER

folder <- commandArgs(TRUE)[1L]
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L]))
source(file.path(here, "printing.R"), encoding = "UTF-8")

defaults <- list(model = "within", effect = "individual")

#' A vector in a call as it is typed.
typed <- function(value) {
  if (is.integer(value)) value <- as.double(value)
  if (is.atomic(value) && length(value) > 1L) as.call(c(quote(c), as.list(value))) else value
}

#' The call as a person types it, defaults left out, in the order of plm's arguments.
typed_call <- function(call) {
  call[[1L]] <- quote(plm)
  call <- match.call(plm::plm, call)
  for (name in names(call)[-1L]) call[[name]] <- typed(call[[name]])
  for (name in names(defaults)) if (identical(call[[name]], defaults[[name]])) call[[name]] <- NULL
  call
}

panel_fit <- function(request) {
  model <- plm_model(request)
  model$fit$call <- typed_call(model$call)
  model$fit
}

printers$plm <- function(request) print(summary(panel_fit(request)))
printers$plm_vcov <- function(request) {
  fit <- panel_fit(request)
  print(summary(fit, vcov = eval(panel_vcov_call(request), list(fit = fit))))
}

linear_provenance <- provenance
provenance <- function(line, estimator) {
  found <- linear_provenance(line, estimator)
  found$packages <- package_versions("plm")
  found$r_code_sha256 <- jsonlite::unbox(sha256(file.path(here, "plm_printing.R")))
  found
}

freeze_prints(folder)
