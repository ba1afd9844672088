# What R prints: the text of numbers, p-values, tables, calls and summaries. A JSON request a line in, a JSON answer a line out.
#   Rscript printing.R --serve              requests from stdin, answers on stdout
#   Rscript printing.R --freeze FOLDER      requests from stdin; each answer becomes FOLDER/<id>.json with its provenance
# Fits, the formula gate and the reading of data are worker.R's and lm.R's. A request's doubles are C99 hex texts.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L]))
source(file.path(here, "worker.R"), encoding = "UTF-8")
start(here)

# ---- pieces: many small jobs a request, each by the name of R's function ------------------------------------------

rounded <- function(f) function(x, job) sprintf("%a", f(x, job$digits))

table_of <- function(x, job) {
  labels <- list(strings(job$row_names), strings(job$headers))
  matrix(x, length(labels[[1L]]), dimnames = labels)
}

positions <- function(names, headers) if (length(names)) match(strings(names), strings(headers))

#' printCoefmat guesses what the columns are unless the job says it.
coefmat <- function(x, job) {
  arguments <- list(table_of(x, job), digits = job$digits, na.print = job$na)
  if (!is.null(job$columns)) {
    where <- lapply(job$columns, positions, job$headers)
    tested <- length(where$p_value) > 0L
    given <- list(cs.ind = where$estimates, tst.ind = where$tests, zap.ind = where$zap)
    arguments <- c(arguments, lapply(given, as.integer), list(has.Pvalue = tested, P.values = tested))
  }
  capture.output(do.call(printCoefmat, arguments))
}

pieces <- list(
  format = function(x, job) format(x, digits = job$digits, nsmall = job$nsmall),
  format.pval = function(x, job) base::format.pval(x, digits = job$digits, eps = doubles(job$eps)),
  formatC = function(x, job) formatC(x, digits = job$digits),
  round = rounded(round), signif = rounded(signif), zapsmall = rounded(zapsmall),
  named = function(x, job) capture.output(print(setNames(x, strings(job$names)), digits = job$digits)),
  printCoefmat = coefmat,
  deparse = function(x, job) deparse(str2lang(job$text), width.cutoff = job$cutoff),
  version = function(x, job) R.version.string,
  data.frame = function(x, job) capture.output(print(frame(job$data, job$row_names), digits = job$digits))
)

run_piece <- function(job) {
  old <- options(scipen = if (is.null(job$scipen)) 0 else job$scipen, width = if (is.null(job$width)) 80 else job$width)
  on.exit(options(old))
  pieces[[job$what]](doubles(job$values), job)
}

# ---- prints of whole fits -----------------------------------------------------------------------------------------

#' The call as a person types it: without rms::, and what only robcov needs last, or not at all for a plain ols.
with_call <- function(fit, call, plain = FALSE) {
  call[[1L]] <- as.name(sub("^.*::", "", paste(deparse(call[[1L]]), collapse = "")))
  late <- names(call) %in% c("x", "y")
  fit$call <- as.call(c(as.list(call)[!late], if (!plain) as.list(call)[late]))
  fit
}

printers <- list(
  lm = function(request) {
    model <- lm_model(request)
    print(summary(with_call(model$fit, model$call)))
  },
  ols = function(request) {
    model <- ols_model(request)
    print(with_call(model$fit, model$call, plain = TRUE))
  },
  robcov = function(request) {
    model <- ols_model(request)
    clusters <- one_cluster(request)
    method <- list(method = option(request, "method", "huber"))
    call <- as.call(c(quote(rms::robcov), quote(fit), lapply(names(clusters), as.name), method))
    print(eval(call, c(list(fit = with_call(model$fit, model$call)), clusters), asNamespace("stats")))
  },
  vcov_hc = function(request) {
    fit <- lm_model(request)$fit
    vcov <- sandwich::vcovHC(fit, type = option(request, "type", "HC3"))
    print(lmtest::coeftest(fit, vcov. = vcov, df = test_df(fit, request)))
  },
  anova = function(request) {
    models <- if (length(option(request, "formulas"))) anova_models(request) else list(lm_model(request))
    print(do.call(anova, unname(lapply(models, `[[`, "fit"))))
  }
)

print_request <- function(raw) {
  shown <- raw$print
  request <- read_request(raw)
  suppressPackageStartupMessages(if (request$estimator %in% c("ols", "robcov")) library("rms", character.only = TRUE))
  old <- options(
    digits = shown$digits, scipen = shown$scipen, width = shown$width, show.signif.stars = shown$signif_stars
  )
  on.exit(options(old))
  capture.output(printers[[request$estimator]](request))
}

# ---- requests -----------------------------------------------------------------------------------------------------

answer <- function(raw) suppressWarnings(if (is.null(raw$jobs)) print_request(raw) else lapply(raw$jobs, run_piece))

serve_prints <- function() {
  input <- file("stdin", "r", encoding = "UTF-8")
  while (length(line <- readLines(input, n = 1L, warn = FALSE))) {
    raw <- read_line(line)
    id <- jsonlite::unbox(raw$id)
    reply <- tryCatch(
      list(id = id, quantities = list(text = answer(raw))),
      error = function(e) {
        said <- list(kind = error_kind(e), message = conditionMessage(e))
        list(id = id, error = lapply(said, jsonlite::unbox))
      }
    )
    writeLines(enc2utf8(as.character(jsonlite::toJSON(reply))), stdout(), useBytes = TRUE)
    flush(stdout())
  }
}

sha256 <- function(file) sub(" .*", "", system2("sha256sum", shQuote(file), stdout = TRUE))

text_sha256 <- function(text) {
  file <- tempfile()
  on.exit(unlink(file))
  writeBin(charToRaw(enc2utf8(text)), file)
  sha256(file)
}

provenance <- function(line, estimator) {
  packages <- if (length(estimator)) {
    switch(estimator, ols = , robcov = "rms", vcov_hc = c("sandwich", "lmtest"), "stats")
  }
  list(
    r_version = jsonlite::unbox(R.version.string), packages = package_versions(packages),
    platform = jsonlite::unbox(R.version$platform), locale = jsonlite::unbox(Sys.getlocale()),
    r_code_sha256 = jsonlite::unbox(sha256(file.path(here, "printing.R"))),
    request_sha256 = jsonlite::unbox(text_sha256(line)),
    date = jsonlite::unbox(format(Sys.Date()))
  )
}

freeze_prints <- function(folder) {
  input <- file("stdin", "r", encoding = "UTF-8")
  while (length(line <- readLines(input, n = 1L, warn = FALSE))) {
    raw <- read_line(line)
    text <- tryCatch(answer(raw), error = function(e) stop(raw$id, ": ", conditionMessage(e)))
    frozen <- list(print = jsonlite::unbox(raw$id), provenance = provenance(line, raw$estimator), text = text)
    path <- file(file.path(folder, paste0(raw$id, ".json")), "w", encoding = "UTF-8")
    writeLines(enc2utf8(as.character(jsonlite::toJSON(frozen, pretty = 2))), path, useBytes = TRUE)
    close(path)
  }
}

arguments <- commandArgs(trailingOnly = TRUE)
if (identical(arguments, "--serve")) serve_prints()
if (length(arguments) == 2L && arguments[1L] == "--freeze") freeze_prints(arguments[2L])
