# What plm prints: summaries of panel models, frozen. A request of the line protocol a line in, FOLDER/<id>.json out.
#   Rscript --vanilla plm_printing.R FOLDER
# Fits, the formula gate and the reading of data are worker.R's and plm.R's.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L]))
folder <- commandArgs(TRUE)[1L]
source(file.path(here, "worker.R"), encoding = "UTF-8")
start(here)

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

printed <- function(raw) {
  request <- read_request(raw)
  model <- plm_model(request)
  model$fit$call <- typed_call(model$call)
  old <- options(digits = raw$print$digits, width = raw$print$width)
  on.exit(options(old))
  vcov <- if (request$estimator == "plm_vcov") eval(panel_vcov_call(request), list(fit = model$fit))
  shown <- if (is.null(vcov)) summary(model$fit) else summary(model$fit, vcov = vcov)
  capture.output(print(shown))
}

input <- file("stdin", "r", encoding = "UTF-8")
while (length(line <- readLines(input, n = 1L, warn = FALSE))) {
  raw <- read_line(line)
  provenance <- list(
    r_version = jsonlite::unbox(R.version.string), packages = package_versions("plm"),
    platform = jsonlite::unbox(R.version$platform), locale = jsonlite::unbox(Sys.getlocale())
  )
  frozen <- list(print = jsonlite::unbox(raw$id), provenance = provenance, text = suppressWarnings(printed(raw)))
  path <- file(file.path(folder, paste0(raw$id, ".json")), "w", encoding = "UTF-8")
  writeLines(enc2utf8(as.character(jsonlite::toJSON(frozen, pretty = 2))), path, useBytes = TRUE)
  close(path)
}
