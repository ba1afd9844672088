# Answers one JSON line with one JSON line: parse, gate, fit, and write every double as a C99 hex string.
# What is fitted is in lm.R, robcov.R and their siblings; this room knows the protocol, the formula gate and the errors.
#
#   Rscript --vanilla worker.R          reads requests from stdin, answers on stdout; all other output goes to stderr
#   source() by r_host.py               the host hands each line to answer_line() and gets a string back
#
# RCOMPAT_R_EXTRA may name one more R file, which may register estimators of its own.

estimators <- new.env(parent = emptyenv())

#' Make `fit(request)` the answer to requests for `name`. It returns list(call = , quantities = list of functions),
#' and `packages` if it chose some itself. Only the wanted functions are called; NULL leaves a quantity out.
register <- function(name, fit, packages = character()) {
  assign(name, list(fit = fit, packages = packages), envir = estimators)
}

# ---- errors -------------------------------------------------------------------------------------------------------

refuse <- function(kind, ...) {
  stop(structure(class = c("refusal", "error", "condition"), list(message = paste0(...), call = NULL, kind = kind)))
}

# R says in words what went wrong, in English as started here; the first pattern that fits gives the kind.
message_kinds <- c(
  "^object '.*' not found$"                                     = "unknown-column",
  "0 \\(non-NA\\) cases"                                        = "no-rows",
  "must have at least one|no observations|^0 observations"      = "no-rows",
  "NA/NaN/Inf in (foreign function call|'[xyz]')"               = "infinite-values",
  "contrasts can be applied only to factors with 2 or more"     = "one-level-factor",
  "has <2 category levels"                                      = "one-level-factor",
  "has new levels? "                                            = "unseen-level",
  "variable lengths differ"                                     = "cluster-length",
  "length of cluster does not match"                            = "cluster-length",
  "number of observations in 'cluster' and .* do not match"     = "cluster-length",
  "Clustering variable must have length equal"                  = "cluster-length",
  "cluster contains NAs|cannot handle NAs in 'cluster'"         = "cluster-missing",
  "Clustering variable cannot have missing"                     = "cluster-missing",
  "only includes a single cluster"                              = "one-cluster",
  "models were not all fitted to the same size"                 = "models-differ",
  "missing or negative weights not allowed"                     = "bad-option",
  "negative weights not allowed"                                = "bad-option"
)

error_kind <- function(condition) {
  if (inherits(condition, "refusal")) return(condition$kind)
  hit <- vapply(names(message_kinds), grepl, logical(1), x = conditionMessage(condition))
  if (any(hit)) unname(message_kinds[hit][1]) else "r-error"
}

# ---- values: strings in, strings out ------------------------------------------------------------------------------

#' A JSON array, parsed without simplification, as strings; null is NA.
strings <- function(values) {
  empty <- lengths(values) == 0L
  if (any(empty)) values[empty] <- NA_character_
  as.character(unlist(values, use.names = FALSE))
}

doubles <- function(values) {
  text <- strings(values)
  text[text == "NA"] <- NA_character_
  as.double(text)
}

hex <- function(x) {
  text <- sprintf("%a", as.double(x))
  text[is.na(x)] <- "NA"
  text[is.nan(x)] <- "NaN"
  text
}

column <- function(x) {
  switch(x$type,
    double = doubles(x$values),
    integer = as.integer(doubles(x$values)),
    logical = as.logical(strings(x$values)),
    character = strings(x$values),
    factor = coded(as.integer(doubles(x$codes)), strings(x$levels), isTRUE(x$ordered)),
    refuse("bad-option", "no column type '", x$type, "'")
  )
}

coded <- function(codes, levels, ordered) {
  if (any(codes < 1L | codes > length(levels), na.rm = TRUE)) refuse("bad-option", "a factor's code has no level")
  structure(codes, levels = levels, class = c(if (ordered) "ordered", "factor"))
}

frame <- function(columns, row_names = NULL) {
  values <- lapply(columns, column)
  n <- if (length(values)) length(values[[1]]) else length(row_names)
  if (any(lengths(values) != n)) refuse("bad-option", "columns of the data differ in length")
  rows <- if (length(row_names)) strings(row_names) else as.character(seq_len(n))
  structure(values, names = as.character(names(values)), row.names = rows, class = "data.frame")
}

as_json <- function(x) {
  if (is.null(x)) return(NULL)
  if (is.matrix(x)) {
    rows <- lapply(seq_len(nrow(x)), function(i) hex(x[i, ]))
    return(list(rows = rownames(x), cols = colnames(x), values = rows))
  }
  if (is.null(names(x)) && length(x) == 1L) return(jsonlite::unbox(hex(x)))
  list(labels = as.character(names(x)), values = hex(x))
}

