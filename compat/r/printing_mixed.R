# What lme4 prints of its fits. As printing.R, whose requests and files these are:
#   Rscript printing_mixed.R --freeze FOLDER      requests from stdin; each answer becomes FOLDER/<id>.json

given <- base::commandArgs(trailingOnly = TRUE)
commandArgs <- function(trailingOnly = FALSE) if (trailingOnly) character() else base::commandArgs()
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L]))
source(file.path(here, "printing.R"), encoding = "UTF-8")

fit_of <- function(request) suppressMessages(fit_lmer(lmer_call(request), request))

#' lme4 says how its user named the fit, here m. What it says by message stands where a console shows it.
printers$lmer <- function(request) {
  m <- fit_of(request)
  withCallingHandlers(print(summary(m)), message = function(said) {
    cat(conditionMessage(said))
    invokeRestart("muffleMessage")
  })
}
printers$lmer_short <- function(request) print(fit_of(request))
printers$lmer_terms <- function(request) print(anova(fit_of(request)))

#' The formula stands in the call, where a person would have typed it.
spelt_out <- function(fit) {
  if (inherits(fit, "lm")) fit$call$formula <- formula(fit)
  fit
}

#' The fits have the names that the case gives its rows: their numbers.
printers$lmer_anova <- function(request) {
  texts <- c(list(NULL), option(request, "formulas"))
  REML <- rep_len(as.list(option(request, "REML", TRUE)), length(texts))
  fits <- suppressMessages(unname(lapply(Map(compared_model, texts, list(request), REML), `[[`, "fit")))
  fits <- lapply(fits, spelt_out)
  refit <- !identical(option(request, "refit"), FALSE)
  print(suppressMessages(do.call(anova, c(fits, list(refit = refit, model.names = as.character(seq_along(fits)))))))
}

print_request <- local({
  printed <- print_request
  function(raw) {
    suppressPackageStartupMessages(library("lme4", character.only = TRUE))
    printed(raw)
  }
})

provenance <- local({
  of_linear <- provenance
  function(line, estimator) {
    found <- of_linear(line, estimator)
    found$packages <- package_versions("lme4")
    found$r_code_sha256 <- jsonlite::unbox(sha256(file.path(here, "printing_mixed.R")))
    found
  }
})

if (length(given) == 2L && given[1L] == "--freeze") freeze_prints(given[2L])