# ---- options ------------------------------------------------------------------------------------------------------

option <- function(request, name, default = NULL) {
  value <- request$options[[name]]
  if (is.null(value)) default else value
}

number_option <- function(request, name, default) {
  value <- option(request, name)
  if (is.null(value)) return(default)
  number <- suppressWarnings(as.double(value))
  if (length(number) != 1L || is.na(number)) refuse("bad-option", name, " is not a number")
  number
}

choice_option <- function(request, name, choices) {
  value <- option(request, name, choices[1])
  if (!is.character(value) || !value %in% choices) {
    refuse("bad-option", name, " is one of ", paste(choices, collapse = ", "), ", not ", format(value))
  }
  value
}

#' A column of the data, whole: rows that a fit drops are still in it.
data_column <- function(request, name) {
  if (!is.character(name) || !name %in% names(request$data)) refuse("unknown-column", "object '", name, "' not found")
  request$data[[name]]
}

# ---- the second formula gate --------------------------------------------------------------------------------------
# The sender has parsed the formula and sends a deparsed text; nothing here relies on that. A text is parsed, never run,
# then every name is checked, and what is left is evaluated where only the allowed functions can be found.

limits <- list(characters = 20000L, depth = 100L, calls = 20000L, terms = 5000, literal = 1000)
sized_functions <- c(
  ":", "poly", "bs", "ns", "contr.treatment", "contr.sum", "contr.helmert", "contr.poly", "contr.SAS"
)

parse_formula <- function(text) {
  if (!is.character(text) || length(text) != 1L) refuse("formula-syntax", "a formula is one text")
  if (nchar(text, "bytes") > limits$characters) refuse("formula-too-large", "the formula has too many characters")
  tryCatch(str2lang(text), error = function(e) {
    deep <- grepl("contextstack|nesting|too deeply|stack usage", conditionMessage(e))
    refuse(if (deep) "formula-too-large" else "formula-syntax", conditionMessage(e))
  })
}

is_sum <- function(e) is.call(e) && length(e) == 3L && as.character(e[[1L]])[1] %in% c("+", "-")

#' The operands of a chain of + and -, which nests as deep as it is long.
summands <- function(e) {
  found <- list()
  while (is_sum(e)) {
    found[[length(found) + 1L]] <- e[[3L]]
    e <- e[[2L]]
  }
  c(found, e)
}

#' Refuses a function that is not allowed and a name that is no column. Returns the number of calls seen.
#' `sized` says that the value of a number here decides how large something becomes.
check_call <- function(e, columns, depth = 0L, sized = FALSE) {
  if (depth > limits$depth) refuse("formula-too-large", "the formula is nested too deeply")
  if (is.symbol(e)) return(check_symbol(as.character(e), columns))
  if (!is.call(e)) return(check_literal(e, sized))
  if (is_range(e)) return(check_literal(abs(number_in(e[[3L]]) - number_in(e[[2L]])), sized = TRUE))
  arguments <- if (is_sum(e)) summands(e) else check_function(e)
  sized <- sized || as.character(e[[1L]]) %in% sized_functions
  calls <- length(arguments)
  for (argument in arguments) calls <- calls + check_call(argument, columns, depth + 1L, sized)
  if (calls > limits$calls) refuse("formula-too-large", "the formula has too many parts")
  calls
}

#' The arguments that are still to check.
check_function <- function(e) {
  head <- e[[1L]]
  if (!is.symbol(head) || !as.character(head) %in% allowed) {
    forbid(substr(paste(deparse(head), collapse = " "), 1L, 80L))
  }
  for (i in seq_along(e)) if (is.symbol(e[[i]]) && !nzchar(as.character(e[[i]]))) forbid("an empty argument")
  if (identical(head, quote(C))) check_contrast(e) else as.list(e)[-1L]
}

forbid <- function(what) refuse("formula-forbidden", "not allowed in a formula: ", what)

check_symbol <- function(name, columns) {
  if (name != "." && !name %in% columns) refuse("unknown-column", "object '", name, "' not found")
  0L
}

check_literal <- function(value, sized) {
  if (sized && is.numeric(value) && !isTRUE(abs(value) <= limits$literal)) {
    refuse("formula-too-large", "a number that sets a size is above ", limits$literal)
  }
  if (is.null(value) || is.numeric(value) || is.logical(value) || is.character(value)) return(0L)
  forbid(paste("a literal of type", typeof(value)))
}

#' C() looks a text up as a function, whatever its value: only a contrast by name or in plain numbers may stand there.
#' Returns the other arguments, which are still to check.
check_contrast <- function(e) {
  matched <- match.call(function(object, contr, how.many, ...) NULL, e)
  if (!is_contrast(matched$contr)) forbid("C() with a second argument that is no contrast")
  for (number in as.list(matched$contr)[-1L]) check_literal(number_in(number), sized = TRUE)
  matched$contr <- NULL
  as.list(matched)[-1L]
}

is_contrast <- function(e) {
  if (is.null(e)) return(TRUE)
  if (is.symbol(e)) return(as.character(e) %in% c(contrasts_allowed, sub("^contr\\.", "", contrasts_allowed)))
  if (is.character(e)) return(e %in% contrasts_allowed)
  if (!is.call(e) || !as.character(e[[1L]])[1] %in% c("c", contrasts_allowed)) return(FALSE)
  all(vapply(as.list(e)[-1L], is_number, logical(1)))
}

#' The number under a minus sign.
number_in <- function(e) if (is.call(e) && length(e) == 2L && identical(e[[1L]], quote(`-`))) e[[2L]] else e

is_number <- function(e) is.numeric(number_in(e)) || is.logical(number_in(e))

#' A range between two numbers as written, 1990:2010: its length is what sets a size.
is_range <- function(e) {
  identical(e[[1L]], quote(`:`)) && length(e) == 3L && is.numeric(e[[2L]]) && is.numeric(e[[3L]])
}

#' An upper bound on the number of terms, found without expanding them.
count_terms <- function(e, n_columns) {
  if (identical(e, quote(.))) return(n_columns)
  if (!is.call(e) || length(e) < 2L) return(1)
  if (is_sum(e)) return(sum(vapply(summands(e), count_terms, numeric(1), n_columns = n_columns)))
  parts <- lapply(as.list(e)[-1L], count_terms, n_columns = n_columns)
  a <- parts[[1L]]
  b <- if (length(parts) > 1L) parts[[2L]] else 0
  switch(as.character(e[[1L]]),
    "+" = , "-" = , "|" = , "||" = a + b,
    ":" = , "%in%" = a * b,
    "*" = , "/" = a + b + a * b,
    "^" = power_terms(a, e[[3L]]),
    "(" = a,
    1
  )
}

power_terms <- function(n, power) {
  if (!is.numeric(power) || is.na(power)) refuse("formula-syntax", "invalid power in formula")
  if (power > limits$literal) refuse("formula-too-large", "a power is above ", limits$literal)
  sum(choose(n, seq_len(min(max(power, 1), n))))
}

#' The formula of a text: only allowed functions, only columns, and an environment that holds nothing else.
read_formula <- function(text, data) {
  e <- parse_formula(text)
  sides <- if (is.call(e) && identical(e[[1L]], quote(`~`))) as.list(e)[-1L] else list(e)
  for (side in sides) check_call(side, names(data))
  if (!is.call(e) || !identical(e[[1L]], quote(`~`))) refuse("formula-syntax", "not a formula: it has no ~")
  bound <- sum(vapply(sides, count_terms, numeric(1), n_columns = length(data)))
  if (bound > limits$terms) refuse("formula-too-large", "the formula has more than ", limits$terms, " terms")
  splines <- any(c("bs", "ns") %in% all.names(e))
  if (splines) library("splines", character.only = TRUE)  # attached, for rms looks there
  structure(e, class = "formula", .Environment = bare_environment(splines))
}

#' Only the allowed functions, and `list`, which R's own code puts around the variables.
bare_environment <- function(splines) {
  env <- new.env(parent = emptyenv())
  home <- asNamespace(if (splines) "splines" else "stats")
  for (name in c(allowed, "list")) {
    found <- get0(name, envir = home, mode = "function")
    if (!is.null(found)) assign(name, found, envir = env)
  }
  env
}

# ---- one request --------------------------------------------------------------------------------------------------

need <- function(packages) {
  for (name in packages) {
    if (!requireNamespace(name, quietly = TRUE)) refuse("missing-package", missing_package(name))
  }
}

missing_package <- function(name) {
  paste0(
    "R has no package '", name, "': on Debian run compat/r/install-debian.sh, ",
    "elsewhere install.packages(\"", name, "\") in R"
  )
}

package_versions <- function(packages) {
  present <- packages[vapply(packages, requireNamespace, logical(1), quietly = TRUE)]
  lapply(c(R = "base", setNames(present, present)), function(p) jsonlite::unbox(as.character(getNamespaceVersion(p))))
}

# What there is of R here, without loading any package: for provenance.
register("versions", function(request) {
  version <- function(package) {
    found <- suppressWarnings(utils::packageDescription(package, fields = "Version"))
    jsonlite::unbox(found)
  }
  packages <- listed(description[["Imports"]])
  list(call = quote(sessionInfo()), quantities = list(), provenance = list(
    r_version = jsonlite::unbox(R.version.string),
    r_home = jsonlite::unbox(R.home()),
    packages = lapply(setNames(packages, packages), version),
    blas = jsonlite::unbox(extSoftVersion()[["BLAS"]]),
    lapack = jsonlite::unbox(paste(La_version(), La_library())),
    platform = jsonlite::unbox(R.version$platform),
    locale = jsonlite::unbox(Sys.getlocale())
  ))
})

#' An empty list is {} and not [] only if it has names.
as_object <- function(x) if (length(x)) x else setNames(list(), character())

read_request <- function(raw) {
  request <- raw
  request$data <- frame(raw$data, raw$row_names)
  request$want <- strings(raw$want)
  if (!is.null(raw$formula)) request$formula <- read_formula(raw$formula, request$data)
  request
}

fit_request <- function(raw) {
  estimator <- if (is.character(raw$estimator)) estimators[[raw$estimator]]
  if (is.null(estimator)) refuse("bad-option", "no estimator '", raw$estimator, "'")
  need(estimator$packages)
  request <- read_request(raw)
  result <- estimator$fit(request)
  names <- if (length(request$want)) intersect(names(result$quantities), request$want) else names(result$quantities)
  quantities <- lapply(result$quantities[names], function(quantity) as_json(quantity()))
  answer <- list(
    quantities = as_object(Filter(Negate(is.null), quantities)),
    call = jsonlite::unbox(paste(deparse(result$call, width.cutoff = 500L), collapse = "\n")),
    versions = package_versions(unique(c(estimator$packages, result$packages)))
  )
  c(answer, if (!is.null(result$provenance)) list(provenance = result$provenance))
}

#' Answers one request line with one JSON text. An R error is an answer too.
answer_line <- function(line) {
  warnings <- character()
  id <- NULL
  answer <- tryCatch(
    withCallingHandlers(
      {
        raw <- read_line(line)
        id <- raw$id
        fit_request(raw)
      },
      warning = function(w) {
        warnings <<- c(warnings, conditionMessage(w))
        invokeRestart("muffleWarning")
      },
      message = function(m) invokeRestart("muffleMessage")
    ),
    error = function(e) list(error = lapply(list(kind = error_kind(e), message = conditionMessage(e)), jsonlite::unbox))
  )
  id <- if (is.character(id)) jsonlite::unbox(id)
  as.character(jsonlite::toJSON(c(list(id = id), answer, list(warnings = warnings)), null = "null"))
}

read_line <- function(line) {
  if (grepl("\\u0000", line, fixed = TRUE)) refuse("formula-syntax", "a null byte in the request")
  tryCatch(
    jsonlite::fromJSON(line, simplifyVector = FALSE),
    error = function(e) refuse("bad-option", "the request is not JSON: ", conditionMessage(e))
  )
}

# ---- start --------------------------------------------------------------------------------------------------------

this_file <- function() {
  argument <- grep("^--file=", commandArgs(FALSE), value = TRUE)
  if (length(argument)) sub("^--file=", "", argument[1]) else ""
}

allowed <- contrasts_allowed <- description <- character()

#' The words of a field of DESCRIPTION, without their versions.
listed <- function(field) strsplit(trimws(gsub("\\([^)]*\\)|,", " ", field)), "[[:space:]]+")[[1L]]

start <- function(folder) {
  if (!requireNamespace("jsonlite", quietly = TRUE)) stop(missing_package("jsonlite"))
  Sys.setenv(LANGUAGE = "en")
  Sys.setlocale("LC_COLLATE", "C")
  options(
    warn = 1, stringsAsFactors = FALSE, na.action = "na.omit",
    contrasts = c(unordered = "contr.treatment", ordered = "contr.poly")
  )
  allowed <<- readLines(file.path(folder, "allowed.txt"))
  description <<- read.dcf(file.path(folder, "DESCRIPTION"))[1L, ]
  contrasts_allowed <<- grep("^contr\\.", allowed, value = TRUE)
  extra <- Sys.getenv("RCOMPAT_R_EXTRA")
  rooms <- file.path(folder, listed(description[["Collate"]]))
  for (file in c(rooms, extra[nzchar(extra)])) source(file, encoding = "UTF-8")
}

#' Requests from stdin, answers on stdout; whatever else R prints is diverted to stderr.
serve <- function() {
  requests <- file("stdin", encoding = "UTF-8")
  open(requests, "r")
  repeat {
    line <- readLines(requests, n = 1L, warn = FALSE)
    if (!length(line)) break
    sink(stderr())
    answer <- answer_line(line)
    sink()
    writeLines(enc2utf8(answer), stdout(), useBytes = TRUE)
    flush(stdout())
  }
}

if (basename(this_file()) == "worker.R") {
  start(dirname(this_file()))
  serve()
}
